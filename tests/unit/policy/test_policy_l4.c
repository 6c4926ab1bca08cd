// SPDX-License-Identifier: Apache-2.0
/* The L3/L4 part: who is covered, on which ports, and how rules combine. Every question is asked of
 * the flat tables and of policy_l4(), and once more of the mirrored policy, in which egress is
 * ingress. */
#include "cases.h"

#include <netinet/in.h>

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

enum { REFUSE = L4_REFUSE, ALLOW = L4_ALLOW, STEER = L4_STEER };

struct question {
	const char *ip;
	uint16_t port;
	uint8_t protocol;
	bool local;
	int action;
	const char *get; /* for STEER: a path for which GET is allowed, or with '!' refused */
};

static const struct {
	const char *rules; /* what follows CASE_HEAD */
	struct question ask[8];
} cases[] = {
	/* peers */
	{ "  egress: []\n",
	  { { "10.0.0.1", 80, TCP, false, REFUSE }, { "::1", 80, UDP, true, REFUSE } } },
	{ "  egress: [{toEntities: [all]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW },
	    { "::1", 65535, UDP, true, ALLOW },
	    { "10.0.0.1", 0, TCP, false, ALLOW } } },
	{ "  egress: [{}]\n", { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{description: nothing}, {toCIDR: [10.0.0.1]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW }, { "10.0.0.2", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDR: []}]\n", { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDRSet: []}]\n", { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toEntities: []}]\n", { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toPorts: []}]\n", { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toPorts: [{ports: []}]}]\n", { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDR: [], toPorts: [{ports: [{port: 80}]}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDR: [10.1.2.3/8, 10.9.0.1, '2001:db8::/32']}]\n",
	  { { "10.255.0.1", 1, TCP, true, ALLOW },
	    { "10.255.0.1", 1, UDP, false, ALLOW },
	    { "11.0.0.0", 1, TCP, false, REFUSE },
	    { "9.255.255.255", 1, TCP, false, REFUSE },
	    { "2001:db8:ffff::1", 1, TCP, false, ALLOW },
	    { "2001:db9::", 1, TCP, false, REFUSE },
	    { "a00::", 1, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDR: [0.0.0.0/0]}]\n",
	  { { "255.255.255.255", 1, TCP, false, ALLOW },
	    { "127.0.0.1", 1, TCP, true, ALLOW },
	    { "::1", 1, TCP, true, REFUSE } } },
	{ "  egress: [{toCIDR: [255.255.255.255, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']}]\n",
	  { { "255.255.255.255", 1, TCP, false, ALLOW },
	    { "255.255.255.254", 1, TCP, false, REFUSE },
	    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, TCP, false, ALLOW },
	    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 1, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.1.2.0/24, "
	  "10.1.0.0/16]}]}]\n",
	  { { "10.0.0.1", 1, TCP, false, ALLOW },
	    { "10.1.0.1", 1, TCP, false, REFUSE },
	    { "10.1.2.1", 1, TCP, false, REFUSE },
	    { "10.2.0.0", 1, TCP, false, ALLOW },
	    { "11.0.0.0", 1, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}]}]\n",
	  { { "10.0.0.1", 1, TCP, false, REFUSE } } },
	/* an exception takes away from its own range only */
	{ "  egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {cidr: "
	  "10.1.2.0/24}]}]\n",
	  { { "10.1.2.3", 1, TCP, false, ALLOW },
	    { "10.1.3.3", 1, TCP, false, REFUSE },
	    { "10.2.0.1", 1, TCP, false, ALLOW } } },
	{ "  egress:\n  - toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]\n  - toCIDR: "
	  "[10.1.0.0/16]\n",
	  { { "10.1.2.3", 1, TCP, false, ALLOW } } },
	/* entities */
	{ "  egress: [{toEntities: [world]}]\n",
	  { { "10.0.0.1", 1, TCP, false, ALLOW },
	    { "10.0.0.1", 1, TCP, true, REFUSE },
	    { "::1", 1, TCP, true, REFUSE } } },
	{ "  egress: [{toEntities: [host]}]\n",
	  { { "10.0.0.1", 1, TCP, false, REFUSE },
	    { "10.0.0.1", 1, TCP, true, ALLOW },
	    { "::1", 1, UDP, true, ALLOW } } },
	{ "  egress: [{toEntities: [cluster]}]\n",
	  { { "10.0.0.1", 1, TCP, false, REFUSE }, { "10.0.0.1", 1, TCP, true, ALLOW } } },
	{ "  egress: [{toEntities: [remote-node]}]\n",
	  { { "10.0.0.1", 1, TCP, false, REFUSE }, { "10.0.0.1", 1, TCP, true, REFUSE } } },
	{ "  egress: [{toEntities: [all]}]\n",
	  { { "10.0.0.1", 1, TCP, false, ALLOW }, { "::1", 1, TCP, true, ALLOW } } },
	{ "  egress: [{toEntities: [world]}, {toCIDR: [127.0.0.0/8]}]\n",
	  { { "127.0.0.1", 1, TCP, true, ALLOW },
	    { "10.0.0.1", 1, TCP, true, REFUSE },
	    { "10.0.0.1", 1, TCP, false, ALLOW } } },
	/* ports */
	{ "  egress: [{toPorts: [{ports: [{port: 80, protocol: TCP}]}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW },
	    { "10.0.0.1", 80, UDP, false, REFUSE },
	    { "10.0.0.1", 81, TCP, false, REFUSE },
	    { "10.0.0.1", 79, TCP, false, REFUSE } } },
	{ "  egress: [{toPorts: [{ports: [{port: '53', protocol: UDP}, {port: '54'}, {port: '55', "
	  "protocol: ANY}]}]}]\n",
	  { { "10.0.0.1", 53, TCP, false, REFUSE },
	    { "10.0.0.1", 53, UDP, false, ALLOW },
	    { "10.0.0.1", 54, TCP, false, ALLOW },
	    { "10.0.0.1", 54, UDP, false, ALLOW },
	    { "10.0.0.1", 55, TCP, false, ALLOW },
	    { "10.0.0.1", 55, UDP, false, ALLOW } } },
	{ "  egress: [{toPorts: [{ports: [{port: 1000, endPort: 2999, protocol: TCP}]}]}]\n",
	  { { "10.0.0.1", 999, TCP, false, REFUSE },
	    { "10.0.0.1", 1000, TCP, false, ALLOW },
	    { "10.0.0.1", 2048, TCP, false, ALLOW },
	    { "10.0.0.1", 2999, TCP, false, ALLOW },
	    { "10.0.0.1", 3000, TCP, false, REFUSE } } },
	{ "  egress: [{toPorts: [{ports: [{port: 1, endPort: 65535, protocol: TCP}]}]}]\n",
	  { { "10.0.0.1", 0, TCP, false, REFUSE },
	    { "10.0.0.1", 1, TCP, false, ALLOW },
	    { "10.0.0.1", 65535, TCP, false, ALLOW } } },
	{ "  egress: [{toPorts: [{ports: [{port: 0, protocol: UDP}]}]}]\n",
	  { { "10.0.0.1", 0, UDP, false, ALLOW },
	    { "10.0.0.1", 65535, UDP, false, ALLOW },
	    { "10.0.0.1", 80, TCP, false, REFUSE } } },
/* L7 */
#define HTTP(path)                                                                                \
	"toPorts: [{ports: [{port: 80, protocol: TCP}], rules: {http: [{method: GET, path: " path \
	"}]}}]"
	{ "  egress: [{" HTTP("/a") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "/a" },
	    { "10.0.0.1", 80, TCP, true, STEER, "!/b" },
	    { "10.0.0.1", 80, UDP, false, REFUSE },
	    { "10.0.0.1", 81, TCP, false, REFUSE } } },
	{ "  egress: [{toPorts: [{ports: [{port: 80, protocol: TCP}], rules: {http: []}}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "!/a" } } },
	{ "  egress: [{toPorts: [{ports: [{port: 80, protocol: TCP}], rules: {http: [{}]}}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "/a" } } },
	{ "  egress: [{toPorts: [{ports: [{port: 80, protocol: TCP}], rules: {}}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	/* the table of combinations */
	{ "  egress: [{toEntities: [all]}, {toEntities: [all]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{toPorts: [{ports: [{port: 80, protocol: TCP}]}]}, {" HTTP("/") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{" HTTP("/") "}, {toPorts: [{ports: [{port: 80, protocol: TCP}]}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{" HTTP("/") "}, {toEntities: [all]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{" HTTP("/") "}, {}]\n", { { "10.0.0.1", 80, TCP, false, STEER, "!/x" } } },
	{ "  egress: [{" HTTP("/") "}, {toPorts: [{ports: [{port: 0}]}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{" HTTP("/") "}, {" HTTP("/") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "/" },
	    { "10.0.0.1", 80, TCP, false, STEER, "!/x" } } },
	{ "  egress: [{" HTTP("/a") "}, {" HTTP("/b") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "/a" },
	    { "10.0.0.1", 80, TCP, false, STEER, "/b" } } },
	{ "  egress: [{toCIDR: [10.0.0.0/8], " HTTP(
		  "/") "}, {toPorts: [{ports: [{port: 80, protocol: TCP}]}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW }, { "11.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{toCIDR: [10.0.0.0/8], toPorts: [{ports: [{port: 80, protocol: TCP}]}]}, "
	  "{" HTTP("/") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW }, { "11.0.0.1", 80, TCP, false, STEER, "!/x" } } },
	{ "  egress: [{toCIDR: [10.0.0.0/8], " HTTP("/a") "}, {toCIDR: [11.0.0.0/8], " HTTP(
		  "/b") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "/a" },
	    { "10.0.0.1", 80, TCP, false, STEER, "!/b" },
	    { "11.0.0.1", 80, TCP, false, STEER, "/b" },
	    { "11.0.0.1", 80, TCP, false, STEER, "!/a" },
	    { "12.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toCIDR: [10.0.0.0/8], " HTTP("/a") "}, {toCIDR: [10.1.0.0/16], " HTTP(
		  "/b") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "!/b" },
	    { "10.1.0.1", 80, TCP, false, STEER, "/a" },
	    { "10.1.0.1", 80, TCP, false, STEER, "/b" } } },
	{ "  egress: [{toCIDR: [], " HTTP("/a") "}, {" HTTP("/b") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "!/a" },
	    { "10.0.0.1", 80, TCP, false, STEER, "/b" } } },
	{ "  egress: [{toCIDR: []}, {" HTTP("/b") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "!/a" } } },
	{ "  egress: [{toPorts: [{ports: []}, {ports: [{port: 80, protocol: TCP}], rules: {http: "
	  "[{path: /b}]}}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, STEER, "/b" },
	    { "10.0.0.1", 80, TCP, false, STEER, "!/a" },
	    { "10.0.0.1", 81, TCP, false, REFUSE } } },
	{ "  egress: [{toPorts: [{ports: [{port: 80, endPort: 90, protocol: TCP}], rules: {http: "
	  "[{path: /a}]}},"
	  " {ports: [{port: 85, endPort: 95, protocol: TCP}], rules: {http: [{path: /b}]}}, "
	  "{ports: [{port: 87, protocol: TCP}]}]}]\n",
	  { { "10.0.0.1", 84, TCP, false, STEER, "!/b" },
	    { "10.0.0.1", 85, TCP, false, STEER, "/b" },
	    { "10.0.0.1", 86, TCP, false, STEER, "/a" },
	    { "10.0.0.1", 87, TCP, false, ALLOW },
	    { "10.0.0.1", 88, TCP, false, STEER, "/a" },
	    { "10.0.0.1", 91, TCP, false, STEER, "!/a" },
	    { "10.0.0.1", 96, TCP, false, REFUSE } } },
	/* deny */
	{ "  egressDeny: []\n", { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toEntities: [all]}]\n  egressDeny: [{toEntities: [all]}]\n",
	  { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toEntities: [all]}]\n  egressDeny: [{toCIDR: []}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{toEntities: [all]}]\n  egressDeny: [{toCIDR: [10.0.0.0/8]}]\n",
	  { { "10.0.0.1", 80, TCP, false, REFUSE }, { "11.0.0.1", 80, TCP, false, ALLOW } } },
	{ "  egress: [{toCIDR: [10.1.0.0/16]}]\n  egressDeny: [{toCIDR: [10.0.0.0/8]}]\n",
	  { { "10.1.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{" HTTP("/a") "}]\n  egressDeny: [{toPorts: [{ports: [{port: 80}]}]}]\n",
	  { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	{ "  egress: [{toEntities: [all]}]\n  egressDeny: [{toEntities: [host], toPorts: [{ports: "
	  "[{port: 22, "
	  "endPort: 25}]}]}]\n",
	  { { "10.0.0.1", 22, TCP, true, REFUSE },
	    { "10.0.0.1", 25, UDP, true, REFUSE },
	    { "10.0.0.1", 26, TCP, true, ALLOW },
	    { "10.0.0.1", 22, TCP, false, ALLOW } } },
/* default allow */
#define OPEN "  enableDefaultDeny: {egress: false}\n"
	{ OPEN "  egress: []\n", { { "10.0.0.1", 80, TCP, false, ALLOW } } },
	{ OPEN "  egress: [{" HTTP("/a") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW }, { "10.0.0.1", 81, UDP, false, ALLOW } } },
	{ OPEN "  egressDeny: [{toCIDR: [10.0.0.0/8]}]\n",
	  { { "10.0.0.1", 80, TCP, false, REFUSE }, { "11.0.0.1", 80, TCP, false, ALLOW } } },
#define AND "---\n" CASE_HEAD
	{ OPEN "  egress: [{" HTTP("/a") "}]\n" AND "  egress: []\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW }, { "10.0.0.1", 81, TCP, false, REFUSE } } },
	{ OPEN "  egress: [{" HTTP("/a") "}]\n" AND "  egress: [{" HTTP("/b") "}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW }, { "10.0.0.1", 81, TCP, false, REFUSE } } },
	{ OPEN "  egress: [{toEntities: [all]}]\n" AND "  egressDeny: [{toEntities: [all]}]\n",
	  { { "10.0.0.1", 80, TCP, false, REFUSE } } },
	/* policies are united */
	{ "  egress: [{toCIDR: [10.0.0.0/8]}]\n" AND "  egress: [{toCIDR: [11.0.0.0/8]}]\n",
	  { { "10.0.0.1", 80, TCP, false, ALLOW },
	    { "11.0.0.1", 80, TCP, false, ALLOW },
	    { "12.0.0.1", 80, TCP, false, REFUSE } } },
};

static void ask(const struct policy *p, enum l4_direction direction, const struct question *q)
{
	struct case_request request = { .method = "GET" };
	const struct ruleset *rules;
	enum l4_action flat;

	assert_int_equal(case_action_in(p, direction, q->ip, q->port, q->local, q->protocol,
					&rules),
			 q->action);
	flat = case_table_action_in(policy_l4_table(p), direction, q->ip, q->port, q->local,
				    q->protocol);
	assert_int_equal(flat, q->action);
	if (!q->get)
		return;
	request.path = q->get + (*q->get == '!');
	assert_int_equal(case_judge(p, rules, &request).action,
			 *q->get == '!' ? VERDICT_DENY : VERDICT_ALLOW);
}

static void test_cases(void **state)
{
	char text[4096], mirrored[8192];

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		enum l4_direction direction = i % 2 ? L4_INGRESS : L4_EGRESS;
		const struct question *q = cases[i / 2].ask;
		struct policy *p;

		snprintf(text, sizeof(text), "%s%s", CASE_HEAD, cases[i / 2].rules);
		case_mirror(mirrored, sizeof(mirrored), text);
		p = case_policy(i % 2 ? mirrored : text);
		assert_true(policy_l4_table(p)->enforced == (i % 2 == 0));
		assert_true(policy_l4_table(p)->ingress_enforced == (i % 2 == 1));
		for (size_t j = 0; j < 8 && q[j].ip; j++)
			ask(p, direction, &q[j]);
		policy_unref(p);
	}
}

/* Neither direction says anything of the other. */
static const struct {
	const char *rules;
	int egress, ingress; /* of 10.0.0.1 and port 80 */
	unsigned selected;
} both[] = {
	{ "  egress: []\n", REFUSE, ALLOW, 1 },
	{ "  ingress: []\n", ALLOW, REFUSE, 1 },
	{ "  egress: []\n  ingress: [{fromCIDR: [10.0.0.1]}]\n", REFUSE, ALLOW, 1 },
	{ "  egress: [{toCIDR: [10.0.0.1], " HTTP("/a") "}]\n  ingress: []\n", STEER, REFUSE, 1 },
	{ "  ingress: [{" HTTP("/b") "}]\n  egress: [{" HTTP("/a") "}]\n", STEER, STEER, 1 },
	{ "  egress: []\n" AND "  ingressDeny: [{fromCIDR: [10.0.0.1]}]\n"
	  "  enableDefaultDeny: {ingress: false}\n",
	  REFUSE, REFUSE, 2 },
	{ "  ingress: []\n  enableDefaultDeny: {egress: true}\n", REFUSE, REFUSE, 1 },
	{ "  ingress: []\n  enableDefaultDeny: {egress: false}\n", ALLOW, REFUSE, 1 },
	{ "  ingress: [{" HTTP("/b") "}]\n  enableDefaultDeny: {ingress: false}\n", ALLOW, ALLOW,
	  1 },
};

static void test_directions(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		const struct question out = { "10.0.0.1", 80, TCP, false, both[i].egress, NULL };
		const struct question in = { "10.0.0.1", 80, TCP, false, both[i].ingress, NULL };
		char text[4096];
		struct policy *p;

		snprintf(text, sizeof(text), "%s%s", CASE_HEAD, both[i].rules);
		p = case_policy(text);
		ask(p, L4_EGRESS, &out);
		ask(p, L4_INGRESS, &in);
		assert_int_equal(policy_n_selected(p), both[i].selected);
		policy_unref(p);
	}
}

/* A verdict names the rule of its own direction. */
static void test_rule_of_direction(void **state)
{
	struct policy *p = case_policy(
		CASE_HEAD "  egress: [{" HTTP("/a") "}]\n"
						    "  ingress: [{}, {" HTTP("/b") "}]\n");
	const struct case_request request = { .method = "GET", .path = "/b" };
	const struct ruleset *rules;
	struct verdict v;

	case_action_in(p, L4_INGRESS, "10.0.0.1", 80, false, TCP, &rules);
	v = case_judge(p, rules, &request);
	assert_int_equal(v.action, VERDICT_ALLOW);
	assert_string_equal(v.rule->path, "ingress[1].toPorts[0].rules.http[0]");
	case_action_in(p, L4_EGRESS, "10.0.0.1", 80, false, TCP, &rules);
	assert_int_equal(case_judge(p, rules, &request).action, VERDICT_DENY);
	policy_unref(p);
}

/* Of what cannot be carried nothing is allowed, and an open policy stays as small as it is. */
static void test_shape(void **state)
{
	struct policy *p = case_policy(CASE_HEAD "  egress: [{toEntities: [all]}]\n");
	const struct l4_table *t = policy_l4_table(p);
	struct address a = { .family = AF_INET };
	const struct ruleset *rules = NULL;

	assert_int_equal(t->n_peers, 4);
	assert_int_equal(t->n_ports, 2);
	assert_int_equal(policy_l4(p, &a, false, IPPROTO_ICMP, &rules), L4_REFUSE);
	a.family = AF_UNIX;
	assert_int_equal(policy_l4(p, &a, false, TCP, &rules), L4_REFUSE);
	assert_null(rules);
	policy_unref(p);
	/* Prefixes that change nothing are left out; equal unions share one ruleset. */
	p = case_policy(CASE_HEAD "  egress: [{toCIDR: [10.0.0.0/8, 10.1.0.0/16, 10.1.2.0/24]}]\n");
	assert_int_equal(policy_l4_table(p)->n_peers, 6);
	policy_unref(p);
	p = case_policy(CASE_HEAD
			"  egress: [{toCIDR: [10.0.0.0/8, 11.0.0.0/8], " HTTP("/a") "}]\n");
	case_action(p, "10.0.0.1", 80, false, TCP, &rules);
	assert_non_null(rules);
	const struct ruleset *other;
	case_action(p, "11.0.0.1", 80, true, TCP, &other);
	assert_ptr_equal(rules, other);
	policy_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directions),
		cmocka_unit_test(test_rule_of_direction),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
