/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration with the policies of its workloads, and what of it is that of the plan before. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent_plan.h"
#include "fail_alloc.h"

#define CONFIG                                                          \
	"policies: p.yaml\nworkloads:\n"                                \
	"- {name: a, namespace: n, labels: {app: web}, cgroup: /x/a}\n" \
	"- {name: b, namespace: n, labels: {app: web}, cgroup: /x/*}\n" \
	"- {name: c, namespace: n, labels: {app: db}, cgroup: /*/*}\n"  \
	"- {name: d, namespace: other, cgroup: /y}\n"

#define POLICY(name, app, path)                                                             \
	"---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"                        \
	"metadata: {name: " name ", namespace: n}\n"                                        \
	"spec: {endpointSelector: {matchLabels: {app: " app "}}, egress: [{toPorts: [{"     \
	"ports: [{port: '80', protocol: TCP}], rules: {http: [{path: " path "}, {path: /b}" \
	"]}}]}]}\n"

#define POLICIES POLICY("web", "web", "/a") POLICY("db", "db", "/d")

struct place {
	char dir[40], config[64], policy[64];
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void place_make(struct place *p)
{
	strcpy(p->dir, "/tmp/test_agent_plan.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->config, sizeof(p->config), "%s/agent.yaml", p->dir);
	snprintf(p->policy, sizeof(p->policy), "%s/p.yaml", p->dir);
	write_file(p->config, CONFIG);
	write_file(p->policy, POLICIES);
}

static void place_remove(const struct place *p)
{
	unlink(p->config);
	unlink(p->policy);
	rmdir(p->dir);
}

static struct agent_plan *must_load(const struct place *p, const struct agent_plan *before)
{
	struct agent_plan *ret = NULL;
	struct diag diag = { 0 };

	if (agent_plan_load(p->config, NULL, before, &ret, &diag) < 0) {
		diag_print(&diag, stderr);
		fail_msg("it does not load");
	}
	assert_int_equal(diag.n, 0);
	diag_done(&diag);
	return ret;
}

static void test_rules(void **state)
{
	struct agent_plan_sums sums;
	struct agent_plan *plan;
	struct place p;

	place_make(&p);
	plan = must_load(&p, NULL);
	assert_int_equal(plan->config->n_entries, 4);
	assert_ptr_equal(plan->rules[0].policy, plan->rules[1].policy);
	assert_ptr_not_equal(plan->rules[0].policy, plan->rules[2].policy);
	assert_ptr_not_equal(plan->rules[0].info, plan->rules[1].info);
	assert_int_equal(policy_n_selected(plan->rules[3].policy), 0);
	agent_plan_sum_up(plan, &sums);
	assert_int_equal(sums.unselected, 1);
	assert_int_equal(sums.policies, 2);
	assert_int_equal(sums.rules, 4);
	agent_plan_free(plan);
	agent_plan_free(NULL);
	place_remove(&p);
}

/* The first entry that stands for it, as the tree's paths or as those of its mount. */
static void test_entry(void **state)
{
	static const struct {
		const char *path;
		long want;
	} cases[] = { { "/x/a", 0 }, { "/x/b", 1 }, { "/z/a", 2 }, { "/y", 3 },
		      { "/z", -1 },  { "/x", -1 },  { "", -1 } };
	struct agent_plan *plan;
	struct place p;

	place_make(&p);
	plan = must_load(&p, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(agent_plan_entry(plan, "/sys/fs/cgroup", cases[i].path),
				 cases[i].want);
	agent_plan_free(plan);
	place_remove(&p);
}

/* What says the same is the same; a policy that differs is another for those whom it selects. */
static void test_before(void **state)
{
	struct agent_plan *first, *same, *other, *renamed;
	struct place p;

	place_make(&p);
	first = must_load(&p, NULL);
	same = must_load(&p, first);
	assert_true(first->digest == same->digest);
	for (size_t i = 0; i < 4; i++) {
		assert_ptr_equal(first->rules[i].policy, same->rules[i].policy);
		assert_ptr_equal(first->rules[i].info, same->rules[i].info);
	}
	write_file(p.policy, POLICY("web", "web", "/a") POLICY("db", "db", "/e"));
	other = must_load(&p, same);
	assert_true(first->digest != other->digest);
	assert_ptr_equal(first->rules[0].policy, other->rules[0].policy);
	assert_ptr_not_equal(first->rules[2].policy, other->rules[2].policy);
	assert_ptr_equal(first->rules[3].policy, other->rules[3].policy);
	write_file(p.config, "policies: p.yaml\nworkloads:\n"
			     "- {name: c, namespace: n, labels: {app: db, v: x}, cgroup: /*}\n"
			     "- {name: e, namespace: n, labels: {app: web}, cgroup: /e}\n");
	renamed = must_load(&p, other);
	assert_ptr_equal(renamed->rules[0].policy, other->rules[2].policy);
	assert_ptr_not_equal(renamed->rules[0].info, other->rules[2].info); /* its labels */
	agent_plan_free(first);
	agent_plan_free(same);
	agent_plan_free(other);
	agent_plan_free(renamed);
	place_remove(&p);
}

static void test_errors(void **state)
{
	static const struct {
		const char *config, *policy, *said;
	} cases[] = {
		{ "policies: p.yaml\nworkloads: x\n", POLICIES, "agent.yaml:2:12: " },
		{ "policies: q.yaml\nworkloads: []\n", POLICIES, "q.yaml" },
		{ CONFIG, POLICIES "---\nkind: X\n", "p.yaml:12:" },
	};
	struct agent_plan *before, *plan = NULL;
	struct place p;

	place_make(&p);
	before = must_load(&p, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct diag diag = { 0 };
		char *said = NULL;
		size_t size;
		FILE *to = open_memstream(&said, &size);

		write_file(p.config, cases[i].config);
		write_file(p.policy, cases[i].policy);
		assert_true(agent_plan_load(p.config, NULL, before, &plan, &diag) < 0);
		assert_null(plan);
		diag_print(&diag, to);
		fclose(to);
		if (!strstr(said, cases[i].said))
			fail_msg("%zu: %s", i, said);
		free(said);
		diag_done(&diag);
	}
	agent_plan_free(before);
	place_remove(&p);
}

/* Whichever allocation fails: nothing is half made, and the plan before is as it was. */
static void test_without_memory(void **state)
{
	struct agent_plan *before, *plan = NULL;
	unsigned n = 0;
	struct place p;

	place_make(&p);
	before = must_load(&p, NULL);
	write_file(p.policy, POLICY("web", "web", "/a") POLICY("db", "db", "/e"));
	for (;; n++) {
		struct diag diag = { 0 };
		int r;

		fail_alloc_at(n + 1);
		r = agent_plan_load(p.config, NULL, before, &plan, &diag);
		if (r == 0 && !fail_alloc_happened()) {
			fail_alloc_at(0);
			diag_done(&diag);
			break;
		}
		fail_alloc_at(0);
		/* Some of what is lacking is done without. */
		assert_true(r == 0 || (diag.n > 0 || diag.oom));
		assert_int_equal(r < 0, plan == NULL);
		agent_plan_free(plan);
		plan = NULL;
		diag_done(&diag);
	}
	assert_in_range(n, 20, 100000);
	assert_ptr_equal(plan->rules[0].policy, before->rules[0].policy);
	agent_plan_free(plan);
	agent_plan_free(before);
	place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),	       cmocka_unit_test(test_entry),
		cmocka_unit_test(test_before),	       cmocka_unit_test(test_errors),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
