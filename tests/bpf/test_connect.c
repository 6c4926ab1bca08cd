/* SPDX-License-Identifier: Apache-2.0 */
/* connect(): steered, left alone, refused; and what the application then believes. */
#include "scene.h"

struct target {
	int family; /* of the socket */
	const char *ip;
	const char *dialled; /* what it means: "" for the same */
};

static const char *meaning(const struct target *t)
{
	return t->dialled ? t->dialled : t->ip;
}

static void connect_and_look(int fd, void *arg)
{
	const struct target *t = arg;
	struct sockaddr_storage peer, want = place(t->family, meaning(t), PORT_STEERED);
	socklen_t len = sizeof(peer);
	int sock = dial_tcp(t->family, t->ip, PORT_STEERED);
	char c = 0;

	CHECK(sock >= 0);
	CHECK(getpeername(sock, (struct sockaddr *)&peer, &len) == 0);
	CHECK(same_place(&peer, &want));
	meet(fd);
	CHECK(read(sock, &c, 1) == 1 && c == 'x');
}

static void test_steered(void **state)
{
	static struct target targets[] = {
		{ AF_INET, FAR4, NULL },	{ AF_INET6, FAR6, NULL },
		{ AF_INET6, FAR4, NULL },	{ AF_INET, "127.0.0.1", NULL },
		{ AF_INET6, "::1", NULL },	{ AF_INET, "0.0.0.0", "127.0.0.1" },
		{ AF_INET6, "::", "::1" },	{ AF_INET6, "0.0.0.0", "127.0.0.1" },
		{ AF_INET, HERE4, NULL },	{ AF_INET6, HERE6, NULL },
		{ AF_INET, "127.9.9.9", NULL },
	};
	struct scene *s = *state;
	int server4 = scene_listen(AF_INET, "0.0.0.0", PORT_STEERED);
	int server6 = scene_listen(AF_INET6, "::", PORT_STEERED);

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		bool ipv4 = !strchr(meaning(&targets[i]), ':');
		struct worker w = worker_start(s, connect_and_look, &targets[i]);
		struct flow flow;
		int fd = accept_flow(s, ipv4 ? s->listener4 : s->listener6, &flow);

		assert_true(address_is(&flow.destination, meaning(&targets[i]), PORT_STEERED));
		assert_int_equal(flow.source.family, 0);
		assert_int_equal(flow.device, 0);
		meet(w.fd);
		assert_int_equal(write(fd, "x", 1), 1);
		worker_end(&w);
		close(fd);
	}
	close(server4);
	close(server6);
}

/* ---- not steered ---- */

static void expect_refused(int fd, void *arg)
{
	CHECK(dial_tcp(AF_INET, FAR4, PORT_REFUSED) == -EPERM);
	CHECK(dial_tcp(AF_INET6, FAR6, PORT_REFUSED) == -EPERM);
	CHECK(dial_tcp(AF_INET6, FAR4, PORT_REFUSED) == -EPERM);
	CHECK(dial_tcp(AF_INET, "0.0.0.0", PORT_REFUSED) == -EPERM);
}

static void test_refused(void **state)
{
	struct scene *s = *state;

	worker_run(s, expect_refused, NULL);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_REFUSED], 4);
	assert_int_equal(s->last_event.protocol, IPPROTO_TCP);
	assert_true(address_is(&s->last_event.destination, "127.0.0.1", PORT_REFUSED));
	assert_true(s->last_event.pid > 0);
	assert_string_not_equal(s->last_event.command, "");
}

static void expect_alone(int fd, void *arg)
{
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED) >= 0);
	CHECK(dial_tcp(AF_INET6, "127.0.0.1", PORT_ALLOWED) >= 0);
	CHECK(dial_tcp(AF_INET6, "::1", PORT_ALLOWED) >= 0);
	CHECK(dial_tcp(AF_INET, HERE4, PORT_ALLOWED) >= 0);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED + 100) == -EPERM);
}

static void test_alone(void **state)
{
	struct scene *s = *state;
	int server4 = scene_listen(AF_INET, "0.0.0.0", PORT_ALLOWED);
	int server6 = scene_listen(AF_INET6, "::", PORT_ALLOWED);
	struct steer_counters c;

	worker_run(s, expect_alone, NULL);
	assert_int_equal(steer_counters(s->steer, &c), 0);
	assert_int_equal(c.flows_open, 0);
	assert_int_equal(c.refused[STEER_PACKET_DROPPED], 0);
	assert_int_equal(c.refused[STEER_CONNECT_REFUSED], 1);
	close(server4);
	close(server6);
}

static void expect_natural_errors(int fd, void *arg)
{
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED) == -ECONNREFUSED);
	CHECK(dial_tcp(AF_INET6, "::1", PORT_STEERED) == -ECONNREFUSED);
	CHECK(dial_tcp(AF_INET6, "127.0.0.1", PORT_STEERED) == -ECONNREFUSED);
	CHECK(dial_tcp(AF_INET, HERE4, PORT_STEERED) == -ECONNREFUSED);
	CHECK(dial_tcp(AF_INET6, HERE6, PORT_STEERED) == -ECONNREFUSED);
	CHECK(dial_tcp(AF_INET6, NOWHERE6, PORT_STEERED) == -ENETUNREACH);
	CHECK(dial_tcp(AF_INET, "224.0.0.1", PORT_STEERED) == -ENETUNREACH);
}

static void test_fails_as_always(void **state)
{
	struct scene *s = *state;
	struct steer_counters c;

	worker_run(s, expect_natural_errors, NULL);
	assert_int_equal(steer_counters(s->steer, &c), 0);
	for (int kind = 0; kind < STEER_EVENT_MAX; kind++)
		assert_int_equal(c.refused[kind], 0);
	assert_int_equal(c.flows_open, 0);
}

static void expect_not_held(int fd, void *arg)
{
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED) == -ECONNREFUSED);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED) == -ECONNREFUSED);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED) >= 0);
	CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0);
}

/* No policy mentions this workload: nothing is held, and nothing goes to us. */
static void test_not_enforced(void **state)
{
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);

	scene_set_table(s, false);
	worker_run(s, expect_not_held, NULL);
	scene_set_table(s, true);
	close(server);
}

/* ---- the socket's life ---- */

static void connect_again(int fd, void *arg)
{
	struct sockaddr_storage peer, want = place(AF_INET, FAR4, PORT_STEERED2);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int sock = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(peer);

	CHECK(dial(sock, AF_INET, "127.0.0.1", PORT_STEERED) == -ECONNREFUSED);
	CHECK(dial(sock, AF_INET, FAR4, PORT_REFUSED) == -EPERM);
	CHECK(dial(sock, AF_INET, FAR4, PORT_STEERED) == 0);
	meet(fd);
	CHECK(connect(sock, &none, sizeof(none)) == 0);
	CHECK(getpeername(sock, (struct sockaddr *)&peer, &len) < 0 && errno == ENOTCONN);
	CHECK(dial(sock, AF_INET, FAR4, PORT_STEERED2) == 0);
	len = sizeof(peer);
	CHECK(getpeername(sock, (struct sockaddr *)&peer, &len) == 0 && same_place(&peer, &want));
	meet(fd);
	CHECK(connect(sock, &none, sizeof(none)) == 0);
	CHECK(dial(sock, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
	want = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	CHECK(getpeername(sock, (struct sockaddr *)&peer, &len) == 0 && same_place(&peer, &want));
}

static void test_connect_again(void **state)
{
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w = worker_start(s, connect_again, NULL);
	struct flow flow;
	int fd;

	fd = accept_flow(s, s->listener4, &flow);
	assert_int_equal(flow.destination.port, PORT_STEERED);
	meet(w.fd);
	close(fd);
	fd = accept_flow(s, s->listener4, &flow);
	assert_int_equal(flow.destination.port, PORT_STEERED2);
	meet(w.fd);
	worker_end(&w);
	close(fd);
	close(server);
}

static void connect_nonblocking(int fd, void *arg)
{
	int sock = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
	socklen_t len = sizeof(error);

	CHECK(dial(sock, AF_INET6, FAR6, PORT_STEERED) == -EINPROGRESS);
	meet(fd);
	CHECK(getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0);
	CHECK(dial(sock, AF_INET6, FAR6, PORT_STEERED) == 0);
	CHECK(dial(sock, AF_INET6, FAR6, PORT_STEERED) == -EISCONN);
	close(sock);
	sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK(dial(sock, AF_INET, FAR4, PORT_REFUSED) == -EPERM);
}

static void test_nonblocking(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, connect_nonblocking, NULL);
	struct flow flow;
	int fd = accept_flow(s, s->listener6, &flow);

	assert_true(address_is(&flow.destination, FAR6, PORT_STEERED));
	meet(w.fd);
	worker_end(&w);
	close(fd);
}

static void fast_open_by_sendto(int fd, void *arg)
{
	struct sockaddr_storage far = place(AF_INET, FAR4, PORT_STEERED);
	struct sockaddr_storage no = place(AF_INET, FAR4, PORT_REFUSED);
	int sock = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(sendto(sock, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&no, place_len(&no)) < 0 &&
	      errno == EPERM);
	CHECK(sendto(sock, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&far, place_len(&far)) ==
	      5);
	meet(fd);
}

static void fast_open_by_option(int fd, void *arg)
{
	int sock = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	CHECK(setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) == 0);
	CHECK(dial(sock, AF_INET, FAR4, PORT_REFUSED) == -EPERM);
	CHECK(dial(sock, AF_INET, FAR4, PORT_STEERED) == 0);
	CHECK(write(sock, "hello", 5) == 5);
	meet(fd);
}

/* Twice each: the second time a cookie may be known, and data goes with the SYN. */
static void test_fast_open(void **state)
{
	void (*const ways[])(int, void *) = { fast_open_by_sendto, fast_open_by_option,
					      fast_open_by_sendto, fast_open_by_option };
	struct scene *s = *state;
	int backlog = 16;

	if (setsockopt(s->listener4, IPPROTO_TCP, TCP_FASTOPEN, &backlog, sizeof(backlog)) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct worker w = worker_start(s, ways[i], NULL);
		struct flow flow;
		int fd = accept_flow(s, s->listener4, &flow);
		char bytes[8];

		assert_true(address_is(&flow.destination, FAR4, PORT_STEERED));
		assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 5);
		meet(w.fd);
		worker_end(&w);
		close(fd);
	}
}

static void connect_in_child(int fd, void *arg)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct target t = { AF_INET, FAR4, NULL };

		CHECK(dial_tcp(AF_INET, FAR4, PORT_REFUSED) == -EPERM);
		connect_and_look(fd, &t);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_children(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, connect_in_child, NULL);
	struct flow flow;
	int fd = accept_flow(s, s->listener4, &flow);

	meet(w.fd);
	assert_int_equal(write(fd, "x", 1), 1);
	worker_end(&w);
	close(fd);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_steered),	    TEST(test_refused),	     TEST(test_alone),
		TEST(test_fails_as_always), TEST(test_not_enforced), TEST(test_connect_again),
		TEST(test_nonblocking),	    TEST(test_fast_open),    TEST(test_children),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
