// SPDX-License-Identifier: Apache-2.0
/* Which rules cover which addresses.
 *
 * Sorted by address and then by length, prefixes come in the order of a walk through their tree:
 * each is followed by those within it. The walk keeps the set of rules that cover the place where
 * it is. A rule counts how many of its entries do: an address range adds one, an exception within
 * it takes that one away. What an entity covers it covers everywhere, but for the addresses of
 * endpoints, which are not the world. */
#include "l4_compile.h"

#include <errno.h>
#include <stdlib.h>

struct change {
	struct cidr prefix;
	uint32_t rule;
	int delta;
	bool remote; /* only where it is not an address of this host */
};

struct walk {
	struct l4 *c;
	struct l4_tree *tree;
	bool local;
	const struct change *changes; /* of one family, sorted */
	size_t n_changes;
	int *counts;	  /* by rule */
	uint32_t *active; /* sorted: the rules whose count is above 0 */
	size_t n_active;
	struct open {
		uint32_t node;
		size_t first, end; /* its changes */
	} stack[130];
	size_t depth;
};

static bool same_prefix(const struct cidr *a, const struct cidr *b)
{
	return a->family == b->family && a->len == b->len && memcmp(a->ip, b->ip, 16) == 0;
}

static int compare_changes(const void *left, const void *right)
{
	const struct change *a = left, *b = right;
	int r;

	if (a->prefix.family != b->prefix.family)
		return a->prefix.family < b->prefix.family ? -1 : 1;
	r = memcmp(a->prefix.ip, b->prefix.ip, sizeof(a->prefix.ip));
	if (r == 0)
		r = (a->prefix.len > b->prefix.len) - (a->prefix.len < b->prefix.len);
	return r;
}

static size_t find_active(const struct walk *w, uint32_t rule)
{
	size_t low = 0, high = w->n_active;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (w->active[middle] < rule)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void count_rule(struct walk *w, uint32_t rule, int delta)
{
	int before = w->counts[rule], after = before + delta;
	size_t at;

	w->counts[rule] = after;
	if ((before > 0) == (after > 0))
		return;
	at = find_active(w, rule);
	if (after > 0) {
		memmove(w->active + at + 1, w->active + at,
			(w->n_active - at) * sizeof(*w->active));
		w->active[at] = rule;
		w->n_active++;
	} else {
		w->n_active--;
		memmove(w->active + at, w->active + at + 1,
			(w->n_active - at) * sizeof(*w->active));
	}
}

static void count_changes(struct walk *w, size_t first, size_t end, int sign)
{
	for (size_t i = first; i < end; i++)
		if (!w->changes[i].remote || !w->local)
			count_rule(w, w->changes[i].rule, sign * w->changes[i].delta);
}

/* The identity of the rules that are active now. UINT32_MAX when out of memory. */
static uint32_t current_identity(struct walk *w)
{
	struct l4 *c = w->c;
	size_t bytes = w->n_active * sizeof(*w->active), at = 0;
	uint64_t hash = hash_final(hash_bytes(HASH_START, w->active, bytes));
	struct l4_identity *list;
	uint32_t i;
	void *copy;

	while ((i = hash_table_next(&c->by_rules, hash, &at)) != HASH_NONE) {
		const struct l4_identity *id = &c->identities[i];

		if (id->n_rules == w->n_active &&
		    (bytes == 0 || memcmp(id->rules, w->active, bytes) == 0))
			return i;
	}
	list = arena_extend(c->keep, c->identities, c->n_identities, sizeof(*list));
	copy = arena_copy(c->mem, (const char *)w->active, bytes);
	if (!list || !copy)
		return UINT32_MAX;
	c->identities = list;
	if (hash_table_add(&c->by_rules, c->mem, hash, (uint32_t)c->n_identities) < 0)
		return UINT32_MAX;
	list[c->n_identities] = (struct l4_identity){ .rules = copy, .n_rules = w->n_active };
	return (uint32_t)c->n_identities++;
}

static int add_border(struct walk *w, const uint8_t ip[16], uint32_t identity)
{
	struct l4_tree *t = w->tree;
	struct l4_border *list;

	/* A later border at the same address is the deeper or the wider one that counts. */
	if (t->n_borders && memcmp(t->borders[t->n_borders - 1].ip, ip, 16) == 0) {
		t->borders[t->n_borders - 1].identity = identity;
		return 0;
	}
	list = arena_extend(w->c->keep, t->borders, t->n_borders, sizeof(*list));
	if (!list)
		return -ENOMEM;
	t->borders = list;
	memcpy(list[t->n_borders].ip, ip, 16);
	list[t->n_borders++].identity = identity;
	return 0;
}

static int add_node(struct walk *w, const struct cidr *prefix, uint32_t parent)
{
	struct l4_tree *t = w->tree;
	struct l4_node *list = arena_extend(w->c->mem, t->nodes, t->n_nodes, sizeof(*list));
	uint32_t identity = current_identity(w);

	if (!list || identity == UINT32_MAX)
		return -ENOMEM;
	t->nodes = list;
	list[t->n_nodes++] =
		(struct l4_node){ .prefix = *prefix, .parent = parent, .identity = identity };
	return add_border(w, prefix->ip, identity);
}

/* Enter the prefix of the changes FIRST to END. */
static int enter(struct walk *w, const struct cidr *prefix, size_t first, size_t end)
{
	uint32_t parent = w->depth ? w->stack[w->depth - 1].node : UINT32_MAX;

	count_changes(w, first, end, 1);
	w->stack[w->depth++] =
		(struct open){ .node = (uint32_t)w->tree->n_nodes, .first = first, .end = end };
	return add_node(w, prefix, parent);
}

/* The first address behind PREFIX; false if there is none. */
static bool next_address(const struct cidr *prefix, uint8_t ip[16])
{
	unsigned at = prefix->len;

	memcpy(ip, prefix->ip, 16);
	while (at > 0) {
		at--;
		ip[at / 8] ^= (uint8_t)(0x80u >> at % 8);
		if (ip[at / 8] & (0x80u >> at % 8))
			return true;
	}
	return false;
}

static int leave(struct walk *w)
{
	const struct open *o = &w->stack[--w->depth];
	const struct l4_node *n = &w->tree->nodes[o->node];
	uint8_t ip[16];

	count_changes(w, o->first, o->end, -1);
	if (n->parent == UINT32_MAX || !next_address(&n->prefix, ip))
		return 0;
	return add_border(w, ip, w->tree->nodes[n->parent].identity);
}

static void activate_everywhere(struct walk *w, uint8_t family)
{
	unsigned world = family == 4 ? ENTITY_WORLD4 : ENTITY_WORLD6;
	unsigned entity = w->local ? ENTITY_LOCAL : world;

	memset(w->counts, 0, w->c->n_rules * sizeof(*w->counts));
	w->n_active = w->depth = 0;
	for (size_t i = 0; i < w->c->n_rules; i++) {
		const struct peers *p = &w->c->rules[i]->peers;

		if (p->any || p->entities & entity)
			count_rule(w, (uint32_t)i, 1);
	}
}

static int walk_tree(struct walk *w, uint8_t family)
{
	struct cidr root = { .family = family };
	size_t i = 0;
	int r;

	activate_everywhere(w, family);
	while (i < w->n_changes && w->changes[i].prefix.len == 0)
		i++;
	r = enter(w, &root, 0, i);
	while (r == 0 && i < w->n_changes) {
		const struct cidr *prefix = &w->changes[i].prefix;
		size_t end = i + 1;

		while (r == 0 &&
		       !cidr_is_within(prefix, &w->tree->nodes[w->stack[w->depth - 1].node].prefix))
			r = leave(w);
		while (end < w->n_changes && same_prefix(&w->changes[end].prefix, prefix))
			end++;
		if (r == 0)
			r = enter(w, prefix, i, end);
		i = end;
	}
	while (r == 0 && w->depth)
		r = leave(w);
	return r;
}

static int add_change(struct l4 *c, struct change **list, size_t *n, struct change change)
{
	struct change *longer = arena_extend(c->mem, *list, *n, sizeof(**list));

	if (!longer)
		return -ENOMEM;
	*list = longer;
	longer[(*n)++] = change;
	return 0;
}

/* An exception within another, or the same again, must not take the range away twice. */
static bool is_covered(const struct cidr_set *set, size_t at)
{
	for (size_t i = 0; i < set->n_except; i++) {
		const struct cidr *other = &set->except[i], *self = &set->except[at];

		if (i != at && cidr_is_within(self, other) && (!same_prefix(self, other) || i < at))
			return true;
	}
	return false;
}

static int collect_cidrs(struct l4 *c, uint32_t rule, struct change **list, size_t *n)
{
	const struct peers *p = &c->rules[rule]->peers;
	int r = 0;

	for (size_t j = 0; r == 0 && j < p->n_cidrs; j++) {
		const struct cidr_set *set = &p->cidrs[j];

		r = add_change(c, list, n, (struct change){ set->cidr, rule, 1, false });
		for (size_t k = 0; r == 0 && k < set->n_except; k++)
			if (!is_covered(set, k))
				r = add_change(c, list, n,
					       (struct change){ set->except[k], rule, -1, false });
	}
	return r;
}

/* Whom its selectors select, and where the addresses of endpoints are not as those around them. */
static int collect_endpoints(struct l4 *c, uint32_t rule, struct change **list, size_t *n)
{
	const struct address_list *selected = c->endpoints ? c->endpoints[rule] : NULL;
	const struct peers *p = &c->rules[rule]->peers;
	int r = 0;

	for (size_t i = 0; r == 0 && selected && i < selected->n; i++)
		r = add_change(c, list, n, (struct change){ selected->items[i], rule, 1, false });
	for (size_t i = 0; r == 0 && c->known && i < c->known->n; i++) {
		const struct cidr *address = &c->known->items[i];
		unsigned world = address->family == 4 ? ENTITY_WORLD4 : ENTITY_WORLD6;
		int delta = !!(p->entities & ENTITY_ENDPOINTS) - !!(p->entities & world);

		if (delta)
			r = add_change(c, list, n, (struct change){ *address, rule, delta, true });
	}
	return r;
}

static int collect_changes(struct l4 *c, struct change **list, size_t *n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_rules; i++) {
		r = collect_cidrs(c, (uint32_t)i, list, n);
		if (r == 0)
			r = collect_endpoints(c, (uint32_t)i, list, n);
	}
	return r;
}

int l4_build_trees(struct l4 *c)
{
	struct change *changes = NULL;
	size_t n = 0, n4 = 0;
	struct walk *w = arena_alloc(c->mem, sizeof(*w));
	int r = w ? collect_changes(c, &changes, &n) : -ENOMEM;

	if (r < 0)
		return r;
	w->c = c;
	w->counts = arena_alloc(c->mem, (c->n_rules + 1) * sizeof(*w->counts));
	w->active = arena_alloc(c->mem, (c->n_rules + 1) * sizeof(*w->active));
	if (!w->counts || !w->active)
		return -ENOMEM;
	if (n)
		qsort(changes, n, sizeof(*changes), compare_changes);
	while (n4 < n && changes[n4].prefix.family == 4)
		n4++;
	for (unsigned i = 0; r == 0 && i < L4_TREES; i++) {
		uint8_t family = i < 2 ? 4 : 6;

		w->local = i % 2;
		w->tree = &c->trees[l4_tree_index(family, w->local)];
		w->changes = family == 6 && n4 ? changes + n4 : changes;
		w->n_changes = family == 4 ? n4 : n - n4;
		r = walk_tree(w, family);
	}
	return r;
}

const struct l4_identity *l4_find_identity(const struct l4 *c, uint8_t family, const uint8_t *ip,
					   bool local)
{
	const struct l4_tree *t = &c->trees[l4_tree_index(family, local)];
	size_t low = 0, high = t->n_borders;

	if (t->n_borders == 0)
		return NULL;
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (memcmp(t->borders[middle].ip, ip, 16) <= 0)
			low = middle;
		else
			high = middle;
	}
	return &c->identities[t->borders[low].identity];
}
