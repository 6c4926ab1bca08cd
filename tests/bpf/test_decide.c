/* SPDX-License-Identifier: Apache-2.0 */
/* decide.h natively: addresses, keys, and the table as a list that is searched the slow way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "decide.h"
#include "sluice/array.h"

static struct endpoint ep(const char *text, uint16_t port)
{
	uint32_t ip[4];

	if (!strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET, text, ip), 1);
		return endpoint_ipv4(ip[0], port);
	}
	assert_int_equal(inet_pton(AF_INET6, text, ip), 1);
	return endpoint_ipv6(ip[0], ip[1], ip[2], ip[3], port);
}

static void test_mapped(void **state)
{
	static const struct {
		const char *text;
		int family, mapped;
	} cases[] = {
		{ "10.1.2.3", WIRE_IPV4, 0 },
		{ "::ffff:10.1.2.3", WIRE_IPV4, 1 },
		{ "::ffff:0.0.0.0", WIRE_IPV4, 1 },
		{ "::10.1.2.3", WIRE_IPV6, 0 },
		{ "::fffe:10.1.2.3", WIRE_IPV6, 0 },
		{ "::ffff:0:10.1.2.3", WIRE_IPV6, 0 },
		{ "1::ffff:10.1.2.3", WIRE_IPV6, 0 },
		{ "64:ff9b::10.1.2.3", WIRE_IPV6, 0 },
		{ "::", WIRE_IPV6, 0 },
		{ "::1", WIRE_IPV6, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint e = ep(cases[i].text, 7), plain = ep("10.1.2.3", 7);

		assert_int_equal(e.family, cases[i].family);
		assert_int_equal(e.mapped, cases[i].mapped);
		assert_int_equal(e.port, 7);
		if (e.family == WIRE_IPV4 && !endpoint_is_any(&e))
			assert_true(endpoint_same_address(&e, &plain));
	}
}

static void test_normalise(void **state)
{
	static const struct {
		const char *to, *source, *want;
	} cases[] = {
		{ "0.0.0.0", NULL, "127.0.0.1" },
		{ "0.0.0.0", "10.0.0.1", "10.0.0.1" },
		{ "::", NULL, "::1" },
		{ "::", "fd00::1", "::1" },
		{ "::", "::ffff:10.0.0.1", "::ffff:127.0.0.1" },
		{ "::ffff:0.0.0.0", NULL, "::ffff:127.0.0.1" },
		{ "::ffff:0.0.0.0", "::ffff:10.0.0.1", "::ffff:10.0.0.1" },
		{ "10.2.2.2", "10.0.0.1", "10.2.2.2" },
		{ "2001:db8::1", NULL, "2001:db8::1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint to = ep(cases[i].to, 80), want = ep(cases[i].want, 80);
		struct endpoint source = { .family = 0 };

		if (cases[i].source)
			source = ep(cases[i].source, 0);
		endpoint_normalise(&to, &source);
		assert_memory_equal(&to, &want, sizeof(to));
	}
}

static void test_kinds_of_address(void **state)
{
	static const struct {
		const char *text;
		int loopback, link_local, group;
	} cases[] = {
		{ "127.0.0.1", 1, 0, 0 },
		{ "127.255.255.255", 1, 0, 0 },
		{ "128.0.0.1", 0, 0, 0 },
		{ "::1", 1, 0, 0 },
		{ "::2", 0, 0, 0 },
		{ "fe80::1", 0, 1, 0 },
		{ "febf::1", 0, 1, 0 },
		{ "fec0::1", 0, 0, 0 },
		{ "ff02::1", 0, 0, 1 },
		{ "224.0.0.1", 0, 0, 1 },
		{ "239.1.1.1", 0, 0, 1 },
		{ "240.0.0.1", 0, 0, 0 },
		{ "::ffff:127.0.0.1", 1, 0, 0 },
		{ "255.255.255.255", 0, 0, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint e = ep(cases[i].text, 0);

		assert_int_equal(endpoint_is_loopback(&e), cases[i].loopback);
		assert_int_equal(endpoint_is_link_local(&e), cases[i].link_local);
		assert_int_equal(endpoint_is_group(&e), cases[i].group);
	}
}

/* ---- the table ---- */

struct rule {
	struct lpm_key key;
	uint32_t value;
};

struct rules {
	struct rule at[16];
	size_t n;
};

static bool covers(const struct lpm_key *prefix, const struct lpm_key *key)
{
	for (uint32_t bit = 0; bit < prefix->bits; bit++)
		if ((prefix->data[bit / 8] ^ key->data[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

static uint32_t search(void *table, const struct lpm_key *key)
{
	const struct rules *rules = table;
	uint32_t bits = 0, value = 0;

	assert_int_equal(key->bits, LPM_DATA * 8);
	for (size_t i = 0; i < rules->n; i++) {
		if (rules->at[i].key.bits < bits || !covers(&rules->at[i].key, key))
			continue;
		bits = rules->at[i].key.bits;
		value = rules->at[i].value;
	}
	return value;
}

static void add_peer(struct rules *r, const char *text, uint32_t bits, bool local, uint32_t id)
{
	struct endpoint e = ep(text, 0);
	struct rule *rule = &r->at[r->n++];

	lpm_key_peer(&rule->key, &e, local, L4_EGRESS);
	rule->key.bits = LPM_HEAD_BITS + bits;
	rule->value = id;
}

static void add_port(struct rules *r, uint32_t id, uint8_t protocol, uint16_t port, uint32_t bits,
		     uint32_t action)
{
	struct rule *rule = &r->at[r->n++];

	lpm_key_port(&rule->key, id, protocol, port, L4_EGRESS);
	rule->key.bits = LPM_HEAD_BITS + 32 + bits;
	rule->value = action;
}

static void test_table(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		uint8_t protocol;
		bool local;
		uint32_t want;
	} cases[] = {
		{ "10.1.1.1", 80, DECIDE_TCP, false, L4_STEER },
		{ "::ffff:10.1.1.1", 80, DECIDE_TCP, false, L4_STEER },
		{ "10.1.1.1", 80, DECIDE_TCP, true, L4_REFUSE }, /* only remote ones */
		{ "10.1.1.1", 80, DECIDE_UDP, false, L4_REFUSE },
		{ "10.1.1.1", 81, DECIDE_TCP, false, L4_REFUSE },
		{ "10.1.1.1", 8192, DECIDE_TCP, false, L4_ALLOW }, /* 8192/13: up to 8199 */
		{ "10.1.1.1", 8199, DECIDE_TCP, false, L4_ALLOW },
		{ "10.1.1.1", 8200, DECIDE_TCP, false, L4_REFUSE },
		{ "10.1.2.1", 80, DECIDE_TCP, false, L4_REFUSE }, /* the longer prefix wins */
		{ "11.1.1.1", 80, DECIDE_TCP, false, L4_REFUSE }, /* no identity */
		{ "fd00::1", 53, DECIDE_UDP, true, L4_ALLOW },
		{ "fd00::1", 53, DECIDE_UDP, false, L4_REFUSE },
		{ "fd00::2", 53, DECIDE_UDP, true, L4_REFUSE },
		{ "::a01:101", 80, DECIDE_TCP, false, L4_REFUSE }, /* not 10.1.1.1 */
	};
	struct rules r = { .n = 0 };

	add_peer(&r, "10.1.0.0", 16, false, 1);
	add_peer(&r, "10.1.2.0", 24, false, 2);
	add_peer(&r, "fd00::1", 128, true, 0x01000000);
	add_port(&r, 1, DECIDE_TCP, 80, 16, L4_STEER);
	add_port(&r, 1, DECIDE_TCP, 8192, 13, L4_ALLOW);
	add_port(&r, 0x01000000, DECIDE_UDP, 0, 0, L4_ALLOW);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint e = ep(cases[i].ip, cases[i].port);
		uint32_t got =
			decide_action(&r, search, &e, cases[i].protocol, cases[i].local, L4_EGRESS);

		if (got != cases[i].want)
			fail_msg("%s port %u: %u", cases[i].ip, cases[i].port, got);
	}
}

static void test_valid(void **state)
{
	assert_int_equal(decide_valid(L4_ALLOW, DECIDE_TCP), L4_ALLOW);
	assert_int_equal(decide_valid(L4_ALLOW, DECIDE_UDP), L4_ALLOW);
	assert_int_equal(decide_valid(L4_STEER, DECIDE_TCP), L4_STEER);
	assert_int_equal(decide_valid(L4_STEER, DECIDE_UDP), L4_REFUSE);
	assert_int_equal(decide_valid(L4_REFUSE, DECIDE_TCP), L4_REFUSE);
	assert_int_equal(decide_valid(3, DECIDE_TCP), L4_REFUSE);
	assert_int_equal(decide_valid(0xffffffff, DECIDE_UDP), L4_REFUSE);
}

static void test_fails_anyway(void **state)
{
	struct endpoint e = ep("10.1.1.1", 80), group = ep("224.0.0.1", 80);

	assert_true(decide_fails_anyway(ROUTE_NONE, &e, false));
	assert_true(decide_fails_anyway(ROUTE_UNREACHABLE, &e, false));
	assert_true(decide_fails_anyway(ROUTE_LOCAL, &e, true));
	assert_false(decide_fails_anyway(ROUTE_LOCAL, &e, false));
	assert_false(decide_fails_anyway(ROUTE_ROUTED, &e, true));
	assert_true(decide_fails_anyway(ROUTE_ROUTED, &group, false));
}

static void test_standing(void **state)
{
	static const struct {
		uint32_t number, flags, route;
		bool loopback, local_to_host;
		uint32_t want;
	} cases[] = {
		/* in the host's own namespace */
		{ 0, 0, ROUTE_LOCAL, true, false, STANDING_HOST },
		{ 0, 0, ROUTE_LOCAL, false, false, STANDING_HOST },
		{ 0, WORKLOAD_LOOPBACK, ROUTE_LOCAL, false, false, STANDING_HOST },
		{ 0, 0, ROUTE_ROUTED, false, false, 0 },
		{ 0, 0, ROUTE_NONE, false, false, 0 },
		/* elsewhere: its own, the host's, and both */
		{ 1, 0, ROUTE_LOCAL, true, false, STANDING_ELSEWHERE | STANDING_WITHIN },
		{ 1, 0, ROUTE_LOCAL, false, false, STANDING_ELSEWHERE | STANDING_WITHIN },
		{ 1, 0, ROUTE_LOCAL, false, true,
		  STANDING_ELSEWHERE | STANDING_WITHIN | STANDING_HOST },
		{ 1, 0, ROUTE_ROUTED, false, true, STANDING_ELSEWHERE | STANDING_HOST },
		{ 1, 0, ROUTE_ROUTED, false, false, STANDING_ELSEWHERE },
		{ 1, WORKLOAD_LOOPBACK, ROUTE_LOCAL, true, false, STANDING_ELSEWHERE },
		{ 1, WORKLOAD_LOOPBACK, ROUTE_LOCAL, false, true,
		  STANDING_ELSEWHERE | STANDING_HOST },
		{ 1, WORKLOAD_HOST_HELD, ROUTE_LOCAL, true, false,
		  STANDING_ELSEWHERE | STANDING_WITHIN },
		/* nobody knows where: nothing is left alone */
		{ NETNS_UNKNOWN, 0, ROUTE_LOCAL, true, false, STANDING_ELSEWHERE | STANDING_HOST },
		{ NETNS_UNKNOWN, 0, ROUTE_ROUTED, false, true, STANDING_ELSEWHERE | STANDING_HOST },
		{ NETNS_UNKNOWN, 0, ROUTE_ROUTED, false, false, STANDING_ELSEWHERE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t got = decide_standing(cases[i].number, cases[i].flags, cases[i].route,
					       cases[i].loopback, cases[i].local_to_host);

		if (got != (cases[i].want | cases[i].route))
			fail_msg("%zu: %#x", i, got);
	}
}

static void test_sockets(void **state)
{
	assert_true(decide_socket(SOCK_STREAM, IPPROTO_TCP));
	assert_true(decide_socket(SOCK_DGRAM, IPPROTO_UDP));
	assert_false(decide_socket(SOCK_STREAM, IPPROTO_MPTCP));
	assert_false(decide_socket(SOCK_STREAM, IPPROTO_SCTP));
	assert_false(decide_socket(SOCK_SEQPACKET, IPPROTO_SCTP));
	assert_false(decide_socket(SOCK_DGRAM, IPPROTO_ICMP));
	assert_false(decide_socket(SOCK_DGRAM, IPPROTO_UDPLITE));
	assert_false(decide_socket(SOCK_RAW, IPPROTO_TCP));
	assert_false(decide_socket(SOCK_RAW, IPPROTO_UDP));
	assert_false(decide_socket(SOCK_DCCP, IPPROTO_DCCP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_kinds_of_address),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_fails_anyway),
		cmocka_unit_test(test_standing),
		cmocka_unit_test(test_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
