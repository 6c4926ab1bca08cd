/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "cmd.h"
#include "policy_source.h"
#include "probe.h"
#include "run.h"

static int load_policy(const struct policy_source *source, struct policy **ret)
{
	const struct run_options *o = source->options;
	struct diag diag = { 0 };
	int r = policy_source_load(source, NULL, ret, &diag);

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

static int run_policy(struct run *r, const struct run_options *o, struct policy *policy)
{
	struct error err = { 0 };
	int code = run_open(r, o, policy, &err), status = EXIT_SLUICE;

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
	return status;
}

static int run(const struct policy_source *source)
{
	const struct run_options *o = source->options;
	struct error err = { 0 };
	struct policy *policy;
	struct run *r;
	int status = EXIT_SLUICE;

	if (probe_requirements(&err) < 0) {
		fprintf(stderr, "sluice: %s\n", err.text);
		return EXIT_SLUICE;
	}
	r = calloc(1, sizeof(*r));
	if (!r || reload_init(&r->reload, source) < 0) {
		fprintf(stderr, "sluice: out of memory\n");
		if (r)
			reload_done(r);
	} else if (load_policy(source, &policy) == 0) {
		if (o->no_confine)
			fprintf(stderr, "sluice: --no-confine: a command that means to can leave "
					"its cgroup, and with it the policy\n");
		status = run_policy(r, o, policy);
	} else {
		reload_done(r);
	}
	free(r);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run_options options;
	struct policy_source source = { .options = &options };
	int status;

	switch (run_options_parse(&options, argc, argv)) {
	case RUN_OPTIONS_HELP:
		return 0;
	case RUN_OPTIONS_ERROR:
		return EXIT_USAGE;
	case RUN_OPTIONS_OK:
		break;
	}
	status = run(&source);
	run_options_done(&options);
	return status;
}
