/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "agent.h"
#include "agent_parts.h"
#include "agent_say.h"
#include "cmd.h"
#include "probe.h"

static const char help[] =
	"Usage: sluice agent --config FILE [--check]\n\n"
	"Hold the workloads that FILE names to its policies, in every network namespace, until\n"
	"SIGTERM or SIGINT comes, or SIGUSR2, which leaves everything closed for the next agent.\n"
	"Changes of FILE, of policies and of secrets are followed, and loaded at once on SIGHUP.\n"
	"Exits with 0, or with 125 if it could not be started.\n\n"
	"Options:\n"
	"  -c, --config FILE          the configuration, in YAML or JSON\n"
	"  -C, --check                read it and all policies, report every error, and exit\n"
	"  -h, --help                 print this\n";

struct options {
	const char *config;
	bool check;
};

enum result { GO_ON, HELP, WRONG };

static enum result parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	argv[0] = "sluice"; /* the name in getopt's messages */
	while ((c = getopt_long(argc, argv, "c:Ch", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'C':
			o->check = true;
			break;
		case 'h':
			return HELP;
		default:
			fputs("sluice: see `sluice agent --help`\n", stderr);
			return WRONG;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluice: %s: see `sluice agent --help`\n", argv[optind]);
		return WRONG;
	}
	if (!o->config)
		fputs("sluice: an agent needs a configuration: --config FILE\n", stderr);
	return o->config ? GO_ON : WRONG;
}

static int load(const char *path, struct agent_plan **ret)
{
	struct diag diag = { 0 };
	int r = agent_plan_load(path, NULL, NULL, ret, &diag);

	diag_print(&diag, stderr);
	diag_done(&diag);
	if (r < 0)
		fprintf(stderr, "sluice: %s or its policies have errors; nothing was started\n",
			path);
	return r;
}

static int run(const char *path)
{
	struct agent *a = calloc(1, sizeof(*a));
	struct agent_plan *plan = NULL;
	struct error err = { "" };
	int r = -1;

	if (!a) {
		fputs("sluice: out of memory\n", stderr);
		return EXIT_SLUICE;
	}
	if (probe_requirements(&err) == 0 && load(path, &plan) == 0) {
		r = agent_open(a, path, plan, &err);
		if (r == 0)
			agent_loop(a);
		agent_close(a);
	}
	if (err.text[0])
		fprintf(stderr, "sluice: %s\n", err.text);
	free(a);
	return r < 0 ? EXIT_SLUICE : 0;
}

static int check(const char *path)
{
	struct agent_plan *plan;
	struct agent a = { .config_path = path };

	if (load(path, &plan) < 0)
		return EXIT_SLUICE;
	a.plan = plan;
	agent_say_nothing(&a);
	agent_plan_free(plan);
	return 0;
}

int cmd_agent(int argc, char **argv)
{
	struct options options = { 0 };

	switch (parse(&options, argc, argv)) {
	case HELP:
		fputs(help, stdout);
		return 0;
	case WRONG:
		return EXIT_USAGE;
	case GO_ON:
		break;
	}
	return options.check ? check(options.config) : run(options.config);
}
