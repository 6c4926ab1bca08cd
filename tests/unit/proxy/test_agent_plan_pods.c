/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's plan for pods: who is an entry, what each is held to, and what another list of pods
 * changes. */
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
#include "sluice/array.h"

#define CONFIG \
	"policies: p.yaml\nworkloads:\n- {name: unit, cgroup: /kubepods/burstable/pod-unit}\n"

#define POLICY                                                                                     \
	"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: a}\n" \
	"spec: {endpointSelector: {matchLabels: {app: client}}, egress: [{toEndpoints: "           \
	"[{matchLabels: "                                                                          \
	"{app: server}}]}]}\n"

enum { CLIENT, SERVER, ODD, OTHERS_CLIENT, PODS };

static const struct {
	const char *name, *namespace, *uid, *parent;
} told[PODS] = {
	[CLIENT] = { "client", "a", "11111111", "/kubepods/burstable/pod11111111" },
	[SERVER] = { "server", "a", "22222222", "/kubepods/pod22222222" },
	[ODD] = { "odd", "a", "33333333", "/elsewhere/pod33333333" },
	[OTHERS_CLIENT] = { "client", "b", "44444444", "/kubepods/besteffort/pod44444444" },
};

static struct pod *make_pod(size_t i, const char *label)
{
	struct cri_pair app = { "app", label };
	struct cri_pod from = { .id = told[i].uid,
				.name = told[i].name,
				.namespace = told[i].namespace,
				.uid = told[i].uid,
				.ready = true,
				.labels = &app,
				.n_labels = 1,
				.status = { .known = true, .n_addresses = 1 } };
	struct pod *p = NULL;

	strcpy(from.status.cgroup_parent, told[i].parent);
	from.status.addresses[0] =
		(struct address){ .family = AF_INET, .ip = { 10, 0, 0, (uint8_t)(i + 1) } };
	assert_int_equal(pod_new(&from, NULL, &p), 0);
	return p;
}

/* Those of the bits in WHICH. */
static struct pod_list *make_list(unsigned which)
{
	struct pod *pods[PODS];
	struct pod_list *list = NULL;
	size_t n = 0;

	for (size_t i = 0; i < PODS; i++)
		if (which & 1u << i)
			pods[n++] = make_pod(i, told[i].name);
	assert_int_equal(pod_list_new(pods, n, &list), 0);
	while (n > 0)
		pod_unref(pods[--n]);
	return list;
}

static struct agent_plan *load_after(const char *more, struct pod_list *pods,
				     const struct agent_plan *before)
{
	char dir[] = "/tmp/test_agent_plan_pods.XXXXXX", config[64], policy[64];
	struct agent_plan *ret = NULL;
	struct diag diag = { 0 };
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(config, sizeof(config), "%s/agent.yaml", dir);
	snprintf(policy, sizeof(policy), "%s/p.yaml", dir);
	f = fopen(config, "we");
	assert_non_null(f);
	fprintf(f, CONFIG "%s\n", more);
	fclose(f);
	f = fopen(policy, "we");
	assert_non_null(f);
	fputs(POLICY, f);
	fclose(f);
	if (agent_plan_load(config, pods, before, &ret, &diag) < 0)
		assert_string_equal(
			diag.items[0].message,
			"\"pods\" cannot come, go, or have another \"runtime\" while the "
			"agent runs");
	diag_done(&diag);
	unlink(config);
	unlink(policy);
	rmdir(dir);
	return ret;
}

static struct agent_plan *load(const char *more, struct pod_list *pods)
{
	struct agent_plan *ret = load_after(more, pods, NULL);

	assert_non_null(ret);
	return ret;
}

/* Else all pods would be unknown at once, or free. */
static void test_other_runtime(void **state)
{
	static const struct {
		const char *before, *after;
		bool loads;
	} cases[] = {
		{ "", "", true },
		{ "pods: {}", "pods: {hold: false}", true },
		{ "pods: {}", "pods: {runtime: /run/containerd/containerd.sock}", true },
		{ "pods: {}", "pods: {runtime: /run/crio/crio.sock}", false },
		{ "pods: {}", "", false },
		{ "", "pods: {}", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct agent_plan *before = load(cases[i].before, NULL);
		struct agent_plan *after = load_after(cases[i].after, NULL, before);

		assert_int_equal(after != NULL, cases[i].loads);
		agent_plan_free(after);
		agent_plan_free(before);
	}
}

static const struct agent_entry *entry_at(const struct agent_plan *p, const char *path)
{
	long i = agent_plan_entry(p, "/sys/fs/cgroup", path);

	return i < 0 ? NULL : &p->entries[i];
}

static const struct agent_rule *rule_at(const struct agent_plan *p, const char *path)
{
	long i = agent_plan_entry(p, "/sys/fs/cgroup", path);

	assert_true(i >= 0);
	return &p->rules[i];
}

static int action(const struct agent_rule *rule, uint8_t last)
{
	const struct address to = { .family = AF_INET, .port = 80, .ip = { 10, 0, 0, last } };
	const struct ruleset *rules;

	return (int)policy_l4(rule->policy, &to, false, 6, &rules);
}

static void test_entries(void **state)
{
	struct pod_list *pods = make_list(1u << CLIENT | 1u << SERVER | 1u << ODD);
	struct agent_plan *p = load("pods: {}", pods);

	assert_int_equal(p->n_entries, 5);
	assert_int_equal(entry_at(p, "/kubepods/burstable/pod-unit")->kind, AGENT_CONFIGURED);
	assert_int_equal(entry_at(p, told[CLIENT].parent)->kind, AGENT_POD);
	assert_string_equal(entry_at(p, told[CLIENT].parent)->name, "client");
	assert_string_equal(entry_at(p, told[ODD].parent)->name, "odd");
	assert_int_equal(entry_at(p, "/kubepods/burstable/pod99")->kind, AGENT_UNKNOWN_POD);
	assert_null(entry_at(p, "/kubepods/burstable/pod99/pod1"));
	assert_null(entry_at(p, "/kubepods/burstable"));
	/* The unit's, the presets', and that of the odd one. */
	assert_int_equal(p->n_patterns, 1 + 6 + 1);
	assert_string_equal(p->patterns[7], told[ODD].parent);
	agent_plan_free(p);
	pod_list_unref(pods);
}

/* The unknown one is refused in the directions that some policy speaks of, or nothing. */
static void test_rules(void **state)
{
	struct pod_list *pods = make_list(1u << CLIENT | 1u << SERVER | 1u << OTHERS_CLIENT);

	for (int hold = 0; hold < 2; hold++) {
		struct agent_plan *p = load(hold ? "pods: {}" : "pods: {hold: false}", pods);
		const struct agent_rule *client = rule_at(p, told[CLIENT].parent);
		const struct agent_rule *unknown = rule_at(p, "/kubepods/pod99");
		const struct l4_table *table = policy_l4_table(unknown->policy);

		assert_int_equal(action(client, SERVER + 1), L4_ALLOW);
		assert_int_equal(action(client, CLIENT + 1), L4_REFUSE);
		assert_int_equal(action(rule_at(p, told[SERVER].parent), 1), L4_ALLOW);
		assert_int_equal(action(rule_at(p, told[OTHERS_CLIENT].parent), 1), L4_ALLOW);
		assert_int_equal(table->enforced, hold);
		assert_false(table->ingress_enforced);
		if (hold)
			assert_int_equal(action(unknown, SERVER + 1), L4_REFUSE);
		agent_plan_free(p);
	}
	pod_list_unref(pods);
}

/* Of the same files: only what the pods change is another. */
static void test_renewed(void **state)
{
	struct pod_list *all = make_list(1u << CLIENT | 1u << SERVER | 1u << OTHERS_CLIENT);
	struct pod_list *fewer = make_list(1u << CLIENT | 1u << OTHERS_CLIENT);
	const struct address server = { .family = AF_INET, .ip = { 10, 0, 0, SERVER + 1 } };
	struct agent_plan *first = load("pods: {}", all), *second = NULL;
	struct diag diag = { 0 };

	assert_int_equal(agent_plan_renew(first, fewer, &second, &diag), 0);
	assert_ptr_equal(rule_at(first, told[OTHERS_CLIENT].parent)->policy,
			 rule_at(second, told[OTHERS_CLIENT].parent)->policy);
	assert_ptr_equal(rule_at(first, told[CLIENT].parent)->info,
			 rule_at(second, told[CLIENT].parent)->info);
	assert_int_equal(action(rule_at(first, told[CLIENT].parent), SERVER + 1), L4_ALLOW);
	assert_int_equal(action(rule_at(second, told[CLIENT].parent), SERVER + 1), L4_REFUSE);
	assert_true(agent_plan_same_cgroups(first, second));
	assert_non_null(endpoint_names_find(first->names, &server));
	assert_null(endpoint_names_find(second->names, &server));
	assert_int_equal(entry_at(second, told[SERVER].parent)->kind, AGENT_UNKNOWN_POD);
	agent_plan_free(first);
	assert_int_equal(action(rule_at(second, told[CLIENT].parent), CLIENT + 1), L4_REFUSE);
	agent_plan_free(second);
	pod_list_unref(all);
	pod_list_unref(fewer);
}

/* Labels that are too long for a record keep nobody from being held. */
static void test_long_labels(void **state)
{
	static char value[WORKLOAD_LABELS_MAX + 1];
	struct pod_list *pods = NULL;
	struct agent_plan *p;
	struct pod *pod;

	memset(value, 'v', sizeof(value) - 1);
	pod = make_pod(CLIENT, value);
	assert_int_equal(pod_list_new(&pod, 1, &pods), 0);
	pod_unref(pod);
	p = load("pods: {}", pods);
	assert_string_equal(rule_at(p, told[CLIENT].parent)->info->record,
			    ",\"namespace\":\"a\",\"workload\":\"client\"");
	agent_plan_free(p);
	pod_list_unref(pods);
}

static void test_without_memory(void **state)
{
	struct pod_list *pods = make_list(1u << CLIENT | 1u << SERVER);
	struct agent_plan *first = load("pods: {}", NULL), *second = NULL;
	unsigned n = 0;
	int r;

	do {
		struct diag diag = { 0 };

		fail_alloc_at(++n);
		r = agent_plan_renew(first, pods, &second, &diag);
		if (r < 0)
			assert_true(fail_alloc_happened() && (diag.oom || diag.n > 0));
		diag_done(&diag);
	} while (r < 0);
	fail_alloc_at(0);
	assert_true(n > 10);
	assert_int_equal(action(rule_at(second, told[CLIENT].parent), SERVER + 1), L4_ALLOW);
	agent_plan_free(first);
	agent_plan_free(second);
	pod_list_unref(pods);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_runtime), cmocka_unit_test(test_entries),
		cmocka_unit_test(test_rules),	      cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_long_labels),   cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
