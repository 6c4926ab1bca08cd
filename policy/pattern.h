/* SPDX-License-Identifier: Apache-2.0 */
/* pattern.h - the distinct patterns of a policy, each read and lowered once. */
#ifndef SLUICE_PATTERN_H
#define SLUICE_PATTERN_H

#include "automaton.h"
#include "hash.h"
#include "regex_tree.h"

struct pattern {
	uint32_t id;	  /* in order of first appearance, from 0 */
	struct span text; /* as written */
	/* Either the strings and prefixes that it stands for ... */
	const struct regex_literal *literals;
	size_t n_literals;
	/* ... or what libhs is to look for, as a whole-string match ... */
	const char *expression;
	struct span prefix; /* with which everything begins that it matches */
	/* ... or what is wrong with it, and where in TEXT (SIZE_MAX: as a whole). */
	const char *error;
	size_t error_at;
};

/* Zero it, then set KEEP and AUTOMATA. */
struct patterns {
	struct arena *keep;	       /* where the patterns live */
	struct automata *automata;     /* a pool */
	const struct patterns *before; /* of the policy in force, while a new one is built */
	struct pattern **items;
	size_t n;
	struct hash_table index;
};

/* The pattern that is written TEXT. It may have an error. NULL when out of memory. */
const struct pattern *pattern_get(struct patterns *p, struct span text);

#endif
