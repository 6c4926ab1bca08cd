// SPDX-License-Identifier: Apache-2.0
#include "endpoints.h"

#include <errno.h>
#include <stdlib.h>

struct endpoint {
	struct label *labels;
	size_t n_labels;
	struct cidr *addresses;
	size_t n_addresses;
	struct named_port *ports;
	size_t n_ports;
};

static int compare_addresses(const void *left, const void *right)
{
	const struct cidr *a = left, *b = right;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->ip, b->ip, sizeof(a->ip));
}

static void sort_list(struct address_list *list)
{
	size_t n = 0;

	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), compare_addresses);
	for (size_t i = 0; i < list->n; i++)
		if (n == 0 || compare_addresses(&list->items[n - 1], &list->items[i]) != 0)
			list->items[n++] = list->items[i];
	list->n = n;
}

/* Put LIST, whose memory is taken, in the place of OLD: the same content keeps its number. */
static void replace_list(struct endpoints *e, struct address_list *old, struct address_list list)
{
	bool same = old->serial && old->n == list.n;

	for (size_t i = 0; same && i < list.n; i++)
		same = compare_addresses(&old->items[i], &list.items[i]) == 0;
	if (same) {
		free(list.items);
		return;
	}
	free(old->items);
	*old = list;
	old->serial = ++e->serials;
}

/* False: it is no address of the Internet. */
static bool convert(const struct address *from, struct cidr *to)
{
	struct address a = *from;

	address_unmap(&a);
	memset(to, 0, sizeof(*to));
	to->family = a.family == AF_INET ? 4 : 6;
	to->len = a.family == AF_INET ? 32 : 128;
	memcpy(to->ip, a.ip, to->len / 8);
	return a.family == AF_INET || a.family == AF_INET6;
}

static int copy_ports(struct arena *mem, const struct policy_endpoint *from, struct endpoint *to)
{
	to->ports = arena_alloc(mem, (from->n_ports + 1) * sizeof(*to->ports));
	if (!to->ports)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_ports; i++) {
		to->ports[i] = from->ports[i];
		to->ports[i].name =
			arena_copy(mem, from->ports[i].name, strlen(from->ports[i].name));
		if (!to->ports[i].name)
			return -ENOMEM;
	}
	to->n_ports = from->n_ports;
	return 0;
}

static int copy_endpoint(struct arena *mem, const struct policy_endpoint *from, struct endpoint *to)
{
	to->labels = arena_alloc(mem, (from->n_labels + 1) * sizeof(*to->labels));
	to->addresses = arena_alloc(mem, (from->n_addresses + 1) * sizeof(*to->addresses));
	if (!to->labels || !to->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_labels; i++) {
		const struct label *l = &from->labels[i];

		to->labels[i].key = arena_copy(mem, l->key, strlen(l->key));
		to->labels[i].value = arena_copy(mem, l->value, strlen(l->value));
		if (!to->labels[i].key || !to->labels[i].value)
			return -ENOMEM;
	}
	to->n_labels = from->n_labels;
	for (size_t i = 0; i < from->n_addresses; i++)
		to->n_addresses += convert(&from->addresses[i], &to->addresses[to->n_addresses]);
	return copy_ports(mem, from, to);
}

static bool selects(const struct peers *peers, const char *name, const struct endpoint *e)
{
	bool here = labels_in_namespace(name, e->labels, e->n_labels);

	for (size_t i = 0; i < peers->n_endpoints; i++)
		if ((here || peers->endpoints[i].anywhere) &&
		    selector_matches(&peers->endpoints[i], e->labels, e->n_labels))
			return true;
	return false;
}

static int add_addresses(struct address_list *list, size_t *size, const struct endpoint *e)
{
	if (*size - list->n < e->n_addresses) {
		size_t wanted = (*size + e->n_addresses) * 2;
		struct cidr *longer = realloc(list->items, wanted * sizeof(*longer));

		if (!longer)
			return -ENOMEM;
		list->items = longer;
		*size = wanted;
	}
	for (size_t i = 0; i < e->n_addresses; i++)
		list->items[list->n++] = e->addresses[i];
	return 0;
}

/* The addresses of those of N endpoints that PEERS select in the namespace NAME, or with NULL of
 * all. */
static int make_list(const struct endpoint *items, size_t n, const struct peers *peers,
		     const char *name, struct address_list *ret)
{
	size_t size = 0;
	int r = 0;

	*ret = (struct address_list){ .items = NULL };
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!peers || selects(peers, name, &items[i]))
			r = add_addresses(ret, &size, &items[i]);
	if (r == 0)
		sort_list(ret);
	else
		free(ret->items);
	return r;
}

int endpoints_set(struct endpoints *e, const struct policy_endpoint *from, size_t n)
{
	struct arena mem = { .blocks = NULL };
	struct endpoint *items = arena_alloc(&mem, (n + 1) * sizeof(*items));
	struct address_list known;
	int r = items ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = copy_endpoint(&mem, &from[i], &items[i]);
	if (r == 0)
		r = make_list(items, n, NULL, NULL, &known);
	if (r < 0) {
		arena_done(&mem);
		return r;
	}
	arena_done(&e->mem);
	e->mem = mem;
	e->items = items;
	e->n = n;
	e->round++;
	replace_list(e, &e->known, known);
	return 0;
}

static struct endpoint_group *group_of(struct endpoints *e, struct peers *peers, const char *name)
{
	struct endpoint_group *g = peers->groups;

	while (g && strcmp(g->namespace_, name) != 0)
		g = g->next;
	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->namespace_ = strdup(name);
	if (!g->namespace_) {
		free(g);
		return NULL;
	}
	g->next = peers->groups;
	g->next_made = e->made;
	peers->groups = e->made = g;
	return g;
}

int endpoints_select(struct endpoints *e, struct peers *peers, const char *workload,
		     const struct address_list **ret)
{
	const char *name = *peers->namespace_ ? peers->namespace_ : workload;
	struct endpoint_group *g = group_of(e, peers, name);
	struct address_list list;
	int r;

	if (!g)
		return -ENOMEM;
	if (!g->list.serial || g->round != e->round) {
		r = make_list(e->items, e->n, peers, name, &list);
		if (r != 0)
			return r;
		replace_list(e, &g->list, list);
		g->round = e->round;
	}
	*ret = &g->list;
	return 0;
}

int endpoints_each_port(const struct endpoints *e, const struct peers *peers, const char *workload,
			int (*fn)(void *ctx, const struct named_port *port,
				  const struct cidr *addresses, size_t n),
			void *ctx)
{
	/* Without selectors it is not there. */
	const char *name = peers->namespace_ && *peers->namespace_ ? peers->namespace_ : workload;
	bool all = peers->any || peers->entities & ENTITY_ENDPOINTS;
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->n; i++)
		for (size_t j = 0; r == 0 && j < e->items[i].n_ports; j++)
			if (all || selects(peers, name, &e->items[i]))
				r = fn(ctx, &e->items[i].ports[j], e->items[i].addresses,
				       e->items[i].n_addresses);
	return r;
}

void endpoints_done(struct endpoints *e)
{
	while (e->made) {
		struct endpoint_group *g = e->made;

		e->made = g->next_made;
		free(g->list.items);
		free(g->namespace_);
		free(g);
	}
	free(e->known.items);
	arena_done(&e->mem);
}
