/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cgroup_pattern.h"
#include "port_option.h"
#include "worker.h"
#include "sluice/array.h"

/* One configuration on its way. */
struct making {
	struct agent_config *c;
	struct agent_settings *from;
	struct diag *diag;
};

static void *alloc(struct making *m, size_t n, size_t size)
{
	/* The caller's N is of items that are in memory: no overflow. */
	void *ret = arena_alloc(&m->from->mem, n * size + 1);

	if (!ret)
		m->diag->oom = 1;
	return ret;
}

/* ---- paths ---- */

static const char *resolve(struct making *m, const char *path)
{
	const char *slash = strrchr(m->c->file, '/'), *ret = path;

	if (path[0] != '/' && slash)
		ret = arena_printf(&m->from->mem, "%.*s%s", (int)(slash - m->c->file + 1),
				   m->c->file, path);
	if (!ret)
		m->diag->oom = 1;
	return ret;
}

static void make_paths(struct making *m)
{
	struct agent_settings *s = m->from;
	struct agent_config *c = m->c;

	c->policies = alloc(m, s->n_policies, sizeof(*c->policies));
	for (size_t i = 0; c->policies && i < s->n_policies; i++)
		c->policies[c->n_policies++] = resolve(m, s->policies[i].text);
	c->secrets = s->secrets.text ? resolve(m, s->secrets.text) : NULL;
	c->log = s->log.text && strcmp(s->log.text, "-") != 0 ? resolve(m, s->log.text)
							      : s->log.text;
	c->state_dir = s->state.text ? s->state.text : AGENT_STATE_DIR;
	if (c->state_dir[0] != '/')
		diag_add(m->diag, c->file, s->state.line, s->state.column,
			 "\"state\" must be an absolute path, not \"%s\"", c->state_dir);
}

/* ---- labels ---- */

static bool is_namespace_label(const char *key)
{
	const char *colon = strchr(key, ':'), *bare = strchr(AGENT_NAMESPACE_LABEL, ':');

	return strcmp(colon ? colon : key, colon ? bare : bare + 1) == 0;
}

/* With the namespace as one more, as Kubernetes has it. */
static struct label *make_labels(struct making *m, const struct label_settings *from,
				 const struct text_setting *namespace_, size_t *n)
{
	struct label *ret = alloc(m, from->n + 1, sizeof(*ret));

	if (!ret)
		return NULL;
	for (size_t i = 0; i < from->n; i++) {
		ret[i] = from->items[i];
		if (namespace_->text && is_namespace_label(ret[i].key) &&
		    strcmp(ret[i].value, namespace_->text) != 0)
			diag_hint(m->diag,
				  diag_add(m->diag, m->c->file, from->line, from->column,
					   "the label %s names another namespace than "
					   "\"namespace\"",
					   ret[i].key),
				  "leave the label out");
	}
	*n = from->n;
	if (namespace_->text)
		ret[(*n)++] = (struct label){ AGENT_NAMESPACE_LABEL, namespace_->text };
	return ret;
}

/* ---- the parts ---- */

static bool choose(struct switch_setting own, struct switch_setting general)
{
	return own.given ? own.on : general.on;
}

static void make_entry(struct making *m, const struct workload_settings *from,
		       struct agent_entry *ret)
{
	const struct hold_settings *general = &m->from->hold;
	struct error err = { 0 };

	*ret = (struct agent_entry){
		.name = from->name.text,
		.namespace_ = from->namespace_.text ? from->namespace_.text : "",
		.pattern = from->cgroup.text,
		.hold_loopback = choose(from->hold.loopback, general->loopback),
		.hold_host = choose(from->hold.host, general->host),
		.line = from->name.line,
		.column = from->name.column,
	};
	ret->labels = make_labels(m, &from->labels, &from->namespace_, &ret->n_labels);
	if (ret->pattern && !cgroup_pattern_check(ret->pattern, &err))
		diag_add(m->diag, m->c->file, from->cgroup.line, from->cgroup.column,
			 "\"cgroup\": %s", err.text);
}

static void make_entries(struct making *m)
{
	struct agent_config *c = m->c;

	c->entries = alloc(m, m->from->n_workloads, sizeof(*c->entries));
	for (size_t i = 0; c->entries && i < m->from->n_workloads; i++)
		make_entry(m, &m->from->workloads[i], &c->entries[c->n_entries++]);
}

static void make_peers(struct making *m)
{
	struct agent_config *c = m->c;

	c->peers = alloc(m, m->from->n_peers, sizeof(*c->peers));
	for (size_t i = 0; c->peers && i < m->from->n_peers; i++) {
		const struct peer_settings *from = &m->from->peers[i];
		struct policy_endpoint *p = &c->peers[c->n_peers++];

		*p = (struct policy_endpoint){ .addresses = from->addresses,
					       .n_addresses = from->n_addresses };
		p->labels = make_labels(m, &from->labels, &from->namespace_, &p->n_labels);
	}
}

int agent_config_peers(struct agent_settings *s, const char *file, struct policy_endpoint **ret,
		       size_t *n, struct diag *diag)
{
	struct agent_config c = { .file = file };
	struct making m = { &c, s, diag };
	size_t errors = diag_count(diag);

	make_peers(&m);
	*ret = c.peers;
	*n = c.n_peers;
	if (diag->oom)
		return -ENOMEM;
	return diag_count(diag) == errors ? 0 : -EINVAL;
}

/* ---- pods ---- */

/* Where a kubelet has them, by either driver. Nothing deeper: below its own cgroup a pod may be
 * able to make cgroups with any name. */
static const char *const kubepods[] = {
	"/kubepods/pod*",
	"/kubepods/burstable/pod*",
	"/kubepods/besteffort/pod*",
	"/kubepods.slice/kubepods-pod*.slice",
	"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod*.slice",
	"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod*.slice",
};

static void make_runtime(struct making *m)
{
	static const char scheme[] = "unix://";
	const struct text_setting *from = &m->from->pods.runtime;
	const char *path = from->text ? from->text : AGENT_RUNTIME;

	m->c->pods.runtime = path;
	if (path[0] == '/')
		return;
	diag_hint(m->diag,
		  diag_add(m->diag, m->c->file, from->line, from->column,
			   "\"runtime\" must be the absolute path of a socket, not \"%s\"", path),
		  "such as %s",
		  strncmp(path, scheme, strlen(scheme)) == 0 ? path + strlen(scheme)
							     : AGENT_RUNTIME);
}

static void make_pod_cgroups(struct making *m)
{
	const struct pods_settings *from = &m->from->pods;
	struct agent_pods_config *pods = &m->c->pods;

	pods->cgroups = alloc(m, from->n_cgroups + ARRAY_SIZE(kubepods), sizeof(*pods->cgroups));
	if (!pods->cgroups)
		return;
	for (size_t i = 0; i < from->n_cgroups; i++) {
		const struct text_setting *s = &from->cgroups[i];
		struct error err = { 0 };

		pods->cgroups[pods->n_cgroups++] = s->text;
		if (!cgroup_pattern_check(s->text, &err))
			diag_add(m->diag, m->c->file, s->line, s->column, "\"cgroups\": %s",
				 err.text);
	}
	for (size_t i = 0; from->n_cgroups == 0 && i < ARRAY_SIZE(kubepods); i++)
		pods->cgroups[pods->n_cgroups++] = kubepods[i];
}

static void make_pods(struct making *m)
{
	const struct pods_settings *from = &m->from->pods;
	struct agent_pods_config *pods = &m->c->pods;

	if (!from->given)
		return;
	pods->wanted = true;
	pods->hold = from->hold.given ? from->hold.on : true;
	pods->hold_loopback = m->from->hold.loopback.on;
	pods->hold_host = m->from->hold.host.on;
	make_runtime(m);
	make_pod_cgroups(m);
}

/* ---- the rest ---- */

static void make_ports(struct making *m)
{
	struct agent_config *c = m->c;

	c->ports = alloc(m, m->from->n_ports, sizeof(*c->ports));
	for (size_t i = 0; c->ports && i < m->from->n_ports; i++) {
		const struct setting *s = &m->from->ports[i];
		struct error err = { 0 };

		if (port_option_set(s->key, s->value, &c->ports[c->n_ports], &err) == 0)
			c->n_ports++;
		else
			diag_add(m->diag, c->file, s->line, s->column, "ports: %s: %s", s->key,
				 err.text);
	}
}

static void make_limits(struct making *m)
{
	struct agent_config *c = m->c;
	struct error err = { 0 };

	for (size_t i = 0; i < m->from->n_limits; i++) {
		const struct setting *s = &m->from->limits[i];
		int r = limits_set(&c->limits, s->key, s->value, &err);

		if (r == -ENOENT)
			diag_add(m->diag, c->file, s->key_line, s->key_column, "%s", err.text);
		else if (r < 0)
			diag_add(m->diag, c->file, s->line, s->column, "%s", err.text);
	}
	if (m->diag->n == 0 && limits_check(&c->limits, &err) < 0)
		diag_add(m->diag, c->file, 0, 0, "%s", err.text);
}

int agent_config_read(const char *path, struct agent_config **ret, struct diag *diag)
{
	struct agent_config *c = calloc(1, sizeof(*c));
	struct making m = { c, c ? &c->settings : NULL, diag };
	int r;

	if (!c) {
		diag->oom = 1;
		return -ENOMEM;
	}
	c->refs = 1;
	c->limits = (struct limits)LIMITS_DEFAULT;
	r = agent_settings_read(path, WORKER_MAX, &c->settings, diag);
	c->file = c->settings.file;
	if (c->file) {
		make_paths(&m);
		make_entries(&m);
		make_peers(&m);
		make_pods(&m);
		make_ports(&m);
		make_limits(&m);
		c->audit = c->settings.audit;
		c->workers = c->settings.workers ? c->settings.workers : 1;
	}
	diag_sort(diag, 0);
	if (diag->oom)
		r = -ENOMEM;
	else if (r == 0 && diag->n > 0)
		r = -EINVAL;
	if (r == 0)
		*ret = c;
	else
		agent_config_unref(c);
	return r;
}

struct agent_config *agent_config_ref(struct agent_config *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

struct agent_config *agent_config_unref(struct agent_config *c)
{
	if (c && atomic_fetch_sub(&c->refs, 1) == 1) {
		agent_settings_done(&c->settings);
		free(c);
	}
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool agent_config_same_runtime(const struct agent_config *a, const struct agent_config *b)
{
	return same_text(a->pods.runtime, b->pods.runtime);
}

const char *agent_config_fixed(const struct agent_config *a, const struct agent_config *b)
{
	if (a->workers != b->workers)
		return "workers";
	if (a->audit != b->audit)
		return "audit";
	if (!same_text(a->log, b->log))
		return "log";
	if (!same_text(a->state_dir, b->state_dir))
		return "state";
	return memcmp(&a->limits, &b->limits, sizeof(a->limits)) != 0 ? "limits" : NULL;
}
