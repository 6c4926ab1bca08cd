/* SPDX-License-Identifier: Apache-2.0 */
/* automaton.h - what libhs has made of a set of expressions, shared by all that ask for the same
 * set: by the rulesets of one policy, and by the policy that comes after it. Compiling is what
 * takes time in a reload; an edit of one rule compiles anew only the set that this rule is in. */
#ifndef SLUICE_AUTOMATON_H
#define SLUICE_AUTOMATON_H

#include <hs/hs.h>
#include <stdbool.h>
#include "hash.h"

struct automaton; /* immutable, counted; any thread */

/* The automata of one policy. Zero it, then set KEEP. */
struct automata {
	struct arena *keep;
	const struct automata *before; /* of the policy in force, while a new one is built */
	struct automaton **items;      /* one reference each; NULL where one was dropped */
	bool *used;		       /* by a matcher */
	size_t n;
	struct hash_table index;
	size_t compiled, reused;
};

/* The automaton of N expressions, of which the i-th is reported as i. Owned by A. USE: a matcher
 * has it, so that automata_prune() leaves it. 0, -ENOMEM, or -EINVAL with *WHY in KEEP. */
int automata_get(struct automata *a, const char *const *expressions, size_t n, bool use,
		 const struct automaton **ret, const char **why);

/* Give back those that were only made to see whether an expression compiles. */
void automata_prune(struct automata *a);
void automata_done(struct automata *a);

const hs_database_t *automaton_database(const struct automaton *a);

#endif
