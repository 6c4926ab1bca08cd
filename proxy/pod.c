/* SPDX-License-Identifier: Apache-2.0 */
#include "pod.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent_config.h"
#include "cgroup_pattern.h"
#include "json_read.h"

#define PORTS_MAX 256 /* of one pod; what comes after them has no name */

static const char *copy(struct pod *p, const char *text)
{
	return arena_copy(&p->mem, text, strlen(text));
}

/* ---- labels ---- */

/* A pod's author must not be able to say them. */
static bool is_reserved(const char *key)
{
	static const char *const prefixes[] = { "io.kubernetes.pod.", "io.cilium.k8s." };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static int add_labels(struct pod *p, const struct cri_pod *from)
{
	p->labels = arena_alloc(&p->mem, (from->n_labels + 1) * sizeof(*p->labels));
	if (!p->labels)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_labels; i++) {
		struct label *l = &p->labels[p->n_labels];

		if (is_reserved(from->labels[i].key))
			continue;
		l->key = arena_printf(&p->mem, "k8s:%s", from->labels[i].key);
		l->value = copy(p, from->labels[i].value);
		if (!l->key || !l->value)
			return -ENOMEM;
		p->n_labels++;
	}
	p->labels[p->n_labels++] = (struct label){ AGENT_NAMESPACE_LABEL, p->namespace_ };
	return 0;
}

/* ---- ports ---- */

static uint8_t protocol_of(struct span port)
{
	struct span value;
	char text[8] = "TCP"; /* where nothing is said, as Kubernetes has it */

	if (json_member(port, "protocol", &value) && !json_text(value, text, sizeof(text)))
		return 0;
	if (strcmp(text, "TCP") == 0)
		return IPPROTO_TCP;
	return strcmp(text, "UDP") == 0 ? IPPROTO_UDP : 0;
}

/* One of the kubelet's: {"name": "http", "containerPort": 8080, "protocol": "TCP"}. Those without a
 * name need none. */
static int add_port(struct pod *p, struct span from)
{
	uint8_t protocol = protocol_of(from);
	struct span value;
	char name[16];
	int64_t number;

	if (!protocol || !json_member(from, "name", &value) ||
	    !json_text(value, name, sizeof(name)) || !policy_is_port_name(span_of(name)) ||
	    !json_member(from, "containerPort", &value) || !json_integer(value, &number) ||
	    number < 1 || number > 65535 || p->n_ports == PORTS_MAX)
		return 0;
	p->ports = arena_extend(&p->mem, p->ports, p->n_ports, sizeof(*p->ports));
	if (!p->ports)
		return -ENOMEM;
	p->ports[p->n_ports] = (struct named_port){
		.name = copy(p, name),
		.protocol = protocol,
		.port = (uint16_t)number,
	};
	return p->ports[p->n_ports++].name ? 0 : -ENOMEM;
}

static int add_ports(struct pod *p, const struct cri_container *from)
{
	struct span list, port;
	int r = 0;

	if (!from->ports || !json_check(span_of(from->ports), &list))
		return 0;
	while (r == 0 && json_next(&list, &port))
		r = add_port(p, port);
	return r;
}

/* ---- cgroups ---- */

/* PATH, in which nothing stands for anything else, and MORE behind it. */
static int add_cgroup(struct pod *p, const char *path, size_t len, const char *more)
{
	char *text = arena_alloc(&p->mem, 3 * len + strlen(more) + 1), *to = text;

	p->cgroups = arena_extend(&p->mem, p->cgroups, p->n_cgroups, sizeof(*p->cgroups));
	if (!text || !p->cgroups)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++)
		if (strchr("*?[", path[i])) {
			*to++ = '[';
			*to++ = path[i];
			*to++ = ']';
		} else {
			*to++ = path[i];
		}
	memcpy(to, more, strlen(more));
	p->cgroups[p->n_cgroups++] = text;
	return 0;
}

/* Where the id of a sandbox or a container of the pod stands in PATH, and how long it is. */
static const char *find_id(const struct cri_pod *from, const char *path, size_t *len)
{
	const char *at = strstr(path, from->id);

	*len = strlen(from->id);
	for (size_t i = 0; !at && i < from->n_containers; i++) {
		at = strstr(path, from->containers[i].id);
		*len = strlen(from->containers[i].id);
	}
	return *len > 0 ? at : NULL;
}

static int add_sibling(struct pod *p, const char *path, const char *at, size_t len, const char *id)
{
	char *other = arena_printf(&p->mem, "%.*s%s%s", (int)(at - path), path, id, at + len);

	return other ? add_cgroup(p, other, strlen(other), "") : -ENOMEM;
}

/* A layout that is not known: the process's own cgroup and, where the runtime names cgroups after
 * containers, those of the others beside it. A process whose cgroup bears none of our ids may not
 * be ours any more. */
static int add_unknown(struct pod *p, const struct cri_pod *from, const char *path)
{
	size_t len;
	const char *at = find_id(from, path, &len);
	int r;

	if (!at) {
		p->problem = "its process is in a cgroup that is not named after it";
		return 0;
	}
	p->problem = "its cgroups are laid out in a way that is not known: each container's is "
		     "held by itself, as soon as it is told";
	r = add_sibling(p, path, at, len, from->id);
	for (size_t i = 0; r == 0 && i < from->n_containers; i++)
		r = add_sibling(p, path, at, len, from->containers[i].id);
	return r;
}

static int add_found(struct pod *p, const struct cri_pod *from, const struct pod_cgroup *found)
{
	p->how = found->how;
	switch (found->how) {
	case POD_CGROUP_OWN:
	case POD_CGROUP_TOLD:
		return add_cgroup(p, found->path, strlen(found->path), "");
	case POD_CGROUP_EACH:
		return add_cgroup(p, found->path, strlen(found->path), "*");
	case POD_CGROUP_OF_PROCESS:
		return add_unknown(p, from, found->path);
	}
	return 0;
}

static int take_cgroups(struct pod *p, const struct pod *old)
{
	int r = 0;

	p->how = old->how;
	p->problem = old->problem;
	for (size_t i = 0; r == 0 && i < old->n_cgroups; i++) {
		p->cgroups = arena_extend(&p->mem, p->cgroups, i, sizeof(*p->cgroups));
		if (!p->cgroups || !(p->cgroups[i] = copy(p, old->cgroups[i])))
			return -ENOMEM;
		p->n_cgroups++;
	}
	return r;
}

static const char *explain(int error)
{
	if (error == -EXDEV)
		return "its cgroup cannot be seen from sluice's own cgroup namespace: sluice needs "
		       "the host's";
	if (error == -ENOENT)
		return "the runtime does not tell of a process yet";
	return "its cgroup cannot be told";
}

static int add_cgroups(struct pod *p, const struct cri_pod *from, const struct pod *old)
{
	struct {
		char text[POD_CGROUP_TEXT_MAX];
		struct pod_cgroup found;
	} *m = malloc(sizeof(*m));
	const struct cri_status *s = &from->status;
	int r = 0;

	if (!m)
		return -ENOMEM;
	if (s->pid)
		r = pod_cgroup_read(s->pid, m->text, sizeof(m->text));
	if (r == 0)
		r = pod_cgroup_find(from->uid, s->cgroup_parent[0] ? s->cgroup_parent : NULL,
				    s->pid ? m->text : NULL, &m->found);
	if (r == 0)
		r = add_found(p, from, &m->found);
	else if (r != -ENOMEM && old && old->n_cgroups > 0)
		r = take_cgroups(p, old);
	else if (r != -ENOMEM)
		p->problem = explain(r);
	free(m);
	return r == -ENOMEM ? r : 0;
}

/* ---- all of it ---- */

static int fill(struct pod *p, const struct cri_pod *from, const struct pod *old)
{
	const struct cri_status *s = &from->status;
	int r;

	p->id = copy(p, from->id);
	p->name = copy(p, from->name);
	p->namespace_ = copy(p, from->namespace);
	p->uid = copy(p, from->uid);
	p->addresses = arena_alloc(&p->mem, (s->n_addresses + 1) * sizeof(*p->addresses));
	if (!p->id || !p->name || !p->namespace_ || !p->uid || !p->addresses)
		return -ENOMEM;
	p->attempt = from->attempt;
	p->ready = from->ready;
	p->host_network = s->host_network;
	p->pid = s->pid;
	/* Those of a pod that is not ready may be another's already. */
	for (size_t i = 0; from->ready && !s->host_network && i < s->n_addresses; i++)
		p->addresses[p->n_addresses++] = s->addresses[i];
	r = add_labels(p, from);
	for (size_t i = 0; r == 0 && i < from->n_containers; i++)
		r = add_ports(p, &from->containers[i]);
	return r == 0 ? add_cgroups(p, from, old) : r;
}

int pod_new(const struct cri_pod *from, const struct pod *old, struct pod **ret)
{
	struct pod *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	atomic_init(&p->refs, 1);
	if (fill(p, from, old) < 0) {
		pod_unref(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

struct pod *pod_ref(struct pod *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void pod_unref(struct pod *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
		return;
	arena_done(&p->mem);
	free(p);
}

static bool same_labels(const struct pod *a, const struct pod *b)
{
	for (size_t i = 0; a->n_labels == b->n_labels && i < a->n_labels; i++)
		if (strcmp(a->labels[i].key, b->labels[i].key) != 0 ||
		    strcmp(a->labels[i].value, b->labels[i].value) != 0)
			return false;
	return a->n_labels == b->n_labels;
}

static bool same_places(const struct pod *a, const struct pod *b)
{
	for (size_t i = 0; a->n_addresses == b->n_addresses && i < a->n_addresses; i++)
		if (!address_same(&a->addresses[i], &b->addresses[i]))
			return false;
	for (size_t i = 0; a->n_cgroups == b->n_cgroups && i < a->n_cgroups; i++)
		if (strcmp(a->cgroups[i], b->cgroups[i]) != 0)
			return false;
	return a->n_addresses == b->n_addresses && a->n_cgroups == b->n_cgroups;
}

static bool same_ports(const struct pod *a, const struct pod *b)
{
	for (size_t i = 0; a->n_ports == b->n_ports && i < a->n_ports; i++)
		if (strcmp(a->ports[i].name, b->ports[i].name) != 0 ||
		    a->ports[i].protocol != b->ports[i].protocol ||
		    a->ports[i].port != b->ports[i].port)
			return false;
	return a->n_ports == b->n_ports;
}

bool pod_same(const struct pod *a, const struct pod *b)
{
	return strcmp(a->id, b->id) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->namespace_, b->namespace_) == 0 && strcmp(a->uid, b->uid) == 0 &&
	       a->attempt == b->attempt && a->ready == b->ready &&
	       a->host_network == b->host_network && same_labels(a, b) && same_places(a, b) &&
	       same_ports(a, b);
}

bool pod_has_cgroup(const struct pod *p, const char *path)
{
	for (size_t i = 0; i < p->n_cgroups; i++)
		if (strcmp(p->cgroups[i], path) == 0 || cgroup_pattern_matches(p->cgroups[i], path))
			return true;
	return false;
}

/* ---- the list ---- */

static int by_name(const void *one, const void *two)
{
	const struct pod *a = *(struct pod *const *)one, *b = *(struct pod *const *)two;
	int order = strcmp(a->namespace_, b->namespace_);

	if (order == 0)
		order = strcmp(a->name, b->name);
	if (order == 0)
		order = strcmp(a->uid, b->uid);
	if (order == 0)
		order = (int)b->ready - (int)a->ready;
	if (order == 0)
		order = (a->attempt < b->attempt) - (a->attempt > b->attempt);
	return order ? order : strcmp(a->id, b->id);
}

static bool same_pod(const struct pod *a, const struct pod *b)
{
	return strcmp(a->uid, b->uid) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->namespace_, b->namespace_) == 0;
}

int pod_list_new(struct pod *const *items, size_t n, struct pod_list **ret)
{
	struct pod_list *l = calloc(1, sizeof(*l));

	if (l)
		l->items = calloc(n + 1, sizeof(*l->items));
	if (!l || !l->items) {
		free(l);
		return -ENOMEM;
	}
	atomic_init(&l->refs, 1);
	if (n > 0)
		memcpy(l->items, items, n * sizeof(*items));
	qsort(l->items, n, sizeof(*l->items), by_name);
	for (size_t i = 0; i < n; i++)
		if (l->n == 0 || !same_pod(l->items[l->n - 1], l->items[i]))
			l->items[l->n++] = pod_ref(l->items[i]);
	*ret = l;
	return 0;
}

struct pod_list *pod_list_ref(struct pod_list *l)
{
	if (l)
		atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
	return l;
}

void pod_list_unref(struct pod_list *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) > 1)
		return;
	for (size_t i = 0; i < l->n; i++)
		pod_unref(l->items[i]);
	free(l->items);
	free(l);
}
