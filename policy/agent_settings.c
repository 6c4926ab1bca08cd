// SPDX-License-Identifier: Apache-2.0
#include "agent_settings.h"

#include <errno.h>
#include <stdlib.h>

#include "read_policy.h"
#include "settings_document.h"
#include "sluice/array.h"

#define NAME_LEN_MAX	  253 /* as Kubernetes has it */
#define NAMESPACE_LEN_MAX 63

/* The tables' functions get what they read into, and only that: so it knows the rest. */
struct into {
	struct agent_settings *all;
	struct workload_settings *workload;
	struct peer_settings *peer;
	unsigned workers_max;
};

/* ---- single values ---- */

static void set_text(struct reader *r, const struct node *value, const char *what,
		     struct text_setting *ret)
{
	if (!reader_is_string(r, value, what))
		return;
	if (value->text.len == 0) {
		reader_error(r, value, "%s is empty", what);
		return;
	}
	*ret = (struct text_setting){ value->text.ptr, value->line, value->column };
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

static void set_name(struct reader *r, const struct node *value, const char *what, size_t most,
		     struct text_setting *ret)
{
	struct node at;

	if (!reader_is_string(r, value, what))
		return;
	for (size_t i = 0; i < value->text.len; i++)
		if (!is_name_char(value->text.ptr[i])) {
			at = reader_within(value, i);
			reader_error(r, &at,
				     "%s must be letters, digits, \"-\", \"_\" and \".\", not "
				     "\"%s\"",
				     what, value->text.ptr);
			return;
		}
	if (value->text.len > most)
		reader_error(r, value, "%s is longer than %zu characters", what, most);
	else
		set_text(r, value, what, ret);
}

static void set_switch(struct reader *r, const struct node *value, const char *what,
		       struct switch_setting *ret)
{
	ret->given = reader_is_bool(r, value, what, &ret->on);
}

static void add_label(struct reader *r, const struct node *key, const struct node *value,
		      struct label_settings *ret)
{
	if (key->text.len == 0) {
		reader_error(r, key, "a label without a name");
		return;
	}
	if (!reader_is_string(r, value, "a label's value"))
		return;
	ret->items = reader_extend(r, ret->items, ret->n, sizeof(*ret->items));
	if (ret->items)
		ret->items[ret->n++] = (struct label){ key->text.ptr, value->text.ptr };
}

static void set_labels(struct reader *r, const struct node *value, struct label_settings *ret)
{
	ret->line = value->line;
	ret->column = value->column;
	if (value->kind != NODE_MAP) {
		reader_error(r, value, "\"labels\" must be a mapping, not %s",
			     node_kind_name(value));
		return;
	}
	for (size_t i = 0; i < value->n && !r->oom; i += 2)
		add_label(r, value->items[i], value->items[i + 1], ret);
}

/* ---- a workload ---- */

static void read_name(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_name(r, value, "\"name\"", NAME_LEN_MAX, &into->workload->name);
}

static void read_namespace(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_name(r, value, "\"namespace\"", NAMESPACE_LEN_MAX,
		 into->workload ? &into->workload->namespace_ : &into->peer->namespace_);
}

static void read_labels(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_labels(r, value, into->workload ? &into->workload->labels : &into->peer->labels);
}

static void read_cgroup(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_text(r, value, "\"cgroup\"", &into->workload->cgroup);
}

static struct hold_settings *hold_of(struct into *into)
{
	return into->workload ? &into->workload->hold : &into->all->hold;
}

static void read_loopback(struct reader *r, const struct node *value, void *ctx)
{
	set_switch(r, value, "\"hold-loopback\"", &hold_of(ctx)->loopback);
}

static void read_host(struct reader *r, const struct node *value, void *ctx)
{
	set_switch(r, value, "\"hold-host\"", &hold_of(ctx)->host);
}

static const char *namespace_text(const struct workload_settings *w)
{
	return w->namespace_.text ? w->namespace_.text : "";
}

/* Records and refusals name a workload: two of one name could not be told apart. */
static void check_duplicates(struct reader *r, const struct agent_settings *s,
			     const struct node *item, const struct workload_settings *w)
{
	for (size_t i = 0; i < s->n_workloads; i++) {
		const struct workload_settings *other = &s->workloads[i];
		struct diag_item *error = NULL;

		if (w->name.text && other->name.text &&
		    strcmp(w->name.text, other->name.text) == 0 &&
		    strcmp(namespace_text(w), namespace_text(other)) == 0) {
			error = reader_error(r, node_get(item, "name"),
					     "there is a workload \"%s\" already", w->name.text);
			diag_hint(r->diag, error, "the first one is in line %u", other->name.line);
		}
		if (w->cgroup.text && other->cgroup.text &&
		    strcmp(w->cgroup.text, other->cgroup.text) == 0) {
			error = reader_error(r, node_get(item, "cgroup"),
					     "\"%s\" is another workload's already",
					     w->cgroup.text);
			diag_hint(r->diag, error, "see line %u", other->cgroup.line);
		}
		if (error)
			return;
	}
}

static void read_workload(struct reader *r, const struct node *item, struct into *into)
{
	static const struct field fields[] = {
		{ "name", read_name, NULL, NULL },
		{ "namespace", read_namespace, NULL, NULL },
		{ "labels", read_labels, NULL, NULL },
		{ "cgroup", read_cgroup, NULL, NULL },
		{ "hold-loopback", read_loopback, NULL, NULL },
		{ "hold-host", read_host, NULL, NULL },
	};
	struct agent_settings *s = into->all;
	struct workload_settings w = { .name.text = NULL };
	struct workload_settings *items;

	into->workload = &w;
	if (reader_fields(r, item, "a workload", fields, ARRAY_SIZE(fields), into)) {
		if (!node_get(item, "name"))
			reader_error(r, item, "a workload needs a \"name\"");
		if (!node_get(item, "cgroup"))
			diag_hint(r->diag, reader_error(r, item, "a workload needs a \"cgroup\""),
				  "such as /system.slice/web.service");
		check_duplicates(r, s, item, &w);
	}
	into->workload = NULL;
	items = reader_extend(r, s->workloads, s->n_workloads, sizeof(*items));
	if (!items)
		return;
	s->workloads = items;
	s->workloads[s->n_workloads++] = w;
}

static void read_workloads(struct reader *r, const struct node *value, void *into)
{
	if (!reader_is_list(r, value, "\"workloads\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_workload(r, value->items[i], into);
}

/* ---- a peer ---- */

/* A peer is somebody, who has addresses; a range of them is a rule's business. */
static bool read_address(struct reader *r, const struct node *value, struct address *ret)
{
	struct cidr cidr;

	if (!read_cidr(r, value, &cidr))
		return false;
	if (cidr.len != (cidr.family == 4 ? 32 : 128)) {
		diag_hint(r->diag,
			  reader_error(r, value,
				       "a peer's address must be a single one, not \"%s\"",
				       value->text.ptr),
			  "ranges are for toCIDR and fromCIDR in a policy");
		return false;
	}
	*ret = (struct address){ .family = cidr.family == 4 ? AF_INET : AF_INET6 };
	memcpy(ret->ip, cidr.ip, sizeof(ret->ip));
	return true;
}

static void read_addresses(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;
	struct peer_settings *p = into->peer;
	struct address one;

	if (!reader_is_list(r, value, "\"addresses\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++) {
		if (!read_address(r, value->items[i], &one))
			continue;
		p->addresses = reader_extend(r, p->addresses, p->n_addresses, sizeof(one));
		if (p->addresses)
			p->addresses[p->n_addresses++] = one;
	}
}

static void read_peer(struct reader *r, const struct node *item, struct into *into)
{
	static const struct field fields[] = {
		{ "namespace", read_namespace, NULL, NULL },
		{ "labels", read_labels, NULL, NULL },
		{ "addresses", read_addresses, NULL, NULL },
	};
	struct agent_settings *s = into->all;
	struct peer_settings p = { .addresses = NULL }, *items;

	into->peer = &p;
	if (reader_fields(r, item, "a peer", fields, ARRAY_SIZE(fields), into)) {
		if (!node_get(item, "labels"))
			diag_hint(r->diag, reader_error(r, item, "a peer needs \"labels\""),
				  "{} is one without any");
		if (!node_get(item, "addresses"))
			reader_error(r, item, "a peer needs \"addresses\"");
	}
	into->peer = NULL;
	items = reader_extend(r, s->peers, s->n_peers, sizeof(*items));
	if (!items)
		return;
	s->peers = items;
	s->peers[s->n_peers++] = p;
}

static void read_peers(struct reader *r, const struct node *value, void *into)
{
	if (!reader_is_list(r, value, "\"peers\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_peer(r, value->items[i], into);
}

void agent_settings_read_peers(struct reader *r, const struct node *value, void *settings)
{
	struct into into = { .all = settings };

	read_peers(r, value, &into);
}

/* ---- the rest ---- */

static void add_text(struct reader *r, const struct node *value, const char *what,
		     struct text_setting **list, size_t *n)
{
	struct text_setting text = { NULL, 0, 0 };

	set_text(r, value, what, &text);
	if (!text.text)
		return;
	*list = reader_extend(r, *list, *n, sizeof(**list));
	if (*list)
		(*list)[(*n)++] = text;
}

/* One, or a list of them. */
static void read_texts(struct reader *r, const struct node *value, const char *what,
		       struct text_setting **list, size_t *n)
{
	if (value->kind != NODE_LIST)
		add_text(r, value, what, list, n);
	else if (value->n == 0)
		reader_error(r, value, "%s is empty: nothing would be held", what);
	else
		for (size_t i = 0; i < value->n && !r->oom; i++)
			add_text(r, value->items[i], what, list, n);
}

static void read_policies(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	read_texts(r, value, "\"policies\"", &into->all->policies, &into->all->n_policies);
}

/* ---- pods ---- */

static void read_runtime(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_text(r, value, "\"runtime\"", &into->all->pods.runtime);
}

static void read_cgroups(struct reader *r, const struct node *value, void *ctx)
{
	struct pods_settings *pods = &((struct into *)ctx)->all->pods;

	read_texts(r, value, "\"cgroups\"", &pods->cgroups, &pods->n_cgroups);
}

static void read_hold(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_switch(r, value, "\"hold\"", &into->all->pods.hold);
}

static void read_pods(struct reader *r, const struct node *value, void *ctx)
{
	static const struct field fields[] = {
		{ "runtime", read_runtime, NULL, NULL },
		{ "cgroups", read_cgroups, NULL, NULL },
		{ "hold", read_hold, NULL, NULL },
	};
	struct into *into = ctx;

	into->all->pods.given =
		reader_fields(r, value, "\"pods\"", fields, ARRAY_SIZE(fields), into);
}

/* ---- all of it ---- */

static void read_limits(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	settings_read_map(r, value, "limits", &into->all->limits, &into->all->n_limits);
}

static void read_ports(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	settings_read_map(r, value, "ports", &into->all->ports, &into->all->n_ports);
}

static void read_secrets(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_text(r, value, "\"secrets\"", &into->all->secrets);
}

static void read_log(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_text(r, value, "\"log\"", &into->all->log);
}

static void read_state(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	set_text(r, value, "\"state\"", &into->all->state);
}

static void read_workers(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	reader_is_number(r, value, "\"workers\"", 1, into->workers_max, &into->all->workers);
}

static void read_audit(struct reader *r, const struct node *value, void *ctx)
{
	struct into *into = ctx;

	reader_is_bool(r, value, "\"audit\"", &into->all->audit);
}

static void read_root(struct reader *r, const struct node *root, void *into)
{
	static const struct field fields[] = {
		{ "workloads", read_workloads, NULL, NULL },
		{ "policies", read_policies, NULL, NULL },
		{ "peers", read_peers, NULL, NULL },
		{ "pods", read_pods, NULL, NULL },
		{ "ports", read_ports, NULL, NULL },
		{ "secrets", read_secrets, NULL, NULL },
		{ "limits", read_limits, NULL, NULL },
		{ "log", read_log, NULL, NULL },
		{ "workers", read_workers, NULL, NULL },
		{ "audit", read_audit, NULL, NULL },
		{ "state", read_state, NULL, NULL },
		{ "hold-loopback", read_loopback, NULL, NULL },
		{ "hold-host", read_host, NULL, NULL },
	};

	if (!reader_fields(r, root, "the configuration", fields, ARRAY_SIZE(fields), into))
		return;
	if (!node_get(root, "policies"))
		diag_hint(r->diag, reader_error(r, root, "there is no \"policies\""),
			  "name a file of policies, or a directory of them");
	if (!node_get(root, "workloads") && !node_get(root, "pods"))
		diag_hint(r->diag, reader_error(r, root, "there is no \"workloads\""),
			  "[] holds nobody yet; \"pods: {}\" those of a container runtime");
}

/* An empty text has no document; it lacks everything. */
static int check_not_empty(struct settings_document *doc, int error)
{
	if (error == 0 && !doc->found) {
		diag_hint(doc->reader.diag,
			  diag_add(doc->reader.diag, doc->reader.file, 0, 0,
				   "there is nothing in it"),
			  "it needs \"workloads\" or \"pods\", and \"policies\"");
		error = doc->reader.diag->oom ? -ENOMEM : -EINVAL;
	}
	return error;
}

static struct settings_document make_document(struct into *into, struct diag *diag)
{
	return (struct settings_document){
		.reader = { .mem = &into->all->mem,
			    .diag = diag,
			    .null_hint = "give it one, or leave the key out" },
		.read_root = read_root,
		.ctx = into,
	};
}

int agent_settings_read(const char *path, unsigned workers_max, struct agent_settings *ret,
			struct diag *diag)
{
	struct into into = { .all = ret, .workers_max = workers_max };
	struct settings_document doc = make_document(&into, diag);
	int error = settings_read_document(&doc, path);

	ret->file = doc.reader.file;
	ret->digest = doc.reader.digest;
	return check_not_empty(&doc, error);
}

int agent_settings_read_text(const char *name, const char *text, size_t len, unsigned workers_max,
			     struct agent_settings *ret, struct diag *diag)
{
	struct into into = { .all = ret, .workers_max = workers_max };
	struct settings_document doc = make_document(&into, diag);
	int error = settings_read_document_text(&doc, name, text, len);

	ret->file = doc.reader.file;
	ret->digest = doc.reader.digest;
	return check_not_empty(&doc, error);
}

void agent_settings_done(struct agent_settings *s)
{
	arena_done(&s->mem);
	*s = (struct agent_settings){ .n_workloads = 0 };
}
