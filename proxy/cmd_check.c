/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "cmd.h"
#include "policy.h"
#include "port_option.h"

static const char help[] =
	"Usage: sluice check [-P NAME=N]... FILE|DIR...\n\n"
	"Check policies without enforcing anything. Every error is printed as\n"
	"  file:line:column: what is wrong; what was probably meant\n"
	"and the exit status is 1. A warning, of what is legal but hardly meant, leaves it 0:\n"
	"  file:line:column: warning: what is odd; what was probably meant\n"
	"A directory stands for its *.yaml, *.yml and *.json files.\n\n"
	"Options:\n"
	"  -P, --port NAME=N  what a port's name in a policy stands for: web=8080/tcp\n"
	"  -h, --help         print this\n";

static int check(const struct policy_options *options)
{
	struct policy *policy = NULL;
	struct diag diag = { 0 };
	int r = policy_load(options, &policy, &diag);

	diag_print(&diag, stderr);
	diag_done(&diag);
	policy_unref(policy);
	return r < 0 ? 1 : 0;
}

/* Fills in OPTIONS and PORTS, which has room for all arguments. -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct policy_options *options, struct named_port *ports)
{
	static const struct option longs[] = { { "port", required_argument, NULL, 'P' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	int c;

	argv[0] = "sluice"; /* the name in getopt's messages */
	while ((c = getopt_long(argc, argv, "P:h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (c != 'P' || port_option_parse(optarg, &ports[options->n_ports]) < 0)
			return EXIT_USAGE; /* it was said what is wrong */
		options->n_ports++;
	}
	if (optind >= argc) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	options->ports = ports;
	options->paths = (const char *const *)argv + optind;
	options->n_paths = (size_t)(argc - optind);
	return -1;
}

int cmd_check(int argc, char **argv)
{
	struct named_port *ports = calloc((size_t)argc, sizeof(*ports));
	struct policy_options options = { .header_actions = true, .lint = true };
	int status;

	if (!ports) {
		fprintf(stderr, "sluice: out of memory\n");
		return EXIT_SLUICE;
	}
	status = parse(argc, argv, &options, ports);
	if (status < 0)
		status = check(&options);
	free(ports);
	return status;
}
