/* SPDX-License-Identifier: Apache-2.0 */
/* policy_private.h - what a policy is made of: for policy*.c. */
#ifndef SLUICE_POLICY_PRIVATE_H
#define SLUICE_POLICY_PRIVATE_H

#include <stdatomic.h>

#include "l4_compile.h"
#include "policy_set.h"
#include "select.h"

/* What all policies of one set point into, and what the next set takes over. Nothing is added to
 * KEEP and PATTERNS once the set has been loaded; POOL is the loading thread's. */
struct policy_base {
	atomic_uint refs; /* of the set and of each policy */
	struct arena keep;
	struct patterns patterns;
	struct arena pool_mem;
	struct automata pool;
};

/* Both accept NULL. */
struct policy_base *policy_base_ref(struct policy_base *b);
void policy_base_unref(struct policy_base *b);

struct policy {
	atomic_uint refs;
	struct policy_base *base;
	struct arena keep;
	struct l4 l4[L4_DIRECTIONS]; /* identities, address borders and rulesets */
	struct l4_table table;
	struct policy_document *documents;
	size_t n_documents;
	uint64_t digest; /* of what it was made of */
	struct automata automata;
};

struct made_policy {
	struct policy *policy; /* one reference */
	uint64_t hash;
	uint64_t *key; /* of its selection */
	size_t n_key;
};

struct policy_set {
	struct policy_base *base;
	struct arena mem; /* of MODEL */
	struct model model;
	struct endpoints endpoints;
	uint64_t digest;
	struct made_policy *made;
	size_t n_made, size_made;
};

/* Compile what was selected. LINT: and warn of what it says; a policy for which this was done is
 * the only one of its set. Does not keep the policy in the set. 0, -ENOMEM, or -EINVAL with an
 * item in DIAG. */
int policy_build(struct policy_set *set, const struct selection *s, bool lint, struct policy **ret,
		 struct diag *diag);

/* policy_set_policy_of(), with LINT as above. */
int policy_set_make(struct policy_set *set, const struct policy_endpoint *who, bool lint,
		    struct policy **ret, struct diag *diag);

#endif
