// SPDX-License-Identifier: Apache-2.0
/* The order of the steps, and the flat tables at their end. */
#include "l4_compile.h"

#include <errno.h>
#include <netinet/in.h>

static int number_port_rules(struct l4 *c)
{
	size_t n = 0;

	c->first_port_rule = arena_alloc(c->mem, (c->n_rules + 1) * sizeof(uint32_t));
	if (!c->first_port_rule)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_rules; i++) {
		c->first_port_rule[i] = (uint32_t)n;
		n += c->rules[i]->n_ports;
	}
	c->port_rules = arena_alloc(c->mem, (n + 1) * sizeof(struct port_rule *));
	if (!c->port_rules)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_rules; i++)
		for (size_t j = 0; j < c->rules[i]->n_ports; j++)
			c->port_rules[c->first_port_rule[i] + j] = &c->rules[i]->ports[j];
	return 0;
}

static bool same_ranges(const struct l4_ranges *a, const struct l4_ranges *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].first != b->items[i].first ||
		    a->items[i].last != b->items[i].last ||
		    a->items[i].action != b->items[i].action ||
		    a->items[i].rules != b->items[i].rules)
			return false;
	return true;
}

static uint64_t hash_ranges(uint64_t h, const struct l4_ranges *ranges)
{
	for (size_t i = 0; i < ranges->n; i++) {
		const struct l4_range *r = &ranges->items[i];

		h = hash_bytes(h, &r->first, sizeof(r->first));
		h = hash_bytes(h, &r->last, sizeof(r->last));
		h = hash_byte(h, r->action);
		h = hash_bytes(h, &r->rules, sizeof(r->rules));
	}
	return hash_byte(h, 0xff);
}

/* Identities that say the same of every port are one in the tables. */
static int number_identities(struct l4 *c)
{
	struct hash_table known = { NULL, 0, 0 };
	uint32_t numbers = 0;

	for (size_t i = 0; i < c->n_identities; i++) {
		struct l4_identity *id = &c->identities[i];
		uint64_t hash =
			hash_final(hash_ranges(hash_ranges(HASH_START, &id->tcp), &id->udp));
		size_t at = 0;
		uint32_t other;

		while ((other = hash_table_next(&known, hash, &at)) != HASH_NONE)
			if (same_ranges(&id->tcp, &c->identities[other].tcp) &&
			    same_ranges(&id->udp, &c->identities[other].udp))
				break;
		if (other != HASH_NONE) {
			id->number = c->identities[other].number;
			continue;
		}
		id->number = ++numbers;
		if (hash_table_add(&known, c->mem, hash, (uint32_t)i) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_peer(struct l4 *c, struct l4_table *t, const struct l4_node *n, bool local)
{
	struct l4_peer *list = arena_extend(c->keep, t->peers, t->n_peers, sizeof(*list));
	struct l4_peer *p;

	if (!list)
		return -ENOMEM;
	t->peers = list;
	p = &list[t->n_peers++];
	p->direction = (uint8_t)c->direction;
	p->local = local;
	p->family = n->prefix.family;
	p->prefix_len = n->prefix.len;
	memcpy(p->ip, n->prefix.ip, sizeof(p->ip));
	p->identity = c->identities[n->identity].number;
	return 0;
}

static int add_peers(struct l4 *c, struct l4_table *t)
{
	int r = 0;

	for (size_t i = 0; i < L4_TREES; i++) {
		const struct l4_tree *tree = &c->trees[i];

		for (size_t j = 0; r == 0 && j < tree->n_nodes; j++) {
			const struct l4_node *n = &tree->nodes[j];
			uint32_t number = c->identities[n->identity].number;

			/* A prefix that says the same as the one around it adds nothing. */
			if (n->parent != UINT32_MAX &&
			    c->identities[tree->nodes[n->parent].identity].number == number)
				continue;
			r = add_peer(c, t, n, i % 2);
		}
	}
	return r;
}

static int add_port(struct l4 *c, struct l4_table *t, struct l4_port port)
{
	struct l4_port *list = arena_extend(c->keep, t->ports, t->n_ports, sizeof(*list));

	if (!list)
		return -ENOMEM;
	t->ports = list;
	list[t->n_ports++] = port;
	return 0;
}

/* FIRST to LAST as the fewest blocks whose size is a power of two, at a multiple of it. */
static int add_blocks(struct l4 *c, struct l4_table *t, struct l4_port port, uint32_t first,
		      uint32_t last)
{
	int r = 0;

	while (r == 0 && first <= last) {
		unsigned bits = 0;

		while (bits < 16 && (first & ((2u << bits) - 1)) == 0 &&
		       first + (2u << bits) - 1 <= last)
			bits++;
		port.port = (uint16_t)first;
		port.prefix_len = (uint8_t)(16 - bits);
		r = add_port(c, t, port);
		first += 1u << bits;
	}
	return r;
}

static int add_ranges(struct l4 *c, struct l4_table *t, const struct l4_ranges *ranges,
		      uint32_t identity, uint8_t protocol)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ranges->n;) {
		const struct l4_range *range = &ranges->items[i];
		struct l4_port port = { .direction = (uint8_t)c->direction,
					.identity = identity,
					.protocol = protocol,
					.action = range->action };
		uint32_t last = range->last;

		/* The kernel does not tell rulesets apart. */
		while (++i < ranges->n && ranges->items[i].first == last + 1 &&
		       ranges->items[i].action == range->action)
			last = ranges->items[i].last;
		r = add_blocks(c, t, port, range->first, last);
	}
	return r;
}

int l4_compile(struct l4 *c, struct l4_table *table)
{
	uint32_t done = 0;
	int r = number_port_rules(c);

	if (r == 0)
		r = l4_build_trees(c);
	for (size_t i = 0; r == 0 && i < c->n_identities; i++)
		r = l4_build_ports(c, &c->identities[i]);
	if (r == 0)
		r = number_identities(c);
	if (r == 0)
		r = add_peers(c, table);
	for (size_t i = 0; r == 0 && i < c->n_identities; i++) {
		const struct l4_identity *id = &c->identities[i];

		if (id->number <= done)
			continue;
		done = id->number;
		r = add_ranges(c, table, &id->tcp, id->number, IPPROTO_TCP);
		if (r == 0)
			r = add_ranges(c, table, &id->udp, id->number, IPPROTO_UDP);
	}
	return r;
}
