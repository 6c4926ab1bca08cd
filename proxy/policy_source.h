/* SPDX-License-Identifier: Apache-2.0 */
/* policy_source.h - what the policy of a run is made of: the files and the --allow arguments of its
 * options, and what the options say of labels, ports and secrets.
 *
 * Opened once, at the start: the arguments become a document, for which names are resolved, and
 * which does not change any more. From then on it is immutable, so that any thread can load it. */
#ifndef SLUICE_POLICY_SOURCE_H
#define SLUICE_POLICY_SOURCE_H

#include <stdio.h>
#include "policy.h"
#include "run_options.h"

#define POLICY_SOURCE_RESOLV_CONF "/etc/resolv.conf"

struct policy_source {
	const struct run_options *options; /* has to live as long */
	char *allow;			   /* the document, NULL without --allow */
};

/* On success fill in *RET and return 0. On failure leave *RET alone, append to DIAG, and return a
 * negative errno. Waits for the system's resolver if a name was written. */
int policy_source_open(const struct run_options *o, struct policy_source *ret, struct diag *diag);
void policy_source_done(struct policy_source *s);

/* Read the files as they are now, and load them with everything else. BEFORE is what is in force,
 * or NULL; errors are those of policy_load(). */
int policy_source_load(const struct policy_source *s, const struct policy *before,
		       struct policy **ret, struct diag *diag);

/* The same, and also what was read, in *TEXT for the caller to free: one stream of documents, which
 * loads as the same policy with the same options. */
int policy_source_show(const struct policy_source *s, struct policy **ret, char **text,
		       struct diag *diag);

#endif
