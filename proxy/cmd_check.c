/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "policy.h"

static const char help[] =
	"Usage: sluice check FILE|DIR...\n\n"
	"Check policies without enforcing anything. Every error is printed as\n"
	"  file:line:column: what is wrong; what was probably meant\n"
	"and the exit status is 1. A warning, of what is legal but hardly meant, leaves it 0:\n"
	"  file:line:column: warning: what is odd; what was probably meant\n"
	"A directory stands for its *.yaml, *.yml and *.json files.\n";

int cmd_check(int argc, char **argv)
{
	struct policy_options options = { 0 };
	struct policy *policy = NULL;
	struct diag diag = { 0 };
	int first = 1, r;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(help, stdout);
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	if (argc <= first || (first == 1 && argv[1][0] == '-')) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	options.paths = (const char *const *)argv + first;
	options.n_paths = (size_t)(argc - first);
	options.header_actions = true; /* as `run` */
	options.lint = true;
	r = policy_load(&options, &policy, &diag);
	diag_print(&diag, stderr);
	diag_done(&diag);
	policy_unref(policy);
	return r < 0 ? 1 : 0;
}
