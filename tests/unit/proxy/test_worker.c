/* SPDX-License-Identifier: Apache-2.0 */
/* A worker with real sockets, and without a kernel's or a policy's help: see worker_scene.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "conn.h"
#include "relay_talk.h"
#include "worker_scene.h"

static void begin(struct scene *s)
{
	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
}

static void reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void test_allowed(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	for (int i = 0; i < 3; i++) {
		scene_say(&s, client, POST("/a", "5", "hello"));
		scene_hear(&s, server, POST("/a", "5", "hello"));
		scene_say(&s, server, OK("2", "ok"));
		scene_hear(&s, client, OK("2", "ok"));
	}
	close(client);
	scene_hear_end(&s, server);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.opened, 1);
	assert_int_equal(s.worker->metrics.requests_allowed, 3);
	assert_int_equal(s.worker->metrics.closed[CLOSE_DONE], 1);
	assert_int_equal(s.steer.n_locals, 0); /* on loopback the name is true already */
	scene_end(&s);
}

/* Elsewhere than on loopback the application has to be told which address it has. */
static void test_local_name(void **state)
{
	struct scene s;
	struct flow flow = { .local = false };
	int client, server;

	begin(&s);
	flow.destination = s.server;
	memset(flow.destination.ip, 0, sizeof(flow.destination.ip)); /* leads there, too */
	client = scene_connect_to(&s, &flow);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, server, GET("/a"));
	assert_int_equal(s.steer.n_locals, 1);
	assert_int_equal(s.steer.local.family, AF_INET);
	assert_memory_equal(s.steer.local.ip, s.server.ip, 4);
	close(client);
	close(server);
	scene_end(&s);
}

/* Both sockets send at once and find a peer that is gone. */
static void test_socket_options(void **state)
{
	int client, server, value;
	struct scene s;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	assert_non_null(s.worker->conns);
	for (int i = 0; i < 2; i++) {
		int fd = i == 0 ? s.worker->conns->down.fd : s.worker->conns->up.fd;
		socklen_t len = sizeof(value);

		value = 0;
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
		assert_int_not_equal(value, 0);
		value = 0;
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
		assert_int_not_equal(value, 0);
	}
	close(client);
	close(server);
	scene_end(&s);
}

static void test_denied(void **state)
{
	struct scene s;
	int client, server;
	char byte;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, POST("/deny/x", "5", "hello") GET("/b"));
	scene_hear(&s, client, FORBIDDEN);
	scene_hear(&s, server, GET("/b"));
	assert_int_equal(recv(server, &byte, 1, 0), -1);
	scene_say(&s, server, OK("1", "2"));
	scene_hear(&s, client, OK("1", "2"));
	close(client);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.requests_denied, 1);
	assert_int_equal(scene_workload(&s)->reporter.denials.n, 1);
	assert_string_equal(scene_workload(&s)->reporter.denials.entries[0].text,
			    "POST http://h/deny/x: no rule allows it; nearest: rules.http[0] of "
			    "policy \"fake\" differs in path");
	scene_end(&s);
}

/* Every reading of a path counts, and one that nobody can read is malformed. */
static void test_odd_paths(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a/..%2fdeny"));
	scene_hear(&s, client, FORBIDDEN);
	scene_say(&s, client, GET("/a%00"));
	scene_hear(&s, client, MALFORMED);
	scene_hear_end(&s, client);
	scene_hear_end(&s, server);
	close(client);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.requests_refused, 1);
	assert_int_equal(s.worker->metrics.closed[CLOSE_MALFORMED], 1);
	scene_end(&s);
}

/* The relay ends while it reads what was kept of a response that came in parts. */
static void test_last_answer_waits(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a") "GET  /b HTTP/1.1\r\n\r\n");
	scene_hear(&s, server, GET("/a"));
	scene_say(&s, server, "HTTP/1.1 200 x\r\ncont");
	for (unsigned turn = 0; s.worker->buffers.n_lent == 0; turn++) {
		assert_true(scene_may_wait(&s, turn));
		scene_turn(&s, -1, 0);
	}
	scene_say(&s, server, "ent-length: 1\r\n\r\n1");
	scene_hear(&s, client, OK("1", "1") MALFORMED);
	scene_hear_end(&s, client);
	close(client);
	close(server);
	scene_end(&s);
}

/* The last answer arrives, though the client still sends what nobody wants. */
static void test_drained(void **state)
{
	static char body[1 << 20];
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, POST("/deny", "99999999", ""));
	scene_send(&s, client, body, sizeof(body));
	scene_hear(&s, client, FORBIDDEN_LAST);
	scene_hear_end(&s, client);
	scene_send(&s, client, body, sizeof(body));
	scene_hear_end(&s, server);
	close(server);
	close(client);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.closed[CLOSE_DENIED], 1);
	scene_end(&s);
}

static void test_not_steered(void **state)
{
	struct scene s;
	int client;

	begin(&s);
	client = scene_connect(&s, false);
	scene_hear_reset(&s, client);
	close(client);
	assert_int_equal(s.worker->metrics.closed[CLOSE_NOT_STEERED], 1);
	assert_int_equal(s.worker->metrics.opened, 0);
	scene_end(&s);
}

/* ---- ingress ---- */

/* The leg comes from the server's own address, and is known to the kernel as long as it lives. */
static void test_ingress(void **state)
{
	struct flow flow = { .local = true, .ingress = true };
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int client, server;
	struct scene s;

	begin(&s);
	flow.destination = s.server;
	client = scene_connect_to(&s, &flow);
	server = scene_accept(&s);
	assert_int_equal(s.steer.n_legs, 1);
	assert_int_equal(getpeername(server, (struct sockaddr *)&peer, &len), 0);
	assert_memory_equal(&((struct sockaddr_in *)&peer)->sin_addr, s.server.ip, 4);
	scene_say(&s, client, POST("/a", "5", "hello"));
	scene_hear(&s, server, POST("/a", "5", "hello"));
	scene_say(&s, server, OK("2", "ok"));
	scene_hear(&s, client, OK("2", "ok"));
	scene_say(&s, client, POST("/deny", "5", "hello"));
	scene_hear(&s, client, FORBIDDEN);
	close(client);
	scene_hear_end(&s, server);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.steer.n_legs, 0);
	assert_int_equal(s.steer.n_locals, 0);
	scene_end(&s);
}

/* Nobody handed it over: it was dialled. */
static void test_ingress_dialled(void **state)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct scene s;
	int client;

	begin(&s);
	client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(s.steer.n_inbound, 2);
	assert_int_equal(getsockname(s.steer.inbound[0], (struct sockaddr *)&ss, &len), 0);
	assert_true(connect(client, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS);
	scene_hear_reset(&s, client);
	close(client);
	assert_int_equal(s.worker->metrics.closed[CLOSE_NOT_STEERED], 1);
	assert_int_equal(s.worker->metrics.opened, 0);
	scene_end(&s);
}

static void test_upstream_refused(void **state)
{
	struct scene s;
	struct flow flow = { .local = true };
	struct scene other;
	int client;

	begin(&s);
	begin(&other); /* only for an address on which nobody listens any more */
	flow.destination = other.server;
	scene_end(&other);
	for (int round = 0; round < 4; round++) {
		bool early = round % 2;

		flow.ingress = round >= 2;
		client = scene_connect_to(&s, &flow);
		if (early)
			scene_say(&s, client, GET("/a"));
		scene_hear_reset(&s, client);
		close(client);
		scene_wait_idle(&s);
	}
	assert_int_equal(s.worker->metrics.closed[CLOSE_UPSTREAM_REFUSED], 4);
	scene_end(&s);
}

static void test_half_closes(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a"));
	shutdown(client, SHUT_WR);
	scene_hear(&s, server, GET("/a"));
	scene_hear_end(&s, server);
	scene_say(&s, server, OK_REST("all"));
	close(server);
	scene_hear(&s, client, OK_REST("all"));
	scene_hear_end(&s, client);
	close(client);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.closed[CLOSE_DONE], 1);

	client = scene_connect(&s, true); /* and the other way round, with nothing said */
	server = scene_accept(&s);
	shutdown(server, SHUT_WR);
	scene_hear_end(&s, client);
	close(client);
	scene_hear_end(&s, server);
	close(server);
	scene_end(&s);
}

static void test_resets(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, server, GET("/a"));
	reset(client);
	scene_hear_reset(&s, server);
	close(server);
	scene_wait_idle(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, server, GET("/a"));
	reset(server);
	scene_hear_reset(&s, client);
	close(client);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.closed[CLOSE_CLIENT_RESET], 1);
	assert_int_equal(s.worker->metrics.closed[CLOSE_UPSTREAM_RESET], 1);
	scene_end(&s);
}

/* Bytes behind an Upgrade wait for an answer that never comes; both ends are seen all the same. */
static void test_held_and_left(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, WEBSOCKET("/w") "frame");
	scene_hear(&s, server, WEBSOCKET("/w"));
	scene_say(&s, server, OK_REST("no"));
	close(server);
	scene_hear(&s, client, OK_REST("no"));
	scene_hear_end(&s, client);
	close(client);
	scene_end(&s);
}

static void test_stop(void **state)
{
	struct scene s;
	int client, server, refused;
	char byte;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, server, GET("/a"));
	worker_stop(s.worker);
	scene_turn(&s, -1, 0);
	refused = scene_connect(&s, false);
	assert_int_equal(scene_read(&s, refused, &byte, 1), -ECONNREFUSED);
	close(refused);
	scene_say(&s, server, OK("1", "1")); /* what is in flight is delivered */
	scene_hear(&s, client, OK("1", "1"));
	close(client); /* the command has ended: nobody waits for the server */
	scene_wait_idle(&s);
	for (unsigned turn = 0; poller_turn(&s.worker->poller, false); turn++) {
		assert_true(scene_may_wait(&s, turn));
		scene_turn(&s, -1, 0);
	}
	close(server);
	scene_end(&s);
}

/* A connection that does not end, in a thread of the worker's own that is told to: how long that
 * takes, in milliseconds. */
static uint64_t stop_thread(uint64_t wind_up, bool hurry)
{
	struct error err = { "" };
	struct scene s;
	uint64_t begun;
	int client, server;

	begin(&s);
	s.shared.limits.wind_up = wind_up;
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	assert_int_equal(worker_start(s.worker, &err), 0);
	begun = uv_hrtime();
	worker_stop(s.worker);
	if (hurry)
		worker_hurry(s.worker);
	worker_join(s.worker);
	begun = (uv_hrtime() - begun) / 1000000;
	assert_true(atomic_load(&s.worker->over));
	assert_int_equal(s.worker->metrics.closed[CLOSE_SHUTDOWN], 1);
	scene_hear_reset(&s, client);
	close(client);
	close(server);
	scene_end(&s);
	return begun;
}

/* Those that do not end are ended when the time is up, or at once; the thread comes to its end. */
static void test_stop_in_time(void **state)
{
	assert_true(stop_thread(500, false) >= 490);
	assert_true(stop_thread(3600 * LIMITS_S, true) < 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_local_name),
		cmocka_unit_test(test_socket_options),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_odd_paths),
		cmocka_unit_test(test_last_answer_waits),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_ingress),
		cmocka_unit_test(test_ingress_dialled),
		cmocka_unit_test(test_not_steered),
		cmocka_unit_test(test_upstream_refused),
		cmocka_unit_test(test_half_closes),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_held_and_left),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_stop_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
