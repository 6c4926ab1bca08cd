/* SPDX-License-Identifier: Apache-2.0 */
/* rule_counts.h - how often requests were denied, by the rule that came nearest to allowing them.
 *
 * Rules are told apart by the names of their policies and their places in them, so that counts go
 * on when a policy is loaded anew. Bounded: beyond RULE_COUNTS_MAX rules, without memory, and where
 * no rule comes near, only the number of denials is kept. Nothing here fails. */
#ifndef SLUICE_RULE_COUNTS_H
#define SLUICE_RULE_COUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include "sluice/verdict.h"

#define RULE_COUNTS_MAX 256

struct rule_count {
	uint64_t denied, hash;
	/* Three strings behind each other: policy, namespace, path of the rule. */
	char *policy;
	const char *namespace_, *path;
};

/* Zero it before first use. */
struct rule_counts {
	struct rule_count *entries;
	unsigned n, room;
	uint64_t others;
};

/* RULE may be NULL. */
void rule_counts_add(struct rule_counts *c, const struct rule_ref *rule, uint64_t denied);
void rule_counts_merge(struct rule_counts *into, const struct rule_counts *from);
void rule_counts_done(struct rule_counts *c);

#endif
