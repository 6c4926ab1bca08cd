/* SPDX-License-Identifier: Apache-2.0 */
/* The mirror of the routing tables follows them, and tells what is local. */
#include "scene.h"
#include <poll.h>

static void change(struct scene *s, const char *command)
{
	struct pollfd p = { .fd = routes_fd(s->routes), .events = POLLIN };

	assert_true(scene_shell(command));
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(routes_update(s->routes), 0);
}

struct attempt {
	int family;
	const char *ip;
	int want; /* 0 or a negative errno */
};

static void try(int fd, void *arg)
{
	const struct attempt *a = arg;
	int sock = dial_tcp(a->family, a->ip, PORT_STEERED);

	if ((sock < 0 ? sock : 0) != a->want)
		fprintf(stderr, "%s: %d, not %d\n", a->ip, sock, a->want);
	CHECK((sock < 0 ? sock : 0) == a->want);
}

static void expect(struct scene *s, int family, const char *ip, int want)
{
	struct attempt a = { family, ip, want };

	worker_run(s, try, &a);
}

static void test_follows(void **state)
{
	struct scene *s = *state;

	expect(s, AF_INET, FAR4, 0);
	change(s, "ip route del default dev here0");
	expect(s, AF_INET, FAR4, -ENETUNREACH);
	expect(s, AF_INET6, FAR4, -ENETUNREACH); /* mapped */
	change(s, "ip route add default dev here0");
	expect(s, AF_INET, FAR4, 0);

	expect(s, AF_INET6, NOWHERE6, -ENETUNREACH);
	change(s, "ip -6 route add default dev here0");
	expect(s, AF_INET6, NOWHERE6, 0);
	change(s, "ip -6 route del default dev here0");
	expect(s, AF_INET6, NOWHERE6, -ENETUNREACH);
}

static void test_kinds(void **state)
{
	struct scene *s = *state;

	change(s, "ip route add unreachable 198.51.100.0/24");
	expect(s, AF_INET, "198.51.100.1", -EHOSTUNREACH);
	change(s, "ip route del unreachable 198.51.100.0/24");
	change(s, "ip route add prohibit 198.51.100.0/24");
	expect(s, AF_INET, "198.51.100.1", -EACCES);
	change(s, "ip route del prohibit 198.51.100.0/24");
	/* A table that no rule may ask is not believed when it says "unreachable". */
	change(s, "ip route add unreachable 198.51.100.0/24 table 77");
	expect(s, AF_INET, "198.51.100.1", 0);
	change(s, "ip route del unreachable 198.51.100.0/24 table 77");
	expect(s, AF_INET, "10.77.0.255", -ENETUNREACH); /* broadcast */
}

static void test_local(void **state)
{
	struct scene *s = *state;

	expect(s, AF_INET, "10.77.0.9", 0);
	change(s, "ip addr add 10.77.0.9/24 dev here0");
	expect(s, AF_INET, "10.77.0.9", -ECONNREFUSED); /* nobody listens on this host */
	change(s, "ip addr del 10.77.0.9/24 dev here0");
	expect(s, AF_INET, "10.77.0.9", 0);
}

/* A link that goes down takes its IPv4 routes along without a word about them. */
static void test_link_down(void **state)
{
	struct scene *s = *state;

	change(s, "ip link set here0 down");
	expect(s, AF_INET, FAR4, -ENETUNREACH);
	change(s, "ip link set here0 up && ip route add default dev here0 && "
		  "ip -6 addr add " HERE6 "/64 dev here0 nodad && "
		  "ip -6 addr add " LINK6 "/64 dev here0 nodad && "
		  "ip -6 route add 2001:db8:77::/48 dev here0");
	expect(s, AF_INET, FAR4, 0);
}

/* More than one message of the dump holds. */
static void test_many(void **state)
{
	struct scene *s = *state;

	change(s, "for i in $(seq 0 2999); do "
		  "echo route add unreachable 100.64.$((i / 256)).$((i % 256))/32; "
		  "done | ip -batch -");
	assert_int_equal(routes_update(s->routes), 0);
	expect(s, AF_INET, "100.64.0.0", -EHOSTUNREACH);
	expect(s, AF_INET, "100.64.11.183", -EHOSTUNREACH);
	expect(s, AF_INET, "100.64.11.184", 0);
	change(s, "ip route flush type unreachable");
	expect(s, AF_INET, "100.64.11.183", 0);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_follows),   TEST(test_kinds), TEST(test_local),
		TEST(test_link_down), TEST(test_many),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
