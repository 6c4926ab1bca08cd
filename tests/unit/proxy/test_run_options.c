/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sluice run`: what it means, and what is wrong with it. */
#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "run_options.h"
#include "sluice/array.h"
#include "worker.h"

#define WORDS_MAX 16

struct line {
	const char *words[WORDS_MAX]; /* behind "run" */
	enum run_options_result result;
	/* OK: "policies|labels|log|user|workers|command", with "!" after the workers for
	 * --no-confine, "?" for --print-policy, "~" for --audit and "." for --follow; --allow
	 * stands behind the policies as +RULE, --port behind the labels as :NAME=NUMBER/PROTOCOL.
	 * Behind the command is head-size where it is not the default. Else something that is
	 * printed. */
	const char *want;
};

static const struct line lines[] = {
	{ { "ls" }, RUN_OPTIONS_OK, "|||-|1|ls" },
	{ { "--", "ls", "-l" }, RUN_OPTIONS_OK, "|||-|1|ls -l" },
	{ { "ls", "-p", "x", "--workers", "9" }, RUN_OPTIONS_OK, "|||-|1|ls -p x --workers 9" },
	{ { "-p", "a", "--policy", "b", "--policy=c", "--", "ls" },
	  RUN_OPTIONS_OK,
	  "a b c|||-|1|ls" },
	{ { "-l", "a=b", "--label", "k8s:x=", "--label=a=c=d", "ls" },
	  RUN_OPTIONS_OK,
	  "|a=b k8s:x= a=c=d||-|1|ls" },
	{ { "--log", "-", "--user", "nobody", "ls" }, RUN_OPTIONS_OK, "||-|nobody|1|ls" },
	{ { "-o", "f", "-o", "g", "-w", "64", "-u", "0", "ls" }, RUN_OPTIONS_OK, "||g|0|64|ls" },
	{ { "-w", "1", "--", "--help" }, RUN_OPTIONS_OK, "|||-|1|--help" },
	{ { "--no-confine", "ls" }, RUN_OPTIONS_OK, "|||-|1!|ls" },
	{ { "-n", "-w", "2", "ls", "-n" }, RUN_OPTIONS_OK, "|||-|2!|ls -n" },
	{ { "-nw2", "ls" }, RUN_OPTIONS_OK, "|||-|2!|ls" },
	{ { "--follow", "ls" }, RUN_OPTIONS_OK, "|||-|1.|ls" },
	{ { "-fp", "x", "ls", "-f" }, RUN_OPTIONS_OK, "x|||-|1.|ls -f" },
	{ { "--audit", "ls" }, RUN_OPTIONS_OK, "|||-|1!~|ls" },
	{ { "-Aw2", "--", "ls", "-A" }, RUN_OPTIONS_OK, "|||-|2!~|ls -A" },
	{ { "-a", "GET http://a/", "-p", "x", "--allow=* http://b/", "ls" },
	  RUN_OPTIONS_OK,
	  "x+GET http://a/+* http://b/|||-|1|ls" },
	{ { "--print-policy" }, RUN_OPTIONS_OK, "|||-|1?|" },
	{ { "-p", "x", "--print-policy", "ls" }, RUN_OPTIONS_OK, "x|||-|1?|ls" },
	{ { "-P", "web=80", "--port=web=65535/TCP", "-Pa-1=1/udp", "-P", "Web=007", "ls" },
	  RUN_OPTIONS_OK,
	  "|:web=80/0:web=65535/6:a-1=1/17:Web=7/0||-|1|ls" },
	{ { "-P", "web", "ls" }, RUN_OPTIONS_ERROR, "--port web: a port is NAME=NUMBER" },
	{ { "-P", "=80", "ls" }, RUN_OPTIONS_ERROR, "a name is 1 to 15 letters" },
	{ { "-P", "80=80", "ls" }, RUN_OPTIONS_ERROR, "a name is 1 to 15 letters" },
	{ { "-P", "-a=80", "ls" }, RUN_OPTIONS_ERROR, "a name is 1 to 15 letters" },
	{ { "-P", "a-=80", "ls" }, RUN_OPTIONS_ERROR, "a name is 1 to 15 letters" },
	{ { "-P", "a--b=80", "ls" }, RUN_OPTIONS_ERROR, "a name is 1 to 15 letters" },
	{ { "-P", "a_b=80", "ls" }, RUN_OPTIONS_ERROR, "a name is 1 to 15 letters" },
	{ { "-P", "abcdefghijklmnop=80", "ls" }, RUN_OPTIONS_ERROR, "a name is 1 to 15 letters" },
	{ { "-P", "abcdefghijklmno=80", "ls" }, RUN_OPTIONS_OK, "|:abcdefghijklmno=80/0||-|1|ls" },
	{ { "-P", "a=", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 65535" },
	{ { "-P", "a=0", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 65535" },
	{ { "-P", "a=65536", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 65535" },
	{ { "-P", "a=-1", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 65535" },
	{ { "-P", "a= 1", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 65535" },
	{ { "-P", "a=1/", "ls" }, RUN_OPTIONS_ERROR, "only /tcp or /udp" },
	{ { "-P", "a=1/sctp", "ls" }, RUN_OPTIONS_ERROR, "only /tcp or /udp" },
	{ { "-P", "a=1x", "ls" }, RUN_OPTIONS_ERROR, "only /tcp or /udp" },
	{ { "--no-confine=yes", "ls" }, RUN_OPTIONS_ERROR, "doesn't allow an argument" },
	{ { "-L", "head-size=1k", "--limit=head-size=2k", "ls" },
	  RUN_OPTIONS_OK,
	  "|||-|1|ls 2048" },
	{ { "-L", "drain-idle=31s", "ls" },
	  RUN_OPTIONS_ERROR,
	  "sluice: drain-idle is longer than" },
	{ { "-L", "drain-idle=31s", "-L", "drain-time=31s", "ls" }, RUN_OPTIONS_OK, "|||-|1|ls" },
	{ { "-L", "head-size", "ls" }, RUN_OPTIONS_ERROR, "a limit is NAME=VALUE" },
	{ { "-L", "=1k", "ls" }, RUN_OPTIONS_ERROR, "a limit is NAME=VALUE" },
	{ { "-L", "head-size=", "ls" }, RUN_OPTIONS_ERROR, "head-size must be a size" },
	{ { "-L", "haed-size=1k", "ls" }, RUN_OPTIONS_ERROR, "did you mean \"head-size\"?" },
	{ { "-L", "drain-idle=2m", "ls" }, RUN_OPTIONS_ERROR, "longer than drain-time" },
	{ { "-c", "/dev/null", "-L", "head-size=1k", "ls" }, RUN_OPTIONS_OK, "|||-|1|ls 1024" },
	{ { "-c", "/dev/null", "-c", "a", "ls" }, RUN_OPTIONS_ERROR, "there is one already" },
	{ { "-c", "/dev/null/a", "ls" }, RUN_OPTIONS_ERROR, "/dev/null/a: cannot be read" },
	{ { NULL }, RUN_OPTIONS_ERROR, "no command to run" },
	{ { "--" }, RUN_OPTIONS_ERROR, "no command to run" },
	{ { "-p", "a" }, RUN_OPTIONS_ERROR, "no command to run" },
	{ { "-p" }, RUN_OPTIONS_ERROR, "requires an argument" },
	{ { "--bogus", "ls" }, RUN_OPTIONS_ERROR, "--bogus" },
	{ { "-z", "ls" }, RUN_OPTIONS_ERROR, "'z'" },
	{ { "-l", "a", "ls" }, RUN_OPTIONS_ERROR, "a label is KEY=VALUE" },
	{ { "-l", "=a", "ls" }, RUN_OPTIONS_ERROR, "a label is KEY=VALUE" },
	{ { "-w", "0", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 64" },
	{ { "-w", "65", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 64" },
	{ { "-w", "-1", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 64" },
	{ { "-w", "99999999999999999999", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 64" },
	{ { "-w", "2x", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 64" },
	{ { "-w", "", "ls" }, RUN_OPTIONS_ERROR, "a number from 1 to 64" },
	{ { "--help" }, RUN_OPTIONS_HELP, "--policy FILE|DIR" },
	{ { "-p", "a", "-h", "ls" }, RUN_OPTIONS_HELP, "Usage: sluice run" },
	{ { "--help-limits" }, RUN_OPTIONS_HELP, "head-fields  256" },
};

/* Standard output and standard error, into a file while this is open. */
struct capture {
	int out, err, file;
};

static void capture_begin(struct capture *c)
{
	char path[] = "/tmp/test_run_options.XXXXXX";

	fflush(stdout);
	c->file = mkstemp(path);
	assert_true(c->file >= 0);
	unlink(path);
	c->out = dup(STDOUT_FILENO);
	c->err = dup(STDERR_FILENO);
	dup2(c->file, STDOUT_FILENO);
	dup2(c->file, STDERR_FILENO);
}

static void capture_end(struct capture *c, char *text, size_t size)
{
	ssize_t n;

	fflush(stdout);
	fflush(stderr);
	dup2(c->out, STDOUT_FILENO);
	dup2(c->err, STDERR_FILENO);
	n = pread(c->file, text, size - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(c->out);
	close(c->err);
	close(c->file);
}

static const char *flag(bool set, const char *mark)
{
	return set ? mark : "";
}

static void describe(const struct run_options *o, char *buf, size_t size)
{
	FILE *to = fmemopen(buf, size, "w");

	assert_non_null(to);
	for (size_t i = 0; i < o->n_policies; i++)
		fprintf(to, "%s%s", i ? " " : "", o->policies[i]);
	for (size_t i = 0; i < o->n_allows; i++)
		fprintf(to, "+%s", o->allows[i]);
	fprintf(to, "|");
	for (size_t i = 0; i < o->n_labels; i++)
		fprintf(to, "%s%s=%s", i ? " " : "", o->labels[i].key, o->labels[i].value);
	for (size_t i = 0; i < o->n_ports; i++)
		fprintf(to, ":%s=%u/%u", o->ports[i].name, o->ports[i].port, o->ports[i].protocol);
	fprintf(to, "|%s|%s|%u%s%s%s%s|", o->log ? o->log : "", o->user ? o->user : "-", o->workers,
		flag(o->no_confine, "!"), flag(o->print_policy, "?"), flag(o->audit, "~"),
		flag(o->follow, "."));
	for (size_t i = 0; o->command[i]; i++)
		fprintf(to, "%s%s", i ? " " : "", o->command[i]);
	if (o->limits.head_size != H1_HEAD_MAX)
		fprintf(to, " %d", (int)o->limits.head_size);
	fclose(to);
}

/* Words that may be written to, as argv is. */
struct words {
	char text[WORDS_MAX + 1][64];
	char *argv[WORDS_MAX + 2];
	int argc;
};

static void words_copy(struct words *w, const struct line *l)
{
	memset(w, 0, sizeof(*w));
	strcpy(w->text[0], "run");
	for (w->argc = 1; w->argc <= WORDS_MAX && l->words[w->argc - 1]; w->argc++)
		snprintf(w->text[w->argc], sizeof(w->text[0]), "%s", l->words[w->argc - 1]);
	for (int i = 0; i < w->argc; i++)
		w->argv[i] = w->text[i];
}

static enum run_options_result parse(const struct line *l, struct words *w, struct run_options *o,
				     char *printed, size_t size)
{
	enum run_options_result result;
	struct capture c;

	words_copy(w, l);
	capture_begin(&c);
	optind = 0; /* begin anew */
	result = run_options_parse(o, w->argc, w->argv);
	capture_end(&c, printed, size);
	return result;
}

static void test_lines(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char printed[4096], got[512];
		struct run_options o;
		struct words words;
		enum run_options_result result =
			parse(&lines[i], &words, &o, printed, sizeof(printed));

		if (result != lines[i].result)
			fail_msg("line %zu: %d: %s", i, (int)result, printed);
		if (result == RUN_OPTIONS_OK) {
			describe(&o, got, sizeof(got));
			assert_string_equal(got, lines[i].want);
			assert_string_equal(printed, "");
			run_options_done(&o);
		} else if (!strstr(printed, lines[i].want)) {
			fail_msg("line %zu: %s", i, printed);
		}
		assert_null(o.policies);
		assert_null(o.labels);
		assert_null(o.allows);
		assert_null(o.ports);
	}
}

static void test_no_memory(void **state)
{
	for (unsigned n = 1; n <= 5; n++) {
		struct run_options o;
		struct words words;
		char printed[256];

		fail_alloc_at(n);
		assert_int_equal(parse(&lines[0], &words, &o, printed, sizeof(printed)),
				 RUN_OPTIONS_ERROR);
		assert_true(fail_alloc_happened());
		fail_alloc_at(0);
		assert_string_equal(printed, "sluice: out of memory\n");
		assert_null(o.policies);
		assert_null(o.labels);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
