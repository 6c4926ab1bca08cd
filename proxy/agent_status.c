/* SPDX-License-Identifier: Apache-2.0 */
/* What `sluice status` is told: docs/agent.md names the members. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "agent_parts.h"
#include "json_out.h"
#include "sluice/array.h"
#include "text.h"

static const char *const kinds[STEER_EVENT_MAX] = {
	[STEER_CONNECT_REFUSED] = "connect",
	[STEER_CONNECT_NO_LISTENER] = "connect_no_listener",
	[STEER_SENDMSG_REFUSED] = "datagram_out",
	[STEER_SOCKET_REFUSED] = "socket",
	[STEER_PACKET_DROPPED] = "packet",
	[STEER_NO_ROOM] = "no_room",
	[STEER_CONNECT_UNSTEERABLE] = "connect_unsteerable",
	[STEER_CONNECT_PORT_TAKEN] = "connect_port_taken",
	[STEER_ACCEPT_REFUSED] = "accept",
	[STEER_ACCEPT_NO_LISTENER] = "accept_no_listener",
	[STEER_ACCEPT_UNSTEERABLE] = "accept_unsteerable",
	[STEER_DATAGRAM_REFUSED] = "datagram_in",
};

/* One document. */
struct telling {
	struct agent *a;
	const struct tally *tally;
	struct json_out *to;
	bool rules; /* also how often each rule came nearest to a denial */
};

static void add_time(struct json_out *j, const char *name, const struct timespec *t)
{
	char text[64];
	struct tm tm;

	if (gmtime_r(&t->tv_sec, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		json_out_text(j, name, text);
	else
		json_out_text(j, name, NULL);
}

/* Numbers of 64 bits that only have to be the same: many readers of JSON would round them. */
static void add_id(struct json_out *j, const char *name, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, id);
	json_out_text(j, name, text);
}

static void add_refused(struct json_out *j, const uint64_t counts[STEER_EVENT_MAX])
{
	json_out_begin(j, "refused", '{');
	for (size_t i = 0; i < STEER_EVENT_MAX; i++)
		if (counts[i] > 0)
			json_out_number(j, kinds[i], counts[i]);
	json_out_end(j, '{');
}

/* ---- a workload ---- */

static void add_policies(struct json_out *j, const struct policy *policy)
{
	const struct policy_document *docs;
	size_t n;

	docs = policy_documents(policy, &n);
	json_out_begin(j, "policies", '[');
	for (size_t i = 0; i < n; i++) {
		char name[1024];

		snprintf(name, sizeof(name), "%s%s%s", docs[i].namespace_,
			 docs[i].namespace_[0] ? "/" : "", docs[i].name);
		json_out_text(j, NULL, name);
	}
	json_out_end(j, '[');
}

static void add_denials(struct json_out *j, const struct rule_counts *counts)
{
	json_out_begin(j, "denials", '[');
	for (size_t i = 0; counts && i < counts->n; i++) {
		const struct rule_count *c = &counts->entries[i];

		json_out_begin(j, NULL, '{');
		json_out_number(j, "count", c->denied);
		json_out_text(j, "policy", c->policy);
		json_out_text(j, "namespace", c->namespace_);
		json_out_text(j, "rule", c->path);
		json_out_end(j, '{');
	}
	json_out_end(j, '[');
	json_out_number(j, "denials_without_rule", counts ? counts->others : 0);
}

static void add_counts(struct telling *t, const struct agent_workload *w)
{
	const struct workload_tally *counted = tally_find(t->tally, w->id);
	static const struct metrics none;
	const struct metrics *m = counted ? &counted->metrics : &none;
	uint64_t refused[STEER_EVENT_MAX] = { 0 }, denied = m->requests_denied;

	steer_workload_counters(t->a->steer, w->id, refused); /* it may have gone: nothing */
	for (size_t i = 0; i < STEER_EVENT_MAX; i++)
		denied += refused[i];
	json_out_number(t->to, "connections", m->open);
	json_out_number(t->to, "connections_opened", m->opened);
	json_out_number(t->to, "requests_allowed", m->requests_allowed);
	json_out_number(t->to, "requests_denied", m->requests_denied);
	json_out_number(t->to, "requests_refused", m->requests_refused);
	json_out_number(t->to, "denied", denied);
	add_refused(t->to, refused);
	add_denials(t->to, counted && t->rules ? &counted->denials : NULL);
}

static void add_stays(struct json_out *j, const struct agent_workload *w)
{
	json_out_begin(j, "network_namespaces", '[');
	for (size_t i = 0; i < w->n_stays; i++)
		json_out_number(j, NULL, w->stays[i].netns->netns->number);
	json_out_end(j, '[');
}

static void add_labels(struct json_out *j, const struct agent_entry *e)
{
	json_out_begin(j, "labels", '[');
	for (size_t i = 0; i < e->n_labels; i++) {
		char *text;

		if (asprintf(&text, "%s=%s", e->labels[i].key, e->labels[i].value) < 0)
			text = NULL;
		json_out_text(j, NULL, text);
		free(text);
	}
	json_out_end(j, '[');
}

/* By processes that have them from elsewhere. */
static void add_foreign(struct json_out *j, const struct agent_workload *w)
{
	json_out_begin(j, "not_held", '[');
	for (size_t i = 0; i < w->n_foreign; i++) {
		const struct steer_foreign *f = &w->foreign[i].found;
		char buf[ADDRESS_TEXT_MAX];
		struct text t = TEXT_INIT(buf);

		text_add_address(&t, &f->at);
		json_out_begin(j, NULL, '{');
		json_out_span(j, "address", (struct span){ t.buf, t.len });
		json_out_number(j, "pid", f->pid);
		json_out_text(j, "command", f->command);
		json_out_end(j, '{');
	}
	json_out_end(j, '[');
}

static void add_problem(struct json_out *j, const struct agent_workload *w, const char *other)
{
	char buf[256];
	struct text t = TEXT_INIT(buf);

	if (w->state == AGENT_WORKLOAD_HELD && w->n_foreign == 0) {
		json_out_text(j, "problem", other);
		return;
	}
	if (w->state != AGENT_WORKLOAD_HELD) {
		text_add(&t, "it is about to be held");
	} else {
		text_add_address(&t, &w->foreign[0].found.at);
		text_addf(&t,
			  " of process %u is a listening socket from another cgroup, which is not "
			  "held",
			  w->foreign[0].found.pid);
		if (w->n_foreign > 1)
			text_addf(&t, "; and %zu more", w->n_foreign - 1);
	}
	json_out_span(j, "problem", (struct span){ t.buf, t.len });
}

static void add_workload(struct telling *t, const struct agent_workload *w)
{
	const struct agent_entry *e = &t->a->plan->entries[w->entry];
	const struct l4_table *table = policy_l4_table(w->rule.policy);

	json_out_line(t->to);
	json_out_begin(t->to, NULL, '{');
	add_id(t->to, "id", w->id);
	json_out_text(t->to, "name", e->name);
	json_out_text(t->to, "namespace", e->namespace_);
	add_labels(t->to, e);
	json_out_text(t->to, "cgroup", w->path);
	add_id(t->to, "cgroup_id", w->cgroup_id);
	json_out_bool(t->to, "populated", w->populated);
	add_policies(t->to, w->rule.policy);
	json_out_bool(t->to, "egress", table->enforced);
	json_out_bool(t->to, "ingress", table->ingress_enforced);
	json_out_bool(t->to, "enforced", w->state == AGENT_WORKLOAD_HELD);
	add_problem(t->to, w, e->problem);
	agent_status_pod(t->to, w, e->pod);
	add_foreign(t->to, w);
	add_stays(t->to, w);
	add_counts(t, w);
	json_out_end(t->to, '{');
}

/* ---- the rest ---- */

static void add_revision(struct json_out *j, const struct agent *a)
{
	const struct policy_set_stats *stats = &a->plan->stats;
	char digest[24];

	snprintf(digest, sizeof(digest), "%016" PRIx64, a->plan->digest);
	json_out_line(j);
	json_out_begin(j, "revision", '{');
	json_out_number(j, "number", a->revision);
	add_time(j, "loaded", &a->plan->loaded);
	json_out_text(j, "digest", digest);
	json_out_number(j, "documents", stats->documents);
	json_out_number(j, "policies", stats->policies);
	json_out_bool(j, "settled", !a->reload.files.busy && !a->reload.files.changed);
	json_out_text(j, "error", a->reload.last_errors);
	json_out_end(j, '{');
}

static void add_hooks(struct json_out *j, const struct agent *a)
{
	json_out_line(j);
	json_out_begin(j, "hooks", '[');
	for (const struct agent_point *p = a->points; p; p = p->next) {
		json_out_begin(j, NULL, '{');
		json_out_text(j, "cgroup", p->path);
		add_id(j, "cgroup_id", p->id);
		json_out_end(j, '{');
	}
	json_out_end(j, '[');
}

static void add_namespaces(struct json_out *j, const struct agent *a)
{
	json_out_line(j);
	json_out_begin(j, "network_namespaces", '[');
	for (const struct agent_netns *n = a->netns; n; n = n->next) {
		json_out_begin(j, NULL, '{');
		json_out_number(j, "number", n->netns->number);
		json_out_number(j, "inode", n->inode);
		add_id(j, "cookie", n->cookie);
		json_out_number(j, "workloads", n->users);
		json_out_end(j, '{');
	}
	json_out_end(j, '[');
}

static void add_older(struct json_out *j, const struct agent *a)
{
	json_out_line(j);
	json_out_begin(j, "older", '{');
	json_out_number(j, "listeners", a->older.found.listeners);
	json_out_number(j, "connections", a->older.found.connections);
	json_out_number(j, "ended", a->older.ended);
	json_out_end(j, '{');
}

static void add_counter(void *ctx, const char *name, uint64_t value)
{
	json_out_number(ctx, name, value);
}

static void add_counters(struct telling *t)
{
	struct steer_counters kernel = { 0 };

	steer_counters(t->a->steer, &kernel);
	json_out_line(t->to);
	add_refused(t->to, kernel.refused);
	json_out_line(t->to);
	json_out_begin(t->to, "counters", '{');
	metrics_each(&t->tally->all, add_counter, t->to);
	json_out_number(t->to, "flows.open", kernel.flows_open);
	json_out_number(t->to, "events.lost", kernel.events_lost);
	json_out_end(t->to, '{');
}

static void tell(struct telling *t)
{
	const struct agent *a = t->a;

	json_out_begin(t->to, NULL, '{');
	json_out_text(t->to, "version", SLUICE_VERSION);
	json_out_number(t->to, "pid", (uint64_t)getpid());
	add_time(t->to, "started", &a->started);
	json_out_bool(t->to, "audit", a->plan->config->audit);
	json_out_text(t->to, "config", a->config_path);
	add_revision(t->to, a);
	add_hooks(t->to, a);
	add_namespaces(t->to, a);
	agent_status_pods(t->to, a);
	add_older(t->to, a);
	json_out_line(t->to);
	json_out_begin(t->to, "workloads", '[');
	for (const struct agent_workload *w = a->workloads; w; w = w->next)
		if (w->state < AGENT_WORKLOAD_GONE)
			add_workload(t, w);
	json_out_end(t->to, '[');
	json_out_bool(t->to, "denials_left_out", !t->rules);
	add_counters(t);
	json_out_end(t->to, '{');
}

/* ---- asked and answered ---- */

static void on_tally(void *ctx, const struct tally *tally)
{
	struct agent *a = ctx;
	struct json_out to = JSON_OUT_INIT(STATUS_BYTES_MAX);
	struct telling t = { .a = a, .tally = tally, .to = &to, .rules = true };
	char *text = NULL;
	size_t len = 0;
	int r = -ENOMEM;

	if (tally) {
		tell(&t);
		r = json_out_take(&to, &text, &len);
	}
	if (r == -EFBIG) {
		t.rules = false;
		tell(&t);
		r = json_out_take(&to, &text, &len);
	}
	status_server_answer(&a->status, r == 0 ? text : NULL, len);
}

static void on_asked(void *ctx)
{
	struct agent *a = ctx;

	if (crew_ask(&a->crew, on_tally, a) < 0)
		status_server_answer(&a->status, NULL, 0);
}

int agent_status_open(struct agent *a, struct error *err)
{
	static const struct status_host host = { .asked = on_asked };
	char path[AGENT_STATE_MAX + sizeof(STATUS_FILE) + 1];

	snprintf(path, sizeof(path), "%s/%s", a->state.dir, STATUS_FILE);
	return status_server_open(&a->status, &a->loop, AGENT_DESCRIPTORS_MAX, path, &host, a, err);
}

void agent_status_close(struct agent *a)
{
	status_server_close(&a->status);
}
