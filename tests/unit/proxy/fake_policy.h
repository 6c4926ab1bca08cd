/* SPDX-License-Identifier: Apache-2.0 */
/* fake_policy.h - a policy of one line: what connect() gets, and which paths are denied. Linked in
 * place of policy/. */
#ifndef SLUICE_TEST_FAKE_POLICY_H
#define SLUICE_TEST_FAKE_POLICY_H

#include <stdatomic.h>
#include "policy.h"

struct ruleset {
	const char *denied; /* a path that begins so is denied in any of its readings */
};

struct policy {
	atomic_int refs;
	enum l4_action action;
	struct ruleset rules;
	bool no_scratch;       /* judge_scratch_fit() fails */
	struct l4_table table; /* with a number of peers it cannot be built */
};

/* Holds one reference. Free with policy_unref(). */
struct policy *fake_policy_new(enum l4_action action, const char *denied);

#endif
