/* SPDX-License-Identifier: Apache-2.0 */
/* run_options.h - the options of `sluice run`. Pointers are into argv and live as long as it. */
#ifndef SLUICE_RUN_OPTIONS_H
#define SLUICE_RUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include "config.h"
#include "limit.h"
#include "policy.h"

struct run_options {
	const char **policies;
	size_t n_policies;
	const char **allows; /* policies in one argument, allow.h */
	size_t n_allows;
	struct named_port *ports;
	size_t n_ports;
	struct label *labels;
	size_t n_labels;
	const char *log;     /* NULL: none */
	const char *user;    /* NULL: as we are */
	const char *secrets; /* the directory of secrets, NULL: none */
	unsigned workers;
	const char *config; /* a file, NULL: none */
	char **set_limits;  /* "name", "value" in turn */
	size_t n_set_limits;
	struct config_peers peers;
	struct limits limits; /* the defaults, then the file's, then those of options */
	bool no_confine;
	bool follow;	   /* policies that the command could write are followed as well */
	bool audit;	   /* implies NO_CONFINE */
	bool print_policy; /* and do nothing else */
	char **command;	   /* NULL-terminated; empty if there is none to run */
};

enum run_options_result { RUN_OPTIONS_OK, RUN_OPTIONS_HELP, RUN_OPTIONS_ERROR };

/* Parse; prints the help or what is wrong. RUN_OPTIONS_OK: call run_options_done() in the end. */
enum run_options_result run_options_parse(struct run_options *o, int argc, char **argv);
void run_options_done(struct run_options *o);

#endif
