/* SPDX-License-Identifier: Apache-2.0 */
#include "run_options.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "label_option.h"
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
	int r = label_option_parse(value, &o->labels[o->n_labels]);

	o->n_labels += r == 0;
	return r;
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

static int set_config(struct run_options *o, char *value)
{
	if (o->config) {
		fprintf(stderr, "sluice: --config %s: there is one already, %s\n", value,
			o->config);
		return -EINVAL;
	}
	o->config = value;
	return 0;
}

static int add_limit(struct run_options *o, char *value)
{
	char *equals = strchr(value, '=');

	if (!equals || equals == value) {
		fprintf(stderr, "sluice: --limit %s: a limit is NAME=VALUE\n", value);
		return -EINVAL;
	}
	*equals = '\0';
	o->set_limits[o->n_set_limits++] = value;
	o->set_limits[o->n_set_limits++] = equals + 1;
	return 0;
}

static int set_no_confine(struct run_options *o, char *value)
{
	(void)value;
	o->no_confine = true;
	return 0;
}

static int set_follow(struct run_options *o, char *value)
{
	(void)value;
	o->follow = true;
	return 0;
}

/* The program has to find everything as it would without us. */
static int set_audit(struct run_options *o, char *value)
{
	(void)value;
	o->audit = o->no_confine = true;
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
	{ 'L', "limit", "NAME=VALUE", "change a limit (may be repeated; see --help-limits)",
	  add_limit },
	{ 'c', "config", "FILE", "read limits and peers from a YAML file; --limit overrides it",
	  set_config },
	{ 'n', "no-confine", NULL,
	  "leave the command all its powers: as root it can then leave its cgroup",
	  set_no_confine },
	{ 'f', "follow", NULL,
	  "follow changes of policies that the command could write itself, as root can all",
	  set_follow },
	{ 'A', "audit", NULL, "refuse nothing, record what would have been; implies --no-confine",
	  set_audit },
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
	fprintf(to, "  %-26s %s\n", "    --help-limits", "print every limit and its default");
}

static void usage_limits(FILE *to)
{
	fprintf(to, "Limits of `sluice run`, set by --limit NAME=VALUE or, in a file that --config "
		    "names, by\n\n"
		    "  limits: {NAME: VALUE, ...}\n\n"
		    "Each with its default, what it bounds, and what happens there. Sizes are "
		    "bytes, or with k, M\n"
		    "or G; times have a unit: ms, s, m or h. Times are looked at once a "
		    "second.\n\n");
	limits_print(to);
}

/* Defaults, then the file, then the options. */
static int settle_limits(struct run_options *o)
{
	struct error err = { 0 };
	int r = o->config ? config_read(o->config, &o->limits, &o->peers) : 0;

	for (size_t i = 0; r == 0 && i < o->n_set_limits; i += 2)
		r = limits_set(&o->limits, o->set_limits[i], o->set_limits[i + 1], &err);
	if (err.text[0])
		fprintf(stderr, "sluice: --limit: %s\n", err.text);
	if (r < 0)
		return r;
	r = limits_check(&o->limits, &err);
	if (r < 0)
		fprintf(stderr, "sluice: %s\n", err.text);
	return r;
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
	struct option longs[ARRAY_SIZE(table) + 3] = { 0 };
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
	longs[ARRAY_SIZE(table) + 1] = (struct option){ "help-limits", no_argument, NULL, 'H' };
	argv[0] = "sluice"; /* the name in getopt's messages */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'h' || c == 'H') {
			(c == 'h' ? usage : usage_limits)(stdout);
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
	return settle_limits(o) < 0 ? RUN_OPTIONS_ERROR : RUN_OPTIONS_OK;
}

enum run_options_result run_options_parse(struct run_options *o, int argc, char **argv)
{
	enum run_options_result result = RUN_OPTIONS_ERROR;

	*o = (struct run_options){ .workers = 1, .limits = LIMITS_DEFAULT };
	o->policies = calloc((size_t)argc, sizeof(*o->policies));
	o->allows = calloc((size_t)argc, sizeof(*o->allows));
	o->ports = calloc((size_t)argc, sizeof(*o->ports));
	o->labels = calloc((size_t)argc, sizeof(*o->labels));
	o->set_limits = calloc((size_t)argc, 2 * sizeof(*o->set_limits));
	if (o->policies && o->allows && o->ports && o->labels && o->set_limits)
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
	free(o->set_limits);
	config_peers_done(&o->peers);
	o->set_limits = NULL;
	o->policies = NULL;
	o->allows = NULL;
	o->ports = NULL;
	o->labels = NULL;
}
