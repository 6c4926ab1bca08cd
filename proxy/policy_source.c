/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_source.h"

int policy_source_load(const struct policy_source *s, const struct policy *before,
		       struct policy **ret, struct diag *diag)
{
	struct policy_options options = {
		.paths = s->options->policies,
		.n_paths = s->options->n_policies,
		.labels = s->options->labels,
		.n_labels = s->options->n_labels,
		.secrets = s->options->secrets,
		.before = before,
	};

	return policy_load(&options, ret, diag);
}
