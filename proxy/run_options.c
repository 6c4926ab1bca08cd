/* SPDX-License-Identifier: Apache-2.0 */
#include "run_options.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "port_option.h"
#include "sluice/array.h"
#include "worker.h"

#define PRINT_POLICY 0x100

static int add_policy(struct run_options *o, char *value)
{
	o->policies[o->n_policies++] = value;
	return 0;
}

static int add_allow(struct run_options *o, char *value)
{
	o->allows[o->n_allows++] = value;
	return 0;
}

static int add_port(struct run_options *o, char *value)
{
	int r = port_option_parse(value, &o->ports[o->n_ports]);

	o->n_ports += r == 0;
	return r;
}

static int add_label(struct run_options *o, char *value)
{
	char *equals = strchr(value, '=');

	if (!equals || equals == value) {
		fprintf(stderr, "sluice: --label %s: a label is KEY=VALUE\n", value);
		return -EINVAL;
	}
	*equals = '\0';
	o->labels[o->n_labels++] = (struct label){ .key = value, .value = equals + 1 };
	return 0;
}

static int set_log(struct run_options *o, char *value)
{
	o->log = value;
	return 0;
}

static int set_workers(struct run_options *o, char *value)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || n < 1 || n > WORKER_MAX) {
		fprintf(stderr, "sluice: --workers %s: a number from 1 to %d\n", value, WORKER_MAX);
		return -EINVAL;
	}
	o->workers = (unsigned)n;
	return 0;
}

static int set_secrets(struct run_options *o, char *value)
{
	o->secrets = value;
	return 0;
}

static int set_user(struct run_options *o, char *value)
{
	o->user = value;
	return 0;
}

static int set_no_confine(struct run_options *o, char *value)
{
	(void)value;
	o->no_confine = true;
	return 0;
}

static int set_print_policy(struct run_options *o, char *value)
{
	(void)value;
	o->print_policy = true;
	return 0;
}

/* An option without a short name has a number there that is no character. VALUE: what stands for it
 * in the help, NULL where there is none. */
static const struct {
	int short_name;
	const char *name, *value, *help;
	int (*take)(struct run_options *o, char *value);
} table[] = {
	{ 'p', "policy", "FILE|DIR", "hold the command to these policies (may be repeated)",
	  add_policy },
	{ 'a', "allow", "RULE", "the same in one argument: 'GET,HEAD http://127.0.0.1:9000/api/**'",
	  add_allow },
	{ PRINT_POLICY, "print-policy", NULL, "print the policies as they are held, run nothing",
	  set_print_policy },
	{ 'P', "port", "NAME=N", "what a port's name in a policy stands for: web=8080/tcp",
	  add_port },
	{ 'l', "label", "K=V", "a label of the command, for endpointSelector (may be repeated)",
	  add_label },
	{ 'o', "log", "FILE|-",
	  "write a JSON record of every request to FILE, or to standard output", set_log },
	{ 's', "secrets", "DIR", "where headerMatches finds its secrets, a file each",
	  set_secrets },
	{ 'w', "workers", "N", "threads that carry the traffic (default 1)", set_workers },
	{ 'u', "user", "NAME", "run the command as this user", set_user },
	{ 'n', "no-confine", NULL,
	  "leave the command all its powers: as root it can then leave its cgroup",
	  set_no_confine },
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: sluice run [OPTION...] [--] COMMAND [ARG...]\n\n"
		    "Run COMMAND and let it, and all that it starts, send only what the policies "
		    "allow.\n"
		    "Exits with the command's exit status, 128+n if signal n ended it, or 125 if "
		    "sluice\n"
		    "failed before it was started.\n\nOptions:\n");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char left[40];

		char dash[8] = "    ";

		if (table[i].short_name < PRINT_POLICY)
			snprintf(dash, sizeof(dash), "-%c, ", table[i].short_name);
		snprintf(left, sizeof(left), "%s--%s %s", dash, table[i].name,
			 table[i].value ? table[i].value : "");
		fprintf(to, "  %-26s %s\n", left, table[i].help);
	}
	fprintf(to, "  %-26s %s\n", "-h, --help", "print this");
}

static int take_option(struct run_options *o, int c, char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].short_name == c)
			return table[i].take(o, value);
	fprintf(stderr, "sluice: see `sluice run --help`\n"); /* getopt has said what is wrong */
	return -EINVAL;
}

static enum run_options_result parse(struct run_options *o, int argc, char **argv)
{
	struct option longs[ARRAY_SIZE(table) + 2] = { 0 };
	char shorts[2 * ARRAY_SIZE(table) + 3] = "+h"; /* stop at the command */
	char *end = shorts + strlen(shorts);
	int c;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		int argument = table[i].value ? required_argument : no_argument;

		longs[i] = (struct option){ table[i].name, argument, NULL, table[i].short_name };
		if (table[i].short_name >= PRINT_POLICY)
			continue;
		*end++ = (char)table[i].short_name;
		if (argument == required_argument)
			*end++ = ':';
	}
	longs[ARRAY_SIZE(table)] = (struct option){ "help", no_argument, NULL, 'h' };
	argv[0] = "sluice"; /* the name in getopt's messages */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return RUN_OPTIONS_HELP;
		}
		if (take_option(o, c, optarg) < 0)
			return RUN_OPTIONS_ERROR;
	}
	if (optind >= argc && !o->print_policy) {
		fprintf(stderr, "sluice: no command to run; see `sluice run --help`\n");
		return RUN_OPTIONS_ERROR;
	}
	o->command = argv + optind;
	return RUN_OPTIONS_OK;
}

enum run_options_result run_options_parse(struct run_options *o, int argc, char **argv)
{
	enum run_options_result result = RUN_OPTIONS_ERROR;

	*o = (struct run_options){ .workers = 1 };
	o->policies = calloc((size_t)argc, sizeof(*o->policies));
	o->allows = calloc((size_t)argc, sizeof(*o->allows));
	o->ports = calloc((size_t)argc, sizeof(*o->ports));
	o->labels = calloc((size_t)argc, sizeof(*o->labels));
	if (o->policies && o->allows && o->ports && o->labels)
		result = parse(o, argc, argv);
	else
		fprintf(stderr, "sluice: out of memory\n");
	if (result != RUN_OPTIONS_OK)
		run_options_done(o);
	return result;
}

void run_options_done(struct run_options *o)
{
	free(o->policies);
	free(o->allows);
	free(o->ports);
	free(o->labels);
	o->policies = NULL;
	o->allows = NULL;
	o->ports = NULL;
	o->labels = NULL;
}
