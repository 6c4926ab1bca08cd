// SPDX-License-Identifier: Apache-2.0
/* Names of ports that mean what each server calls so. */
#include "cases.h"

#include <errno.h>
#include <netinet/in.h>

#include "policy_set.h"

#define NAMESPACE "io.kubernetes.pod.namespace"

static const struct label one_labels[] = { { "app", "db" }, { "one", "" }, { NAMESPACE, "a" } };
static const struct label db_labels[] = { { "app", "db" }, { NAMESPACE, "a" } };
static const struct label web_labels[] = { { "app", "web" }, { NAMESPACE, "a" } };
static const struct address addresses[] = {
	{ .family = AF_INET, .ip = { 10, 0, 0, 1 } },
	{ .family = AF_INET, .ip = { 10, 0, 0, 2 } },
	{ .family = AF_INET, .ip = { 10, 0, 0, 3 } },
	{ .family = AF_INET, .ip = { 10, 0, 0, 4 } },
};
static const struct named_port sql[] = { { "sql", IPPROTO_TCP, 5432 }, { "x", IPPROTO_UDP, 53 } };
static const struct named_port other_sql[] = { { "SQL", IPPROTO_TCP, 5433 } };
/* .1: sql=5432, .2: sql=5433, .3: no names, .4: of another app */
static const struct policy_endpoint endpoints[] = {
	{ one_labels, 3, &addresses[0], 1, sql, 2 },
	{ db_labels, 2, &addresses[1], 1, other_sql, 1 },
	{ db_labels, 2, &addresses[2], 1, NULL, 0 },
	{ web_labels, 2, &addresses[3], 1, other_sql, 1 },
};

#define TO_DB "toEndpoints: [{matchLabels: {app: db}}], "
#define NAMED "toPorts: [{ports: [{port: sql, protocol: TCP}]}]"

/* ACTIONS: of .1 to .4, at 5432 and at 5433: allow, refuse, steer. */
static const struct {
	const char *rules, *actions;
} egress[] = {
	{ "egress: [{" TO_DB NAMED "}]", "ar ra rr rr" },
	{ "egress: [{" NAMED "}]", "ar ra rr ra" },
	{ "egress: [{toEntities: [cluster], " NAMED "}]", "ar ra rr ra" },
	{ "egress: [{toEntities: [world], " NAMED "}]", "rr rr rr rr" },
	{ "egress: [{toCIDR: [10.0.0.0/8], " NAMED "}]", "rr rr rr rr" },
	{ "egress: [{toEndpoints: [{matchLabels: {one: ''}}], " NAMED "}]", "ar rr rr rr" },
	{ "egress: [{toEndpoints: [], " NAMED "}]", "rr rr rr rr" },
	{ "egress: [{" TO_DB "toPorts: [{ports: [{port: sql, protocol: UDP}]}]}]", "rr rr rr rr" },
	{ "egress: [{" TO_DB "toPorts: [{ports: [{port: none}, {port: '5433'}]}]}]",
	  "ra ra ra rr" },
	{ "egress: [{" TO_DB "toPorts: [{ports: [{port: sql}, {port: '5433'}]}]}]", "aa ra ra rr" },
	{ "egress: [{" TO_DB
	  "toPorts: [{ports: [{port: sql, protocol: TCP}], rules: {http: [{path: "
	  "/a}]}}]}]",
	  "sr rs rr rr" },
	{ "egress: [{toCIDR: [10.0.0.0/8]}], egressDeny: [{" TO_DB NAMED "}]", "ra ar aa aa" },
	/* A name that the configuration has is that, for everybody. */
	{ "egress: [{" TO_DB "toPorts: [{ports: [{port: told, protocol: TCP}]}]}]", "ra ra ra rr" },
};

static struct policy_set *load(const char *rules)
{
	static const struct named_port ports[] = { { "told", IPPROTO_TCP, 5433 } };
	char text[1024];
	struct policy_text one = { "t.yaml", text, 0 };
	const struct policy_options options = { .texts = &one,
						.n_texts = 1,
						.ports = ports,
						.n_ports = 1,
						.own_ports = true,
						.endpoints_known = true,
						.endpoints = endpoints,
						.n_endpoints = ARRAY_SIZE(endpoints) };
	struct diag diag = { .items = NULL };
	struct policy_set *set = NULL;

	one.len = (size_t)snprintf(text, sizeof(text),
				   "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
				   "metadata: {name: p, namespace: a}\n"
				   "spec: {endpointSelector: {}, %s}\n",
				   rules);
	if (policy_set_load(&options, &set, &diag) < 0)
		diag_print(&diag, stderr);
	diag_done(&diag);
	assert_non_null(set);
	return set;
}

static struct policy *ask(struct policy_set *set, const struct named_port *ports, size_t n)
{
	const struct policy_endpoint who = { web_labels, 2, NULL, 0, ports, n };
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;

	assert_int_equal(policy_set_policy_of(set, &who, &p, &diag), 0);
	diag_done(&diag);
	return p;
}

static char sign_of(const struct policy *p, enum l4_direction direction, const char *ip,
		    uint16_t port)
{
	static const char signs[] = { [L4_REFUSE] = 'r', [L4_ALLOW] = 'a', [L4_STEER] = 's' };
	enum l4_action got = case_action_in(p, direction, ip, port, false, IPPROTO_TCP, NULL);

	assert_int_equal(got, case_table_action_in(policy_l4_table(p), direction, ip, port, false,
						   IPPROTO_TCP));
	return signs[got];
}

static void test_egress(void **state)
{
	static const char *const ips[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4" };

	for (size_t i = 0; i < ARRAY_SIZE(egress); i++) {
		struct policy_set *set = load(egress[i].rules);
		struct policy *p = ask(set, NULL, 0);
		char got[16] = "", *at = got;

		for (size_t j = 0; j < ARRAY_SIZE(ips); j++) {
			*at++ = sign_of(p, L4_EGRESS, ips[j], 5432);
			*at++ = sign_of(p, L4_EGRESS, ips[j], 5433);
			*at++ = j + 1 < ARRAY_SIZE(ips) ? ' ' : '\0';
		}
		if (strcmp(got, egress[i].actions) != 0)
			fail_msg("%s: %s, not %s", egress[i].rules, got, egress[i].actions);
		policy_unref(p);
		policy_set_free(set);
	}
}

/* The names are the workload's; who has the same ones has the same policy. */
static void test_ingress(void **state)
{
	struct policy_set *set =
		load("ingress: [{fromEndpoints: [{matchLabels: {app: db}}], " NAMED "}]");
	struct policy *a = ask(set, sql, 2), *b = ask(set, other_sql, 1), *same = ask(set, sql, 1);
	struct policy *none = ask(set, NULL, 0);

	assert_int_equal(sign_of(a, L4_INGRESS, "10.0.0.1", 5432), 'a');
	assert_int_equal(sign_of(a, L4_INGRESS, "10.0.0.1", 5433), 'r');
	assert_int_equal(sign_of(a, L4_INGRESS, "10.0.0.4", 5432), 'r');
	assert_int_equal(sign_of(b, L4_INGRESS, "10.0.0.3", 5432), 'r');
	assert_int_equal(sign_of(b, L4_INGRESS, "10.0.0.3", 5433), 'a');
	assert_int_equal(sign_of(none, L4_INGRESS, "10.0.0.1", 5432), 'r');
	assert_ptr_equal(a, same);
	assert_ptr_not_equal(a, b);
	policy_unref(a);
	policy_unref(b);
	policy_unref(same);
	policy_unref(none);
	policy_set_free(set);
}

/* Which entry a name is in tells policies apart, also where the number is the same. */
static void test_entries(void **state)
{
	static const struct named_port one[] = { { "one", IPPROTO_TCP, 80 } };
	static const struct named_port two[] = { { "two", IPPROTO_TCP, 80 } };
	struct policy_set *set =
		load("ingress: [{toPorts: [{ports: [{port: one, protocol: TCP}]}, {ports: [{port: "
		     "two, protocol: TCP}], rules: {http: [{path: /a}]}}]}]");
	struct policy *a = ask(set, one, 1), *b = ask(set, two, 1);

	assert_int_equal(sign_of(a, L4_INGRESS, "10.0.0.1", 80), 'a');
	assert_int_equal(sign_of(b, L4_INGRESS, "10.0.0.1", 80), 's');
	policy_unref(a);
	policy_unref(b);
	policy_set_free(set);
}

/* Whom a change of names concerns. */
static void test_change(void **state)
{
	struct policy_endpoint others[ARRAY_SIZE(endpoints)];
	struct policy_set *set = load("egress: [{" TO_DB NAMED "}]");
	struct policy *before = ask(set, NULL, 0), *same, *after;

	memcpy(others, endpoints, sizeof(others));
	others[3].n_ports = 0; /* of whom the rule does not speak */
	assert_int_equal(policy_set_endpoints(set, others, ARRAY_SIZE(others)), 0);
	same = ask(set, NULL, 0);
	assert_ptr_equal(before, same);
	others[2].ports = sql;
	others[2].n_ports = 1;
	assert_int_equal(policy_set_endpoints(set, others, ARRAY_SIZE(others)), 0);
	after = ask(set, NULL, 0);
	assert_int_equal(sign_of(before, L4_EGRESS, "10.0.0.3", 5432), 'r');
	assert_int_equal(sign_of(after, L4_EGRESS, "10.0.0.3", 5432), 'a');
	policy_unref(before);
	policy_unref(same);
	policy_unref(after);
	policy_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_egress),
		cmocka_unit_test(test_ingress),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
