/* SPDX-License-Identifier: Apache-2.0 */
/* Whose connections go when a worker has no buffers left. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "conn.h"
#include "relay_talk.h"
#include "shed.h"
#include "worker_scene.h"

static void begin(struct scene *s)
{
	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
}

static int stall(struct scene *s, int *server)
{
	static char piece[64 * 1024];
	int client = scene_connect(s, true);
	size_t lent = s->worker->buffers.lent;

	*server = scene_accept(s);
	scene_shrink_buffers(*server);
	scene_say(s, client, POST("/a", "99999999", ""));
	scene_hear(s, *server, POST("/a", "99999999", ""));
	for (unsigned idle = 0; idle < 5; idle++) {
		if (send(client, piece, sizeof(piece), MSG_NOSIGNAL) > 0)
			idle = 0;
		scene_turn(s, client, POLLOUT);
	}
	assert_true(s->worker->buffers.lent > lent);
	return client;
}

/* All buffers are held by servers that do not read: when that has lasted, one goes for all others
 * to go on. */
static void test_stalled_are_shed(void **state)
{
	struct scene s;
	int clients[4], servers[4], client, server, slow, slow_server;
	uint64_t time;

	begin(&s);
	for (int i = 0; i < 4; i++)
		clients[i] = stall(&s, &servers[i]);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	slow = scene_connect(&s, true); /* it has a buffer too, and waits for nobody but itself */
	slow_server = scene_accept(&s);
	scene_say(&s, slow, "GET /slow HT");
	for (int i = 0; i < 5; i++)
		scene_turn(&s, -1, 0);
	s.worker->buffers.limit = s.worker->buffers.lent + BUFFER_POOL_RESERVE - 1;
	scene_say(&s, client, GET("/a"));
	for (int i = 0; i < 5; i++)
		scene_turn(&s, -1, 0);
	assert_int_equal(s.worker->metrics.requests_allowed, 4);
	assert_true(s.worker->metrics.buffers_short > 0);
	shed_stalled(s.worker); /* it has not lasted yet */
	assert_int_equal(s.worker->metrics.closed[CLOSE_STALLED], 0);
	time = s.shared.limits.stall_time;
	s.shared.limits.stall_time = 0;
	shed_stalled(s.worker);
	assert_int_equal(s.worker->metrics.closed[CLOSE_STALLED], 1);
	s.shared.limits.stall_time = time;
	scene_hear(&s, server, GET("/a"));
	shed_stalled(s.worker); /* there is enough again */
	assert_int_equal(s.worker->metrics.closed[CLOSE_STALLED], 1);
	scene_say(&s, slow, "TP/1.1\r\nhost: h\r\n\r\n");
	scene_hear(&s, slow_server, GET("/slow"));
	close(slow);
	close(slow_server);
	for (int i = 0; i < 4; i++) {
		close(clients[i]);
		close(servers[i]);
	}
	close(client);
	close(server);
	scene_end(&s);
}

static bool is_reset(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}

/* A server takes all that waits for it. */
static void drain(struct scene *s, const struct conn *c, int server)
{
	static char piece[64 * 1024];

	for (unsigned turn = 0; c->up.out; turn++) {
		assert_true(scene_may_wait(s, turn));
		while (recv(server, piece, sizeof(piece), MSG_DONTWAIT) > 0)
			;
		scene_turn(s, server, POLLIN);
	}
}

/* Servers take a byte now and then, which is no standstill: they go as well when that has lasted,
 * but not those that take all of it from time to time. */
static void test_trickling_are_shed(void **state)
{
	struct scene s;
	int clients[2], servers[2];
	char byte;

	begin(&s);
	for (int i = 0; i < 2; i++)
		clients[i] = stall(&s, &servers[i]);
	uv_timer_stop(&s.worker->tick); /* ticks are counted here */
	s.worker->buffers.limit = BUFFER_POOL_RESERVE - 1;
	for (int tick = 1; tick < SHED_TRICKLE_TICKS; tick++) {
		shed_stalled(s.worker);
		assert_int_equal(recv(servers[0], &byte, 1, MSG_DONTWAIT), 1);
	}
	drain(&s, s.worker->conns, servers[1]);
	assert_int_equal(s.worker->metrics.closed[CLOSE_STALLED], 0);
	shed_stalled(s.worker);
	assert_int_equal(s.worker->metrics.closed[CLOSE_STALLED], 1);
	scene_turn(&s, -1, 0);
	assert_true(is_reset(clients[0]));
	assert_false(is_reset(clients[1]));
	for (int i = 0; i < 2; i++) {
		close(clients[i]);
		close(servers[i]);
	}
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stalled_are_shed),
		cmocka_unit_test(test_trickling_are_shed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
