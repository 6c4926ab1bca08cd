/* SPDX-License-Identifier: Apache-2.0 */
/* policy_set.h - the policies of many workloads, read once.
 *
 * All documents are read and checked when the set is loaded; then a policy is made for each
 * workload that asks. Workloads for which the same rules are selected, and for whose rules the
 * same endpoints are, get the same policy: the pointers are equal.
 *
 * A set belongs to whoever loaded it and is used by one thread at a time; another set may be loaded
 * meanwhile. What it made is immutable, may be used by any thread, and outlives it. A reload loads
 * another set, makes a policy for every workload, and only then puts any of them in force. */
#ifndef SLUICE_POLICY_SET_H
#define SLUICE_POLICY_SET_H

#include "policy.h"

struct policy_set;

/* Read all documents that OPTIONS names. Their labels mean nothing here, nor does BEFORE: that is
 * BEFORE_SET. With LINT the files are warned of, but not what the rules of one workload say
 * together. On success store the set in *RET and return 0; fails as policy_load() does. */
int policy_set_load(const struct policy_options *options, struct policy_set **ret,
		    struct diag *diag);
void policy_set_free(struct policy_set *set); /* accepts NULL */

/* The policy of a workload with these labels, its namespace among them as
 * io.kubernetes.pod.namespace, in *RET with a reference for the caller. Without a document that
 * selects it, it is a policy that leaves everything alone. 0, -ENOMEM, or -EINVAL: libhs cannot
 * hold all expressions that were selected together. Appends to DIAG when it fails. */
int policy_set_policy(struct policy_set *set, const struct label *labels, size_t n_labels,
		      struct policy **ret, struct diag *diag);

/* The same of WHO, whose ports may have names; its addresses do not count. */
int policy_set_policy_of(struct policy_set *set, const struct policy_endpoint *who,
			 struct policy **ret, struct diag *diag);

/* Other endpoints than those that are known so far; copied. They have to be known (see struct
 * policy_options) or nothing comes of it. Policies that were made stay as they are: ask for them
 * again. One that the change does not concern is the same as before, also the pointer. 0, or
 * -ENOMEM with the endpoints as they were. */
int policy_set_endpoints(struct policy_set *set, const struct policy_endpoint *endpoints,
			 size_t n_endpoints);

/* Forget what nobody needs now that every workload has its policy: policies that only the set
 * holds, and expressions that the set before had compiled. Costs nothing but time to make again. */
void policy_set_trim(struct policy_set *set);

/* Of names, texts and secrets that were read, as in policy_same_text(). */
uint64_t policy_set_digest(const struct policy_set *set);

struct policy_set_stats {
	size_t documents;
	size_t policies;	 /* different ones that the set holds now */
	size_t compiled, reused; /* as in struct policy_stats, for the whole set */
	bool egress, ingress;	 /* some document says something of it, whomever it selects */
};
void policy_set_stats(const struct policy_set *set, struct policy_set_stats *ret);

#endif
