/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "agent_state.h"
#include "cmd.h"
#include "run_state.h"

static const char help[] = "Usage: sluice cleanup\n\n"
			   "Remove what a killed `sluice run` or `sluice agent` left: BPF links "
			   "and maps, and the run's\n"
			   "cgroup. As long as a process of a killed run still lives, its policy "
			   "stays in force, nothing of it\n"
			   "is removed, and the exit status is 1. The workloads of a killed agent "
			   "are free from now on.\n";

int cmd_cleanup(int argc, char **argv)
{
	struct cleanup_report report = { 0 };
	struct agent_remains agents = { 0 };
	struct error err = { 0 };

	if (argc > 1) {
		int wanted = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;

		fputs(help, wanted ? stdout : stderr);
		return wanted ? 0 : EXIT_USAGE;
	}
	if (run_state_cleanup(&report, &err) < 0 || agent_state_cleanup(NULL, &agents, &err) < 0) {
		fprintf(stderr, "sluice: %s\n", err.text);
		return 1;
	}
	if (agents.removed > 0)
		printf("removed what %u killed agent%s left\n", agents.removed,
		       agents.removed == 1 ? "" : "s");
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
