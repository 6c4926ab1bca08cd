/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "cmd.h"
#include "policy_source.h"
#include "probe.h"
#include "run.h"

/* Nothing is worse than a policy that silently does not apply. */
static void warn_of_nothing(const struct run_options *o, const struct policy *policy)
{
	if (policy_n_selected(policy) > 0)
		return;
	fputs(o->n_policies == 0 ? "sluice: no policy was given (-p or --allow): nothing is "
				   "enforced\n"
				 : "sluice: no policy selects this command's labels (--label): "
				   "nothing is enforced\n",
	      stderr);
}

static int load_policy(const struct policy_source *source, struct policy **ret)
{
	struct diag diag = { 0 };
	int r = policy_source_load(source, NULL, ret, &diag);

	diag_print(&diag, stderr);
	diag_done(&diag);
	if (r < 0)
		fprintf(stderr, "sluice: the policy has errors; the command was not started\n");
	else
		warn_of_nothing(source->options, *ret);
	return r;
}

static int open_source(const struct run_options *o, struct policy_source *ret)
{
	struct diag diag = { 0 };
	int r = policy_source_open(o, ret, &diag);

	diag_print(&diag, stderr);
	diag_done(&diag);
	if (r < 0)
		fprintf(stderr, "sluice: --allow has errors; the command was not started\n");
	return r;
}

static int print_policy(const struct policy_source *source)
{
	struct policy *policy;
	struct diag diag = { 0 };
	char *text;
	int r = policy_source_show(source, &policy, &text, &diag);

	diag_print(&diag, stderr);
	diag_done(&diag);
	if (r < 0)
		return EXIT_SLUICE;
	warn_of_nothing(source->options, policy);
	policy_unref(policy);
	r = fputs(text, stdout) < 0 || fflush(stdout) != 0;
	if (r)
		perror("sluice: standard output");
	free(text);
	return r ? EXIT_SLUICE : 0;
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
	if (!r || reload_init(r, source) < 0) {
		fprintf(stderr, "sluice: out of memory\n");
		if (r)
			reload_done(r);
	} else if (load_policy(source, &policy) == 0) {
		if (o->audit && policy_n_selected(policy) > 0)
			fprintf(stderr, "sluice: --audit: nothing is refused; what would have been "
					"is recorded\n");
		if (o->no_confine && !o->audit)
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
	struct policy_source source;
	int status = EXIT_SLUICE;

	switch (run_options_parse(&options, argc, argv)) {
	case RUN_OPTIONS_HELP:
		return 0;
	case RUN_OPTIONS_ERROR:
		return EXIT_USAGE;
	case RUN_OPTIONS_OK:
		break;
	}
	if (open_source(&options, &source) == 0) {
		status = options.print_policy ? print_policy(&source) : run(&source);
		policy_source_done(&source);
	}
	run_options_done(&options);
	return status;
}
