/* SPDX-License-Identifier: Apache-2.0 */
/* What the application binds before it connects, and what getsockname() tells it afterwards. */
#include "scene.h"
#include <net/if.h>
#include <poll.h>
#include <time.h>

struct bound {
	int family;
	const char *source, *destination;
	const char *device;
};

static void connect_bound(int fd, void *arg)
{
	const struct bound *b = arg;
	struct sockaddr_storage source, name;
	int sock = socket(b->family, SOCK_STREAM, 0);
	socklen_t len = sizeof(name);

	if (b->source) {
		source = place(b->family, b->source, 0);
		CHECK(bind(sock, (struct sockaddr *)&source, place_len(&source)) == 0);
	}
	if (b->device)
		CHECK(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, b->device,
				 (socklen_t)strlen(b->device)) == 0);
	CHECK(dial(sock, b->family, b->destination, PORT_STEERED) == 0);
	meet(fd);
	CHECK(getsockname(sock, (struct sockaddr *)&name, &len) == 0);
	if (b->source) {
		struct address a = address_of(&name);

		CHECK(a.port != 0);
		source = place(b->family, b->source, a.port);
		CHECK(same_place(&name, &source));
	}
}

static void test_bound(void **state)
{
	static struct bound cases[] = {
		{ AF_INET, "127.0.0.5", FAR4, NULL },  { AF_INET, HERE4, FAR4, NULL },
		{ AF_INET6, HERE6, FAR6, NULL },       { AF_INET6, HERE4, FAR4, NULL },
		{ AF_INET6, "127.0.0.5", FAR4, NULL }, { AF_INET, NULL, FAR4, "here0" },
		{ AF_INET6, NULL, FAR6, "here0" },     { AF_INET, HERE4, FAR4, "here0" },
		{ AF_INET, NULL, FAR4, "lo" },	       { AF_INET6, HERE6, FAR6, "here0" },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct bound *b = &cases[i];
		struct worker w = worker_start(s, connect_bound, &cases[i]);
		bool ipv4 = !strchr(b->destination, ':');
		struct flow flow;
		int fd = accept_flow(s, ipv4 ? s->listener4 : s->listener6, &flow);

		assert_true(address_is(&flow.destination, b->destination, PORT_STEERED));
		assert_int_equal(flow.device, b->device ? if_nametoindex(b->device) : 0);
		if (b->source)
			assert_true(address_is(&flow.source, b->source, 0));
		else
			assert_int_equal(flow.source.family, 0);
		meet(w.fd);
		worker_end(&w);
		close(fd);
	}
}

/* ---- a device that we had to take off ---- */

static void device_and_again(int fd, void *arg)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int sock = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "here0", 5) == 0);
	CHECK(dial(sock, AF_INET, FAR4, PORT_STEERED) == 0);
	meet(fd);
	CHECK(connect(sock, &none, sizeof(none)) == 0);
	CHECK(dial(sock, AF_INET, FAR4, PORT_STEERED2) == 0);
	meet(fd);
	CHECK(connect(sock, &none, sizeof(none)) == 0);
	/* It would leave by any device now. */
	CHECK(dial(sock, AF_INET, "127.0.0.1", PORT_ALLOWED) == -EPERM);
	CHECK(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) == 0);
	CHECK(dial(sock, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
}

static void test_device_is_remembered(void **state)
{
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w = worker_start(s, device_and_again, NULL);

	for (int i = 0; i < 2; i++) {
		struct flow flow;
		int fd = accept_flow(s, s->listener4, &flow);

		assert_int_equal(flow.device, if_nametoindex("here0"));
		meet(w.fd);
		close(fd);
	}
	worker_end(&w);
	close(server);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_UNSTEERABLE], 1);
	assert_int_equal(s->n_events[STEER_CONNECT_REFUSED], 0);
}

/* ---- link-local ---- */

static void connect_link_local(int fd, void *arg)
{
	struct sockaddr_storage there = place(AF_INET6, "fe80::77", PORT_STEERED);
	int sock = socket(AF_INET6, SOCK_STREAM, 0);

	((struct sockaddr_in6 *)&there)->sin6_scope_id = if_nametoindex("here0");
	CHECK(connect(sock, (struct sockaddr *)&there, place_len(&there)) < 0 && errno == EPERM);
	CHECK(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "here0", 5) == 0);
	CHECK(connect(sock, (struct sockaddr *)&there, place_len(&there)) == 0);
	meet(fd);
}

/* The scope of the destination is not visible to BPF: only the device tells which link is meant. */
static void test_link_local(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, connect_link_local, NULL);
	struct flow flow;
	int fd = accept_flow(s, s->listener6, &flow);

	assert_true(address_is(&flow.destination, "fe80::77", PORT_STEERED));
	assert_int_equal(flow.destination.scope, if_nametoindex("here0"));
	assert_int_equal(flow.device, if_nametoindex("here0"));
	meet(w.fd);
	worker_end(&w);
	close(fd);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_UNSTEERABLE], 1);
	assert_int_equal(s->n_events[STEER_CONNECT_REFUSED], 0);
}

static void connect_from_link_local(int fd, void *arg)
{
	struct sockaddr_storage here = place(AF_INET6, LINK6, 0);
	int sock = socket(AF_INET6, SOCK_STREAM, 0);

	((struct sockaddr_in6 *)&here)->sin6_scope_id = if_nametoindex("here0");
	CHECK(bind(sock, (struct sockaddr *)&here, place_len(&here)) == 0);
	CHECK(dial(sock, AF_INET6, FAR6, PORT_STEERED) == -EPERM);
}

/* The kernel cannot answer from ::1 to a link-local address: the handshake would hang. */
static void test_from_link_local(void **state)
{
	struct scene *s = *state;

	worker_run(s, connect_from_link_local, NULL);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_UNSTEERABLE], 1);
	assert_int_equal(s->n_events[STEER_CONNECT_REFUSED], 0);
}

/* ---- a server that is bound to a device ---- */

static int listen_on_device(int family, const char *ip, const char *device)
{
	struct sockaddr_storage here = place(family, ip, PORT_STEERED);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&here, place_len(&here)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static bool somebody_came(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void connect_hidden(int fd, void *arg)
{
	const struct bound *b = arg;
	int64_t begun;

	meet(fd); /* the server listens */
	begun = now_ms();
	CHECK(dial_tcp(b->family, b->destination, PORT_STEERED) == -ETIMEDOUT);
	CHECK(now_ms() - begun < 5000);
	CHECK(dial_tcp(b->family, b->destination, PORT_STEERED) >= 0); /* steered */
	CHECK(dial_tcp(b->family, b->destination, PORT_STEERED2) == -ECONNREFUSED);
	meet(fd);						       /* the server goes */
	CHECK(dial_tcp(b->family, b->destination, PORT_STEERED) >= 0); /* steered once more */
	CHECK(dial_tcp(b->family, b->destination, PORT_STEERED) == -ECONNREFUSED);
}

/* connect() cannot see it. The first attempt fails in time, and nothing reaches the server; then it
 * is known, and steered to. */
static void test_hidden_server(void **state)
{
	static struct bound cases[] = {
		{ AF_INET, NULL, "127.0.0.1", "lo" },
		{ AF_INET6, NULL, "::1", "lo" },
		{ AF_INET6, NULL, "127.0.0.1", "lo" },
		{ AF_INET, NULL, HERE4, "lo" },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct bound *b = &cases[i];
		bool ipv4 = !strchr(b->destination, ':');
		int listener = ipv4 ? s->listener4 : s->listener6, server, fd;
		struct worker w = worker_start(s, connect_hidden, &cases[i]);
		struct flow flow;

		server = listen_on_device(ipv4 ? AF_INET : AF_INET6, b->destination, b->device);
		meet(w.fd);
		fd = accept_flow(s, listener, &flow);
		assert_true(address_is(&flow.destination, b->destination, PORT_STEERED));
		assert_true(flow.local);
		close(fd);
		assert_false(somebody_came(server));
		close(server);
		meet(w.fd);
		close(accept_flow(s, listener, &flow));
		worker_end(&w);
	}
}

/* ---- getsockname() ---- */

static void look_at_own_name(int fd, void *arg)
{
	const struct bound *b = arg;
	struct sockaddr_storage before, after, want;
	socklen_t len = sizeof(before);
	int sock = dial_tcp(b->family, b->destination, PORT_STEERED);

	CHECK(sock >= 0);
	CHECK(getsockname(sock, (struct sockaddr *)&before, &len) == 0);
	meet(fd);
	len = sizeof(after);
	CHECK(getsockname(sock, (struct sockaddr *)&after, &len) == 0);
	want = place(b->family, b->source, address_of(&before).port);
	CHECK(same_place(&after, &want));
}

static void test_own_name(void **state)
{
	static struct bound cases[] = {
		{ AF_INET, HERE4, FAR4, NULL },
		{ AF_INET6, HERE6, FAR6, NULL },
		{ AF_INET6, HERE4, FAR4, NULL },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct worker w = worker_start(s, look_at_own_name, &cases[i]);
		bool ipv4 = !strchr(cases[i].destination, ':');
		struct address local = address_ip(cases[i].source, 1);
		struct flow flow;
		int fd = accept_flow(s, ipv4 ? s->listener4 : s->listener6, &flow);

		assert_int_equal(steer_set_local(s->steer, &flow, &local), 0);
		meet(w.fd);
		worker_end(&w);
		close(fd);
		/* The socket is closed: told again, it is ignored. */
		assert_int_equal(steer_set_local(s->steer, &flow, &local), 0);
	}
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_bound),	    TEST(test_device_is_remembered), TEST(test_link_local),
		TEST(test_from_link_local), TEST(test_hidden_server),	     TEST(test_own_name),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
