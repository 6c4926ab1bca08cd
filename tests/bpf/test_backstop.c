/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves when a hook is missing, late, or was right only a moment ago: nothing. */
#include "scene.h"
#include <bpf/bpf.h>
#include <poll.h>

static void detach(struct scene *s, const char *program)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/link_0_%s", s->pin_dir, program);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_link_detach(fd), 0);
	close(fd);
}

static bool somebody_connects(int listener, int ms)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static uint64_t dropped(struct scene *s)
{
	struct steer_counters c;

	assert_int_equal(steer_counters(s->steer, &c), 0);
	return c.refused[STEER_PACKET_DROPPED];
}

/* Wait until the backstop has dropped AT_LEAST packets. */
static void wait_dropped(struct scene *s, uint64_t at_least)
{
	for (int i = 0; i < 500 && dropped(s) < at_least; i++)
		usleep(10000);
	assert_true(dropped(s) >= at_least);
}

static void dial_unvetted(int fd, void *arg)
{
	int v4 = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int v6 = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int u4 = socket(AF_INET, SOCK_DGRAM, 0), u6 = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_storage to4 = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct sockaddr_storage to6 = place(AF_INET6, "::1", PORT_ALLOWED);

	CHECK(dial(v4, AF_INET, "127.0.0.1", PORT_ALLOWED) == -EINPROGRESS);
	CHECK(dial(v6, AF_INET6, "::1", PORT_ALLOWED) == -EINPROGRESS);
	CHECK(sendto(u4, "x", 1, 0, (struct sockaddr *)&to4, place_len(&to4)) < 0 &&
	      errno == EPERM);
	CHECK(sendto(u6, "x", 1, 0, (struct sockaddr *)&to6, place_len(&to6)) < 0 &&
	      errno == EPERM);
	/* What it is connected to says the socket itself. */
	CHECK(dial(u4, AF_INET, "127.0.0.1", PORT_REFUSED) == 0);
	CHECK(write(u4, "x", 1) < 0 && errno == EPERM);
	meet(fd);
}

/* The connect and sendmsg programs are gone, as if some path of the kernel went around them. */
static void test_hooks_missing(void **state)
{
	struct scene *s = *state;
	int server4 = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int server6 = scene_listen(AF_INET6, "::1", PORT_ALLOWED);
	struct worker w;

	detach(s, "steer_connect4");
	detach(s, "steer_connect6");
	detach(s, "steer_sendmsg4");
	detach(s, "steer_sendmsg6");
	w = worker_start(s, dial_unvetted, NULL);
	wait_dropped(s, 4);
	assert_false(somebody_connects(server4, 100));
	assert_false(somebody_connects(server6, 100));
	meet(w.fd);
	worker_end(&w);
	scene_read_events(s);
	assert_true(s->n_events[STEER_PACKET_DROPPED] >= 4);
	assert_int_equal(s->n_events[STEER_SENDMSG_REFUSED], 1);
	close(server4);
	close(server6);
}

/* ---- a connect whose SYN comes late: TCP_FASTOPEN_CONNECT sends it with the first write ---- */

static int dial_late(const char *ip, uint16_t port)
{
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	CHECK(setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) == 0);
	CHECK(setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one)) == 0);
	CHECK(dial(sock, AF_INET, ip, port) == 0);
	return sock;
}

static void dial_doomed(int fd, void *arg)
{
	int sock = dial_late("127.0.0.1", PORT_STEERED);

	meet(fd); /* somebody starts to listen there */
	(void)!write(sock, "secret", 6);
	meet(fd);
}

static void test_listener_appears(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, dial_doomed, NULL);
	uint64_t before;
	int server;
	char c;

	assert_int_equal(read(w.fd, &c, 1), 1);
	before = dropped(s);
	server = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED);
	assert_int_equal(write(w.fd, &c, 1), 1);
	wait_dropped(s, before + 1);
	assert_false(somebody_connects(server, 100));
	meet(w.fd);
	worker_end(&w);
	close(server);
}

static void dial_steered_late(int fd, void *arg)
{
	int sock = dial_late(FAR4, PORT_STEERED);

	meet(fd); /* our listener dies, and somebody takes its port */
	(void)!write(sock, "secret", 6);
	meet(fd);
}

static void test_listener_replaced(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, dial_steered_late, NULL);
	struct sockaddr_storage name = { .ss_family = 0 };
	socklen_t len = sizeof(name);
	uint64_t before;
	int thief;
	char c;

	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(getsockname(s->listener4, (struct sockaddr *)&name, &len), 0);
	close(s->listener4);
	thief = scene_listen(AF_INET, "127.0.0.1", address_of(&name).port);
	before = dropped(s);
	assert_int_equal(write(w.fd, &c, 1), 1);
	wait_dropped(s, before + 1);
	assert_false(somebody_connects(thief, 100));
	meet(w.fd);
	worker_end(&w);
	s->listener4 = thief;
}

/* ---- allowed once ---- */

static void talk_until_revoked(int fd, void *arg)
{
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);

	CHECK(sock >= 0 && write(sock, "a", 1) == 1);
	meet(fd);
	CHECK(write(sock, "b", 1) == 1); /* stays in the queue */
	meet(fd);
}

static void test_revoked(void **state)
{
	const struct l4_table nothing = { .enforced = true };
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w = worker_start(s, talk_until_revoked, NULL);
	int fd = accept(server, NULL, NULL);
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(steer_set_table(s->steer, s->workload, &nothing, NULL), 0);
	assert_int_equal(write(w.fd, &c, 1), 1);
	wait_dropped(s, 1);
	assert_true(recv(fd, &c, 1, MSG_DONTWAIT) < 0);
	meet(w.fd);
	worker_end(&w);
	close(fd);
	close(server);
}

/* ---- packets that say one destination and mean another ---- */

static void send_source_routed(int fd, void *arg)
{
	unsigned char lsrr[8] = { 131, 7, 4, 127, 0, 0, 1, 0 };
	/* Type 4 (segment routing) needs no privilege: next, length, type, left, last entry. */
	unsigned char segments[24] = { 0, 2, 4, 0, 0, 0, 0, 0, [23] = 1 };
	struct sockaddr_storage to4 = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int v4 = socket(AF_INET, SOCK_DGRAM, 0), v6 = socket(AF_INET6, SOCK_DGRAM, 0);

	CHECK(setsockopt(v4, IPPROTO_IP, IP_OPTIONS, lsrr, sizeof(lsrr)) == 0);
	CHECK(sendto(v4, "x", 1, 0, (struct sockaddr *)&to4, place_len(&to4)) < 0 &&
	      errno == EPERM);
	if (setsockopt(v6, IPPROTO_IPV6, IPV6_RTHDR, segments, sizeof(segments)) == 0) {
		struct sockaddr_storage to6 = place(AF_INET6, "::1", PORT_ALLOWED);

		CHECK(sendto(v6, "x", 1, 0, (struct sockaddr *)&to6, place_len(&to6)) < 0);
	} else {
		scene_skip("IPv6 routing headers", strerror(errno), false);
	}
}

static void test_source_routes(void **state)
{
	struct scene *s = *state;

	worker_run(s, send_source_routed, NULL);
	assert_true(dropped(s) >= 1);
}

/* A connection that holds gets such options later. */
static void talk_then_route(int fd, void *arg)
{
	unsigned char lsrr[8] = { 131, 7, 4, 127, 0, 0, 1, 0 };
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);

	CHECK(sock >= 0 && write(sock, "a", 1) == 1);
	meet(fd);
	CHECK(setsockopt(sock, IPPROTO_IP, IP_OPTIONS, lsrr, sizeof(lsrr)) == 0);
	CHECK(write(sock, "b", 1) == 1); /* stays in the queue */
	meet(fd);
}

static void test_source_route_later(void **state)
{
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w = worker_start(s, talk_then_route, NULL);
	int fd = accept(server, NULL, NULL);
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_int_equal(dropped(s), 0);
	meet(w.fd);
	wait_dropped(s, 1);
	assert_true(recv(fd, &c, 1, MSG_DONTWAIT) < 0);
	meet(w.fd);
	worker_end(&w);
	close(fd);
	close(server);
}

/* ---- the other direction ---- */

static void serve_tcp(int fd, void *arg)
{
	int server = socket(AF_INET, SOCK_STREAM, 0), peer;
	struct sockaddr_storage here = place(AF_INET, "127.0.0.1", 9002);
	char c;

	CHECK(bind(server, (struct sockaddr *)&here, place_len(&here)) == 0);
	CHECK(listen(server, 1) == 0);
	meet(fd);
	peer = accept(server, NULL, NULL);
	CHECK(peer >= 0 && read(peer, &c, 1) == 1 && write(peer, &c, 1) == 1);
	meet(fd);
}

/* Accepted connections are not held to the table: the workload may serve. */
static void test_serving(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, serve_tcp, NULL);
	char c = 'x';
	int fd;

	meet(w.fd);
	fd = dial_tcp(AF_INET, "127.0.0.1", 9002);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &c, 1), 1);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	meet(w.fd);
	worker_end(&w);
	close(fd);
	assert_int_equal(dropped(s), 0);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_hooks_missing),     TEST(test_listener_appears),
		TEST(test_listener_replaced), TEST(test_revoked),
		TEST(test_source_routes),     TEST(test_source_route_later),
		TEST(test_serving),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
