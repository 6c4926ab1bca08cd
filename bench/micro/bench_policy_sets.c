// SPDX-License-Identifier: Apache-2.0
/* What the policies of 1,000 workloads cost, for each of which 100 rules are selected. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include "bench_policy.h"
#include "policy_set.h"
#include "sluice/array.h"

#define WORKLOADS 1000
#define RULES	  100 /* of each workload */
#define GROUPS	  20

static const struct shape {
	const char *name;
	unsigned documents;
	unsigned each;	   /* so many of them select a workload */
	const char *path;  /* what a path ends with, behind the numbers of document and rule */
	const char *peers; /* a key and, but for its end, its value */
} shapes[] = {
	{ "one policy for all, strings", 1, 1, "", NULL },
	{ "one policy for all, expressions", 1, 1, "/[0-9]+", NULL },
	{ "10 of 20 policies for each, strings", GROUPS, GROUPS / 2, "", NULL },
	{ "10 of 20 policies for each, expressions", GROUPS, GROUPS / 2, "/[0-9]+", NULL },
	{ "its own policy for each, strings", WORKLOADS, 1, "", NULL },
	{ "the same, about 10 of 1,000 endpoints", WORKLOADS, 1, "",
	  "toEndpoints: [{matchLabels: {group: g3}}]" },
	{ "the same, about the world without them", WORKLOADS, 1, "", "toEntities: [world]" },
};

static struct policy_endpoint endpoints[WORKLOADS + 1];
static struct label endpoint_labels[WORKLOADS + 1];
static struct address endpoint_addresses[WORKLOADS + 1];
static char group_names[100][8];
static char numbers[WORKLOADS][8], keys[GROUPS][8];

static void fill_tables(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(group_names); i++)
		snprintf(group_names[i], sizeof(group_names[i]), "g%zu", i);
	for (size_t i = 0; i < WORKLOADS; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%zu", i);
	for (size_t i = 0; i < GROUPS; i++)
		snprintf(keys[i], sizeof(keys[i]), "d%zu", i);
	for (size_t i = 0; i <= WORKLOADS; i++) {
		endpoint_labels[i] = (struct label){ "group", group_names[i % 100] };
		endpoint_addresses[i] =
			(struct address){ .family = AF_INET,
					  .ip = { 10, 1, (uint8_t)(i / 250), (uint8_t)(i % 250) } };
		endpoints[i] = (struct policy_endpoint){
			.labels = &endpoint_labels[i],
			.n_labels = 1,
			.addresses = &endpoint_addresses[i],
			.n_addresses = 1,
		};
	}
}

static void write_document(FILE *to, const struct shape *s, unsigned number, bool changed)
{
	const char *selector = s->documents == 1 ? "" : "matchLabels: {";

	fprintf(to,
		"---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: d%u}\n"
		"spec:\n  endpointSelector: {%s",
		number, selector);
	if (s->documents == GROUPS)
		fprintf(to, "d%u: ''}", number);
	else if (s->documents == WORKLOADS)
		fprintf(to, "number: '%u'}", number);
	fprintf(to,
		"}\n  egress:\n  - %s\n    toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n"
		"      rules:\n        http:\n",
		s->peers ? s->peers : "toCIDR: [10.0.0.0/8]");
	for (unsigned i = 0; i < RULES / s->each; i++)
		fprintf(to, "        - {method: GET, path: '/s%u-%u%s%s'}\n", number, i,
			changed && number == 0 && i == 0 ? "/new" : "", s->path);
}

static struct policy_set *load(const struct shape *s, const struct policy_set *before)
{
	struct policy_text text = { .name = "bench" };
	struct policy_options options = { .texts = &text,
					  .n_texts = 1,
					  .endpoints_known = true,
					  .endpoints = endpoints,
					  .n_endpoints = WORKLOADS,
					  .before_set = before };
	struct diag diag = { .items = NULL };
	struct policy_set *set = NULL;
	char *bytes = NULL;
	FILE *to = open_memstream(&bytes, &text.len);

	if (!to)
		bench_die("out of memory");
	for (unsigned i = 0; i < s->documents; i++)
		write_document(to, s, i, before != NULL);
	if (fclose(to) != 0)
		bench_die("out of memory");
	text.text = bytes;
	if (policy_set_load(&options, &set, &diag) != 0) {
		diag_print(&diag, stderr);
		bench_die("the policies do not load");
	}
	diag_done(&diag);
	free(bytes);
	return set;
}

/* Which of GROUPS documents are about workload I: half of them, another half for each. */
static size_t add_groups(struct label *labels, size_t n, unsigned i)
{
	unsigned seen = 0, others = 0;

	for (unsigned k = 0; k < GROUPS; k++) {
		/* Of a pair of documents one, by a bit of the number. */
		bool wanted = k % 2 == ((i >> (k / 2)) & 1);

		seen += wanted;
		others += !wanted;
		if (wanted)
			labels[n++] = (struct label){ keys[k], "" };
	}
	if (seen != GROUPS / 2 || others != GROUPS / 2)
		bench_die("the groups are not halves");
	return n;
}

static void make_all(struct policy_set *set, struct policy **policies)
{
	struct diag diag = { .items = NULL };

	for (unsigned i = 0; i < WORKLOADS; i++) {
		struct label labels[GROUPS + 1] = { { "number", numbers[i] } };
		size_t n = add_groups(labels, 1, i);
		struct policy *p = NULL;

		if (policy_set_policy(set, labels, n, &p, &diag) != 0)
			bench_die("a policy cannot be made");
		policy_unref(policies[i]);
		policies[i] = p;
	}
	policy_set_trim(set);
}

static void run(const struct shape *s)
{
	static struct policy *policies[WORKLOADS], *next[WORKLOADS];
	size_t before = bench_memory(), kept, same = 0;
	double begin = bench_now(), loaded, made, again, changed;
	struct policy_set *set = load(s, NULL), *new_set;
	struct policy_set_stats stats;

	loaded = bench_now() - begin;
	make_all(set, policies);
	made = bench_now() - begin - loaded;
	kept = bench_memory() - before;
	policy_set_stats(set, &stats);
	begin = bench_now();
	if (policy_set_endpoints(set, endpoints, WORKLOADS + 1) != 0)
		bench_die("out of memory");
	make_all(set, policies);
	changed = bench_now() - begin;
	begin = bench_now();
	new_set = load(s, set);
	make_all(new_set, next);
	again = bench_now() - begin;
	for (size_t i = 0; i < WORKLOADS; i++) {
		same += policy_same(policies[i], next[i]);
		policies[i] = policy_unref(policies[i]);
		next[i] = policy_unref(next[i]);
	}
	policy_set_free(set);
	policy_set_free(new_set);
	printf("%-40s %8zu %9.0f %9.0f %9.0f %9.0f %8zu %9.1f\n", s->name, stats.policies,
	       loaded * 1e3, made * 1e3, again * 1e3, changed * 1e3, same, (double)kept / 1048576);
}

void bench_sets(void)
{
	fill_tables();
	printf("\n%d workloads, %d rules each\n%-40s %8s %9s %9s %9s %9s %8s %9s\n", WORKLOADS,
	       RULES, "kind", "policies", "read ms", "make ms", "again ms", "peer ms", "same",
	       "MiB");
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		run(&shapes[i]);
}
