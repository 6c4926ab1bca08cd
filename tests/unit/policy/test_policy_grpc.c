// SPDX-License-Identifier: Apache-2.0
/* rules.grpc, which are HTTP rules in other words, and ports that have a name. */
#include "cases.h"

#include <errno.h>
#include <netinet/in.h>

#define RULES(kind, rules)                                                              \
	CASE_HEAD "  egress:\n  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n" \
		  "      rules:\n        " kind ":\n" rules

static const char grpc[] = RULES("grpc", "        - {service: 'shop\\.Cart', method: Add|Remove}\n"
					 "        - {service: 'shop\\.(Price|Stock)'}\n"
					 "        - {method: Health}\n"
					 "        - {service: (?i)a, method: b|c}\n");

static const struct {
	const char *method, *path;
	int rule;
} grpc_cases[] = {
	{ "POST", "/shop.Cart/Add", 0 },
	{ "POST", "/shop.Cart/Remove", 0 },
	{ "POST", "/shop.Cart/Addx", -1 },
	{ "POST", "/shop.Cart/Ad", -1 },
	{ "GET", "/shop.Cart/Add", -1 },
	{ "POST", "/shopxCart/Add", -1 },
	{ "POST", "/shop.Cart/Add/x", -1 },
	{ "POST", "/shop.Stock/All", 1 },
	{ "POST", "/shop.Stock/", -1 },
	{ "POST", "/shop.Stock/a/b", -1 },
	{ "POST", "/any.Service/Health", 2 },
	{ "POST", "//Health", -1 },
	{ "POST", "/x/y/Health", -1 },
	{ "POST", "/A/b", 3 },
	{ "POST", "/a/c", 3 },
	{ "POST", "/a/B", -1 },
	{ "POST", "c", -1 },
};

static void test_grpc(void **state)
{
	struct policy *p = case_policy(grpc);
	const struct ruleset *rs = case_rules(p, 80);

	for (size_t i = 0; i < ARRAY_SIZE(grpc_cases); i++) {
		struct case_request request = { grpc_cases[i].method, grpc_cases[i].path };
		struct verdict v = case_judge(p, rs, &request);

		if ((v.action == VERDICT_ALLOW) != (grpc_cases[i].rule >= 0))
			fail_msg("%s %s: %d", request.method, request.path, v.action);
		if (grpc_cases[i].rule >= 0)
			assert_int_equal(v.rule->index, grpc_cases[i].rule);
	}
	policy_unref(p);
	p = case_policy(RULES("grpc", "        - {}\n"));
	assert_int_equal(
		case_judge(p, case_rules(p, 80), &(struct case_request){ "POST", "/a.B/c" }).action,
		VERDICT_ALLOW);
	assert_int_equal(
		case_judge(p, case_rules(p, 80), &(struct case_request){ "GET", "/a.B/c" }).action,
		VERDICT_DENY);
	assert_string_equal(case_judge(p, case_rules(p, 80),
				       &(struct case_request){ "POST", "/a.B/c" })
				    .rule->path,
			    "egress[0].toPorts[0].rules.grpc[0]");
	policy_unref(p);
	p = case_policy(RULES("grpc", "        []\n"));
	assert_int_equal(
		case_judge(p, case_rules(p, 80), &(struct case_request){ "POST", "/a.B/c" }).action,
		VERDICT_DENY);
	policy_unref(p);
}

/* Two entries on one port, one with each kind: they are one union. */
static void test_grpc_beside_http(void **state)
{
	struct policy *p = case_policy(RULES("grpc", "        - {service: a, method: b}\n"
						     "    - ports: [{port: 80, protocol: TCP}]\n"
						     "      rules: {http: [{method: GET}]}\n"));
	const struct ruleset *rs = case_rules(p, 80);

	assert_int_equal(case_judge(p, rs, &(struct case_request){ "POST", "/a/b" }).action,
			 VERDICT_ALLOW);
	assert_int_equal(case_judge(p, rs, &(struct case_request){ "GET", "/c" }).action,
			 VERDICT_ALLOW);
	assert_int_equal(case_judge(p, rs, &(struct case_request){ "POST", "/c" }).action,
			 VERDICT_DENY);
	policy_unref(p);
}

static void test_named_ports(void **state)
{
	static const struct named_port ports[] = {
		{ "http", IPPROTO_TCP, 80 },
		{ "http", IPPROTO_TCP, 8080 },
		{ "dns", 0, 53 },
		{ "quic", IPPROTO_UDP, 443 },
	};
	static const struct {
		uint16_t port;
		uint8_t protocol;
		enum l4_action action;
	} asks[] = {
		{ 80, IPPROTO_TCP, L4_STEER },	 { 8080, IPPROTO_TCP, L4_STEER },
		{ 80, IPPROTO_UDP, L4_REFUSE },	 { 53, IPPROTO_UDP, L4_ALLOW },
		{ 53, IPPROTO_TCP, L4_ALLOW },	 { 443, IPPROTO_UDP, L4_ALLOW },
		{ 443, IPPROTO_TCP, L4_REFUSE }, { 81, IPPROTO_TCP, L4_REFUSE },
	};
	struct policy_options o = { .ports = ports, .n_ports = ARRAY_SIZE(ports) };
	char said[1024] = "";
	struct policy *p = case_must_load(CASE_HEAD "  egress:\n  - toPorts:\n"
						    "    - ports: [{port: HTTP, protocol: TCP}]\n"
						    "      rules: {http: [{path: /}]}\n"
						    "    - ports: [{port: dns}, {port: quic}]\n",
					  &o);

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++)
		assert_int_equal(case_action(p, "10.0.0.1", asks[i].port, false, asks[i].protocol,
					     NULL),
				 asks[i].action);
	p = policy_unref(p);
	assert_int_equal(
		case_load_options(CASE_HEAD
				  "  egress:\n  - toPorts:\n"
				  "    - ports: [{port: quic, protocol: TCP}, {port: htp}]\n",
				  &o, &p, said, sizeof(said)),
		-EINVAL);
	assert_string_equal(said, "t.yaml:8:22: no port of the name \"quic\" is known; write its "
				  "number, or say which it is: --port quic=NUMBER\n"
				  "t.yaml:8:51: no port of the name \"htp\" is known; write its "
				  "number, or say which it is: --port htp=NUMBER\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grpc),
		cmocka_unit_test(test_grpc_beside_http),
		cmocka_unit_test(test_named_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
