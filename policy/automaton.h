/* SPDX-License-Identifier: Apache-2.0 */
/* automaton.h - what libhs has made of a set of expressions, shared by all that ask for the same
 * set: by the rulesets of one policy, by the policies of one set, and by those that come after it.
 * Compiling is what takes time in a reload; an edit of one rule compiles anew only the set that
 * this rule is in. */
#ifndef SLUICE_AUTOMATON_H
#define SLUICE_AUTOMATON_H

#include <hs/hs.h>
#include <stdbool.h>
#include "hash.h"

struct automaton; /* immutable, counted; any thread */

struct automata_item {
	struct automaton *automaton; /* one reference; NULL where it was dropped */
	bool used;		     /* by a matcher */
	bool taken;		     /* from those before */
};

/* Those of one policy, which has them from a POOL; or a pool. One thread at a time. Zero it, then
 * set KEEP, and POOL if it is not one. */
struct automata {
	struct arena *keep;
	struct automata *pool;
	struct automata_item *items;
	size_t n;
	struct hash_table index;
	size_t compiled, reused; /* of a pool */
};

/* Take over what BEFORE has. 0 or -ENOMEM. */
int automata_take(struct automata *a, const struct automata *before);

/* The automaton of N expressions, of which the i-th is reported as i. Owned by A. USE: a matcher
 * has it, so that automata_prune() leaves it. 0, -ENOMEM, or -EINVAL with *WHY in KEEP. */
int automata_get(struct automata *a, const char *const *expressions, size_t n, bool use,
		 const struct automaton **ret, const char **why);

/* Give back those of a pool that no matcher ever had from it, because they were taken over in vain
 * or only made to see whether an expression compiles, and those that nobody else holds. */
void automata_prune(struct automata *a);
void automata_done(struct automata *a);

const hs_database_t *automaton_database(const struct automaton *a);

#endif
