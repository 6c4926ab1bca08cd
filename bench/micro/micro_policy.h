/* SPDX-License-Identifier: Apache-2.0 */
/* micro_policy.h - a policy of many rules, literal, prefix and regular, and requests for it. */
#ifndef BENCH_MICRO_POLICY_H
#define BENCH_MICRO_POLICY_H

#include <stdbool.h>
#include "policy.h"

enum micro_path {
	MICRO_LITERAL, /* the policy has literals only, as the others have theirs */
	MICRO_PREFIX,
	MICRO_REGEX,
	MICRO_DENIED, /* a policy of literals, and paths that none of them is */
};

#define MICRO_PATHS 512 /* different ones that are asked for */

struct micro_policy {
	struct policy *policy;
	const struct ruleset *rules;
	struct judge_scratch *scratch;
	bool denied;
	char paths[MICRO_PATHS][64];
};

/* Exits with a message when the policy does not load. */
void micro_policy_init(struct micro_policy *p, unsigned rules, enum micro_path which);
void micro_policy_done(struct micro_policy *p);

/* Judge the I-th request. Returns whether the verdict is the right one. */
bool micro_policy_judge(struct micro_policy *p, unsigned i);

#endif
