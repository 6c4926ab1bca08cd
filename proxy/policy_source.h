/* SPDX-License-Identifier: Apache-2.0 */
/* policy_source.h - what the policy of a run is made of: the files of its options, and what the
 * options say of labels and secrets. Immutable, so that any thread can load it. */
#ifndef SLUICE_POLICY_SOURCE_H
#define SLUICE_POLICY_SOURCE_H

#include "policy.h"
#include "run_options.h"

struct policy_source {
	const struct run_options *options; /* has to live as long */
};

/* Read the files as they are now, and load them with everything else. BEFORE is what is in force,
 * or NULL; errors are those of policy_load(). */
int policy_source_load(const struct policy_source *s, const struct policy *before,
		       struct policy **ret, struct diag *diag);

#endif
