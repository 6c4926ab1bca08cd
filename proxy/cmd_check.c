/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "cmd.h"
#include "config.h"
#include "label_option.h"
#include "policy.h"
#include "port_option.h"

static const char help[] =
	"Usage: sluice check [OPTION...] FILE|DIR...\n\n"
	"Check policies without enforcing anything. Every error is printed as\n"
	"  file:line:column: what is wrong; what was probably meant\n"
	"and the exit status is 1. A warning, of what is legal but hardly meant, leaves it 0:\n"
	"  file:line:column: warning: what is odd; what was probably meant\n"
	"A directory stands for its *.yaml, *.yml and *.json files.\n\n"
	"Options, as `sluice run` has them:\n"
	"  -P, --port NAME=N  what a port's name in a policy stands for: web=8080/tcp\n"
	"  -l, --label K=V    a label of the command: the policies that it selects are looked at\n"
	"                     together, since they are united\n"
	"  -s, --secrets DIR  where headerMatches finds its secrets, a file each\n"
	"  -c, --config FILE  a configuration, with the peers that toEndpoints can mean\n"
	"  -h, --help         print this\n";

/* The lists have room for all arguments. */
struct arguments {
	struct named_port *ports;
	struct label *labels;
	struct policy_options options;
	struct config_peers peers;
};

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

static int set_peers(struct arguments *a, const char *path)
{
	struct limits limits = LIMITS_DEFAULT;
	int r;

	config_peers_done(&a->peers); /* of an earlier one */
	r = config_read(path, &limits, &a->peers);
	a->options.endpoints_known = a->peers.known;
	a->options.endpoints = a->peers.items;
	a->options.n_endpoints = a->peers.n;
	return r;
}

/* What is wrong has been said when it returns an error. */
static int take_option(struct arguments *a, int c, char *value)
{
	struct policy_options *o = &a->options;
	int r = -EINVAL;

	if (c == 'c') {
		r = set_peers(a, value);
	} else if (c == 's') {
		o->secrets = value;
		r = 0;
	} else if (c == 'P') {
		r = port_option_parse(value, &a->ports[o->n_ports]);
		o->n_ports += r == 0;
	} else if (c == 'l') {
		r = label_option_parse(value, &a->labels[o->n_labels]);
		o->n_labels += r == 0;
	}
	return r;
}

/* -1: go on; else the exit status. */
static int parse(struct arguments *a, int argc, char **argv)
{
	static const struct option longs[] = { { "port", required_argument, NULL, 'P' },
					       { "label", required_argument, NULL, 'l' },
					       { "secrets", required_argument, NULL, 's' },
					       { "config", required_argument, NULL, 'c' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	int c;

	argv[0] = "sluice"; /* the name in getopt's messages */
	while ((c = getopt_long(argc, argv, "P:l:s:c:h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (take_option(a, c, optarg) < 0)
			return EXIT_USAGE;
	}
	if (optind >= argc) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	a->options.ports = a->ports;
	a->options.labels = a->labels;
	a->options.paths = (const char *const *)argv + optind;
	a->options.n_paths = (size_t)(argc - optind);
	return -1;
}

int cmd_check(int argc, char **argv)
{
	struct arguments a = { .ports = calloc((size_t)argc, sizeof(*a.ports)),
			       .labels = calloc((size_t)argc, sizeof(*a.labels)),
			       .options.lint = true };
	int status = EXIT_SLUICE;

	if (a.ports && a.labels) {
		status = parse(&a, argc, argv);
		if (status < 0)
			status = check(&a.options);
	} else {
		fprintf(stderr, "sluice: out of memory\n");
	}
	free(a.ports);
	free(a.labels);
	config_peers_done(&a.peers);
	return status;
}
