/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cmd.h"
#include "sluice/array.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "run", cmd_run, "run a command and hold its connections to a policy" },
	{ "agent", cmd_agent, "hold many workloads of a node to policies" },
	{ "check", cmd_check, "check policy files and report every error" },
	{ "cleanup", cmd_cleanup, "remove what a killed sluice left behind" },
	{ "status", cmd_status, "tell what the running agent holds and refuses" },
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: sluice COMMAND [ARGUMENT...]\n\n"
		    "A transparent proxy that lets workloads send and get only what a policy "
		    "allows.\n\n"
		    "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
	fprintf(to,
		"\n`sluice COMMAND --help` tells more; `sluice --version` prints the version.\n");
}

/* A standard descriptor that is closed would be given to the next file that is opened, and what is
 * meant for a terminal would go there. */
static int fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	return close(fd);
}

int main(int argc, char **argv)
{
	if (fill_standard_descriptors() < 0) {
		perror("sluice: /dev/null");
		return EXIT_SLUICE;
	}
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("sluice %s\n", SLUICE_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "sluice: there is no command \"%s\"; see `sluice --help`\n", argv[1]);
	return EXIT_USAGE;
}
