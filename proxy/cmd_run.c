/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "cmd.h"
#include "probe.h"
#include "run.h"

static int load_policy(const struct run_options *o, struct policy **ret)
{
	struct policy_options options = {
		.paths = o->policies,
		.n_paths = o->n_policies,
		.labels = o->labels,
		.n_labels = o->n_labels,
		.secrets = o->secrets,
	};
	struct diag diag = { 0 };
	int r = policy_load(&options, ret, &diag);

	diag_print(&diag, stderr);
	diag_done(&diag);
	if (r < 0)
		fprintf(stderr, "sluice: the policy has errors; the command was not started\n");
	else if (policy_n_selected(*ret) == 0)
		/* Nothing is worse than a policy that silently does not apply. */
		fprintf(stderr, o->n_policies == 0
					? "sluice: no policy was given (-p): nothing is enforced\n"
					: "sluice: no policy selects this command's labels "
					  "(--label): nothing is enforced\n");
	return r;
}

static int run(const struct run_options *o)
{
	struct error err = { 0 };
	struct policy *policy;
	struct run *r;
	int code, status = EXIT_SLUICE;

	if (probe_requirements(&err) < 0) {
		fprintf(stderr, "sluice: %s\n", err.text);
		return EXIT_SLUICE;
	}
	if (load_policy(o, &policy) < 0)
		return EXIT_SLUICE;
	if (o->audit && policy_n_selected(policy) > 0)
		fprintf(stderr, "sluice: --audit: nothing is refused; what would have been is "
				"recorded\n");
	if (o->no_confine && !o->audit)
		fprintf(stderr, "sluice: --no-confine: a command that means to can leave its "
				"cgroup, and with it the policy\n");
	r = malloc(sizeof(*r));
	if (!r) {
		policy_unref(policy);
		fprintf(stderr, "sluice: out of memory\n");
		return EXIT_SLUICE;
	}
	code = run_open(r, o, policy, &err);
	if (code == 0) {
		code = run_loop(r, &err);
		if (r->child.not_executed)
			status = code == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
	}
	if (code < 0)
		fprintf(stderr, "sluice: %s\n", err.text);
	else
		status = child_exit_status(&r->child);
	run_close(r);
	free(r);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_options options;
	int status;

	switch (run_options_parse(&options, argc, argv)) {
	case RUN_OPTIONS_HELP:
		return 0;
	case RUN_OPTIONS_ERROR:
		return EXIT_USAGE;
	case RUN_OPTIONS_OK:
		break;
	}
	status = run(&options);
	run_options_done(&options);
	return status;
}
