// SPDX-License-Identifier: Apache-2.0
/* What policies of many rules cost: the time to load them, to load them again with one rule
 * changed, the memory that they keep, and the time of a verdict; then, what the policies of many
 * workloads cost. Prints two tables; with the argument "sets" only the second.
 */
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench_policy.h"
#include "policy.h"
#include "sluice/array.h"

#define VERDICTS 200000
#define PATHS	 4096 /* different ones, so that no cache holds all that they need */

/* The I-th path pattern of a policy, and a path that it matches, or with MISS nothing does. */
struct shape {
	const char *name;
	void (*pattern)(FILE *to, unsigned i);
	void (*path)(char *text, size_t size, unsigned i, bool miss);
};

static void literal_pattern(FILE *to, unsigned i)
{
	fprintf(to, "/service-%u/items/%u", i % 977, i);
}

static void literal_path(char *text, size_t size, unsigned i, bool miss)
{
	snprintf(text, size, "/service-%u/items/%u%s", i % 977, i, miss ? "x" : "");
}

static void own_prefix_pattern(FILE *to, unsigned i)
{
	fprintf(to, "/service-%u/[a-z0-9]+/items/[0-9]+", i);
}

static void own_prefix_path(char *text, size_t size, unsigned i, bool miss)
{
	snprintf(text, size, "/service-%u/abc%u/items/%u%s", i, i, i * 7, miss ? "x" : "");
}

static void one_prefix_pattern(FILE *to, unsigned i)
{
	fprintf(to, "/api/[a-z0-9]+/items-%u/[0-9]+", i);
}

static void one_prefix_path(char *text, size_t size, unsigned i, bool miss)
{
	snprintf(text, size, "/api/abc%u/items-%u/%u%s", i, i, i * 7, miss ? "x" : "");
}

static const struct shape literals = { "literals", literal_pattern, literal_path };
static const struct shape apart = { "expressions, each its own prefix", own_prefix_pattern,
				    own_prefix_path };
static const struct shape alike = { "expressions, all the same prefix", one_prefix_pattern,
				    one_prefix_path };

static const struct {
	const struct shape *shape;
	unsigned rules;
} runs[] = {
	{ &literals, 10 }, { &literals, 1000 }, { &literals, 100000 }, { &apart, 10 },
	{ &apart, 100 },   { &apart, 300 },	{ &apart, 1000 },      { &alike, 10 },
	{ &alike, 100 },   { &alike, 300 },	{ &alike, 1000 },
};

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

size_t bench_memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

_Noreturn void bench_die(const char *what)
{
	fprintf(stderr, "bench_policy: %s\n", what);
	exit(1);
}

/* CHANGED: the last rule is another one. */
static char *make_text(const struct shape *shape, unsigned rules, bool changed, size_t *len)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, len);

	if (!to)
		bench_die("out of memory");
	fputs("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: "
	      "bench}\nspec:\n"
	      "  endpointSelector: {}\n  egress:\n  - toPorts:\n"
	      "    - ports: [{port: 80, protocol: TCP}]\n      rules:\n        http:\n",
	      to);
	for (unsigned i = 0; i < rules; i++) {
		fputs("        - {method: GET, path: '", to);
		shape->pattern(to, changed && i + 1 == rules ? rules + 1 : i);
		fputs("'}\n", to);
	}
	if (fclose(to) != 0)
		bench_die("out of memory");
	return text;
}

static struct policy *load(const struct shape *shape, unsigned rules, const struct policy *before,
			   double *seconds)
{
	struct policy_text text = { .name = "bench" };
	struct policy_options options = { .texts = &text, .n_texts = 1, .before = before };
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;
	char *copy = make_text(shape, rules, before != NULL, &text.len);
	double begin = bench_now();

	text.text = copy;
	if (policy_load(&options, &p, &diag) != 0) {
		diag_print(&diag, stderr);
		bench_die("the policy does not load");
	}
	*seconds = bench_now() - begin;
	diag_done(&diag);
	free(copy);
	return p;
}

static const struct ruleset *rules_of(const struct policy *p)
{
	struct address to = { .family = AF_INET, .port = 80, .ip = { 10, 0, 0, 1 } };
	const struct ruleset *rules = NULL;

	if (policy_l4(p, &to, false, IPPROTO_TCP, &rules) != L4_STEER)
		bench_die("the rules are not in force");
	return rules;
}

static double time_verdicts(const struct policy *p, const struct shape *shape, unsigned rules,
			    bool miss)
{
	static char paths[PATHS][96];
	struct judge_scratch *scratch = judge_scratch_new(p);
	const struct ruleset *rs = rules_of(p);
	size_t allowed = 0;
	double begin;

	if (!scratch)
		bench_die("out of memory");
	for (unsigned i = 0; i < PATHS; i++)
		shape->path(paths[i], sizeof(paths[i]),
			    (unsigned)((uint64_t)i * 2654435761u % rules), miss);
	begin = bench_now();
	for (unsigned i = 0; i < VERDICTS; i++) {
		struct span path = span_of(paths[i % PATHS]);
		struct request req = { .method = SPAN_LITERAL("GET"),
				       .path = path,
				       .authority = SPAN_LITERAL("localhost"),
				       .readings = &path,
				       .n_readings = 1 };

		allowed += ruleset_judge(rs, &req, scratch).action == VERDICT_ALLOW;
	}
	begin = bench_now() - begin;
	if (allowed != (miss ? 0 : VERDICTS))
		bench_die("a verdict is not what it should be");
	judge_scratch_free(scratch);
	return begin / VERDICTS * 1e9;
}

static void run(const struct shape *shape, unsigned rules)
{
	struct policy *p, *again;
	struct policy_stats stats;
	double load_seconds, reload_seconds;
	size_t before = bench_memory(), kept;

	p = load(shape, rules, NULL, &load_seconds);
	kept = bench_memory() - before;
	again = load(shape, rules, p, &reload_seconds);
	policy_stats(again, &stats);
	printf("%7u %-34s %9.1f %9.1f %9zu %9.2f %9.0f %9.0f\n", rules, shape->name,
	       load_seconds * 1e3, reload_seconds * 1e3, stats.compiled, (double)kept / 1048576,
	       time_verdicts(p, shape, rules, false), time_verdicts(p, shape, rules, true));
	policy_unref(again);
	policy_unref(p);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "sets") == 0) {
		bench_sets();
		return 0;
	}
	printf("%7s %-34s %9s %9s %9s %9s %9s %9s\n", "rules", "kind", "load ms", "reload ms",
	       "compiled", "MiB", "ns allow", "ns deny");
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		run(runs[i].shape, runs[i].rules);
	bench_sets();
	return 0;
}
