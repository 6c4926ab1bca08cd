/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "run_state.h"

static const char help[] = "Usage: sluice cleanup\n\n"
			   "Remove what a killed `sluice run` left: its BPF links and maps, and "
			   "its cgroup. As long as a\n"
			   "process of the killed run still lives, its policy stays in force, "
			   "nothing of it is removed, and the\n"
			   "exit status is 1.\n";

int cmd_cleanup(int argc, char **argv)
{
	struct cleanup_report report = { 0 };
	struct error err = { 0 };

	if (argc > 1) {
		int wanted = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;

		fputs(help, wanted ? stdout : stderr);
		return wanted ? 0 : EXIT_USAGE;
	}
	if (run_state_cleanup(&report, &err) < 0) {
		fprintf(stderr, "sluice: %s\n", err.text);
		return 1;
	}
	if (report.removed > 0)
		printf("removed what %u killed run%s left\n", report.removed,
		       report.removed == 1 ? "" : "s");
	if (report.held > 0) {
		fprintf(stderr,
			"sluice: processes of %u killed run%s still live and stay refused, "
			"unless with --audit; end those in %s\n",
			report.held, report.held == 1 ? "" : "s", report.held_path);
		return 1;
	}
	return 0;
}
