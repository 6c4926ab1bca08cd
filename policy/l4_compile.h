/* SPDX-License-Identifier: Apache-2.0 */
/* l4_compile.h - from rules to the flat tables of sluice/l4.h, and the same for user space.
 *
 * Three steps: l4_peers.c cuts the address space into prefixes and finds for each the set of rules
 * whose peers cover it (an identity); l4_ports.c cuts the ports of each identity into ranges with
 * one action, and asks for the ruleset of those that are steered; l4_compile.c joins what turned
 * out equal and writes the tables. */
#ifndef SLUICE_L4_COMPILE_H
#define SLUICE_L4_COMPILE_H

#include "endpoints.h"
#include "hash.h"
#include "model.h"
#include "ruleset.h"
#include "sluice/l4.h"

/* A range of ports with one action. Ranges that are refused are left out. */
struct l4_range {
	uint16_t first, last;
	uint8_t action;
	struct ruleset *rules; /* for L4_STEER */
};

struct l4_ranges {
	struct l4_range *items;
	size_t n;
};

struct l4_identity {
	const uint32_t *rules; /* sorted indices */
	size_t n_rules;
	struct l4_ranges tcp, udp;
	uint32_t number; /* in the tables, from 1; equal identities share one */
};

/* A prefix of the address space, in one of the four trees. */
struct l4_node {
	struct cidr prefix;
	uint32_t parent;   /* index, or UINT32_MAX */
	uint32_t identity; /* index */
};

/* From here (up to the next) addresses have this identity. */
struct l4_border {
	uint8_t ip[16];
	uint32_t identity;
};

enum { L4_TREES = 4 }; /* by family and by whether the address is local */

struct l4_tree {
	struct l4_node *nodes; /* parents before children */
	size_t n_nodes;
	struct l4_border *borders; /* in order of address; the first is 0 */
	size_t n_borders;
};

static inline size_t l4_tree_index(uint8_t family, bool local)
{
	return (family == 6) * 2u + local;
}

struct l4_ruleset {
	const uint32_t *ports; /* sorted numbers of struct port_rule */
	size_t n_ports;
	struct ruleset rules;
};

struct l4 {
	struct arena *keep;	   /* lives as long as the policy */
	struct arena *mem;	   /* the compiler's own */
	struct automata *automata; /* of the policy */
	/* What is compiled. */
	enum l4_direction direction;
	struct rule **rules;
	const struct address_list *const *endpoints; /* of rules with selectors; NULL: none has */
	size_t n_rules;
	const struct address_list *known; /* the addresses of all endpoints */
	struct port_rule **port_rules;	  /* those with HTTP rules, by number */
	uint32_t *first_port_rule;	  /* by rule: the number of its first port_rule */
	bool lint;			  /* note what lint_overlap() wants to know */
	/* What comes of it. */
	struct l4_tree trees[L4_TREES];
	struct l4_identity *identities;
	size_t n_identities;
	struct hash_table by_rules; /* sorted set of rules -> identity */
	struct l4_ruleset **rulesets;
	size_t n_rulesets;
	struct hash_table by_ports; /* sorted set of port_rules -> ruleset */
	const char *why;	    /* after -EINVAL */
};

/* Compile C->rules, and append to *TABLE. 0, -ENOMEM or -EINVAL with C->why. */
int l4_compile(struct l4 *c, struct l4_table *table);

int l4_build_trees(struct l4 *c);
int l4_build_ports(struct l4 *c, struct l4_identity *id);

/* The identity of an address. */
const struct l4_identity *l4_find_identity(const struct l4 *c, uint8_t family, const uint8_t *ip,
					   bool local);
const struct l4_range *l4_find_range(const struct l4_ranges *ranges, uint16_t port);

#endif
