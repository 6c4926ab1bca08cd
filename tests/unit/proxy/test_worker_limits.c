/* SPDX-License-Identifier: Apache-2.0 */
/* A worker at its limits: slow readers, and no buffers or memory. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "conn.h"
#include "fail_alloc.h"
#include "relay_talk.h"
#include "worker_scene.h"

static void begin(struct scene *s)
{
	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
}

#define BULK	      ((size_t)24 * 1024 * 1024)
#define KERNEL_BUFFER (128 * 1024) /* of each socket */

static char byte_at(size_t i)
{
	return (char)(i * 7 + i / 251);
}

struct carried {
	int from, to;
	size_t sent, got, lent; /* LENT: the most that was borrowed at any time */
};

/* Returns whether any byte was taken. */
static bool carry_on(struct scene *s, struct carried *c)
{
	static char piece[64 * 1024];
	size_t n = BULK - c->sent < sizeof(piece) ? BULK - c->sent : sizeof(piece);
	ssize_t r;

	for (size_t i = 0; i < n; i++)
		piece[i] = byte_at(c->sent + i);
	r = n > 0 ? send(c->from, piece, n, MSG_NOSIGNAL) : 0;
	c->sent += r > 0 ? (size_t)r : 0;
	poller_turn(&s->worker->poller, false);
	if (s->worker->buffers.lent > c->lent)
		c->lent = s->worker->buffers.lent;
	return r > 0;
}

static void receive(struct scene *s, struct carried *c)
{
	static char piece[64 * 1024];
	ssize_t r = recv(c->to, piece, sizeof(piece), 0);

	assert_true(r != 0);
	if (r < 0)
		scene_turn(s, c->to, POLLIN);
	for (ssize_t i = 0; i < r; i++)
		if (piece[i] != byte_at(c->got + (size_t)i))
			fail_msg("byte %zu differs", c->got + (size_t)i);
	c->got += r > 0 ? (size_t)r : 0;
}

/* The kernel makes a buffer larger by and by, whoever's it is: on a busy machine until all of BULK
 * has room. */
static void limit_kernel_buffers(int fd)
{
	int size = KERNEL_BUFFER;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

/* FROM sends, and TO reads nothing until nothing moves any more. */
static void carry(struct scene *s, int from, int to)
{
	struct carried c = { .from = from, .to = to };

	for (unsigned idle = 0; idle < 5; idle = carry_on(s, &c) ? 0 : idle + 1)
		scene_turn(s, from, POLLOUT);
	assert_true(c.sent < BULK);
	assert_true(c.lent > 0); /* it was congested */
	while (c.got < BULK) {
		carry_on(s, &c);
		receive(s, &c);
	}
	assert_true(c.lent <= WORKER_BULK_SIZE + 2UL * BUFFER_MAX);
}

static void test_slow_readers(void **state)
{
	struct scene s;
	int client, server;
	char head[128];

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	limit_kernel_buffers(client);
	limit_kernel_buffers(server);
	limit_kernel_buffers(s.worker->conns->down.fd);
	limit_kernel_buffers(s.worker->conns->up.fd);
	snprintf(head, sizeof(head), POST("/a", "%zu", ""), BULK);
	scene_say(&s, client, head);
	scene_hear(&s, server, head);
	carry(&s, client, server);
	snprintf(head, sizeof(head), OK("%zu", ""), BULK);
	scene_say(&s, server, head);
	scene_hear(&s, client, head);
	carry(&s, server, client);
	assert_int_equal(s.worker->buffers.n_lent, 0); /* an idle connection has none */
	close(client);
	close(server);
	scene_end(&s);
}

static void put_all(struct scene *s, int fd, const char *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, buf + at, len - at, MSG_NOSIGNAL);

		at += n > 0 ? (size_t)n : 0;
		scene_turn(s, fd, POLLOUT);
	}
}

static void get_all(struct scene *s, int fd, char *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = recv(fd, buf + at, len - at, 0);

		assert_true(n != 0);
		at += n > 0 ? (size_t)n : 0;
		if (n < 0)
			scene_turn(s, fd, POLLIN);
	}
}

/* A long body is read in long pieces, and requests behind it that have to wait are more than can be
 * kept: none is lost. */
static void test_requests_behind_a_body(void **state)
{
	enum { BODY = 1000 * 1000 + 1, REQUESTS = 6000, SHARE = 60 };
	static const char get[] = GET("/b"), ok[] = OK("1", "2");
	size_t len, head, gets = REQUESTS * (sizeof(get) - 1), oks = REQUESTS * (sizeof(ok) - 1);
	char *sent, *seen, *answers, *heard;
	int client, server;
	struct scene s;

	begin(&s);
	sent = malloc(200 + BODY + gets);
	seen = malloc(200 + BODY + gets);
	answers = malloc(oks + sizeof(ok));
	heard = malloc(oks + sizeof(ok));
	assert_true(sent && seen && answers && heard);
	head = (size_t)snprintf(sent, 200, POST("/a", "%d", ""), BODY);
	for (size_t i = 0; i < BODY; i++)
		sent[head + i] = byte_at(i);
	for (size_t i = 0; i < REQUESTS; i++)
		memcpy(sent + head + BODY + i * (sizeof(get) - 1), get, sizeof(get) - 1);
	for (size_t i = 0; i < REQUESTS + 1; i++)
		memcpy(answers + i * (sizeof(ok) - 1), ok, sizeof(ok) - 1);
	len = head + BODY + gets;
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	put_all(&s, client, sent, len);
	get_all(&s, server, seen, head + BODY);
	put_all(&s, server, answers, sizeof(ok) - 1);
	for (size_t at = 0; at < REQUESTS; at += SHARE) {
		get_all(&s, server, seen + head + BODY + at * (sizeof(get) - 1),
			SHARE * (sizeof(get) - 1));
		put_all(&s, server, answers, SHARE * (sizeof(ok) - 1));
	}
	get_all(&s, client, heard, oks + sizeof(ok) - 1);
	assert_memory_equal(seen, sent, len);
	assert_memory_equal(heard, answers, oks + sizeof(ok) - 1);
	close(client);
	close(server);
	scene_end(&s);
	free(sent);
	free(seen);
	free(answers);
	free(heard);
}

/* Send requests until none is taken any more. Returns the bytes that were. */
static size_t send_denied(struct scene *s, int client, const char *request, size_t len)
{
	static char many[64 * 1024];
	size_t size = sizeof(many) / len * len, sent = 0;

	for (size_t at = 0; at < size; at += len)
		memcpy(many + at, request, len);
	for (unsigned idle = 0; idle < 20; idle++) {
		ssize_t n = send(client, many + sent % size, size - sent % size, MSG_NOSIGNAL);

		if (n > 0)
			idle = 0;
		sent += n > 0 ? (size_t)n : 0;
		assert_true(sent < ((size_t)64 << 20)); /* it is held back */
		scene_turn(s, client, POLLOUT);
		assert_true(s->worker->buffers.lent <= 4UL * BUFFER_MAX);
	}
	return sent;
}

/* A client that only sends, and whose answers nobody reads until later. */
static void test_unread_denials(void **state)
{
	static const char request[] = GET("/deny"), answer[] = FORBIDDEN;
	size_t wanted, got = 0;
	struct scene s;
	int client, server;
	char answers[4096];

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_shrink_buffers(client);
	wanted = send_denied(&s, client, request, sizeof(request) - 1) / (sizeof(request) - 1) *
		 (sizeof(answer) - 1);
	while (got < wanted) {
		ssize_t n = scene_read(&s, client, answers, sizeof(answers));

		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			if (answers[i] != answer[(got + (size_t)i) % (sizeof(answer) - 1)])
				fail_msg("byte %zu differs", got + (size_t)i);
		got += (size_t)n;
	}
	assert_int_equal(got, wanted);
	close(client);
	close(server);
	scene_end(&s);
}

/* The pool is empty: connections wait for it, and go on. */
static void test_no_buffers(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	s.worker->buffers.limit = BUFFER_POOL_RESERVE - 1;
	scene_say(&s, client, GET("/a"));
	for (int i = 0; i < 5; i++)
		scene_turn(&s, -1, 0);
	assert_int_equal(s.worker->metrics.requests_allowed, 0);
	s.worker->buffers.limit = s.shared.limits.buffers;
	scene_hear(&s, server, GET("/a")); /* at the next tick */
	close(client);
	close(server);
	scene_end(&s);
}

/* Heads that never become whole hold buffers, and their time goes on when those are short. */
static void test_slow_heads_without_buffers(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, "GET /a HT");
	for (int i = 0; i < 5; i++)
		scene_turn(&s, -1, 0);
	s.worker->buffers.limit = BUFFER_POOL_RESERVE - 1;
	scene_say(&s, client, "TP/1.1\r\n");
	for (int i = 0; i < 5; i++)
		scene_turn(&s, -1, 0);
	assert_true(s.worker->metrics.buffers_short > 0);
	conn_tick(s.worker->conns, uv_now(&s.worker->loop) + s.shared.limits.head_time + 1);
	scene_hear(&s, client, TOO_SLOW);
	close(client);
	close(server);
	scene_end(&s);
}

static void try_to_say(int fd, const char *text)
{
	ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);

	(void)n; /* the connection may be gone: that is what is tried */
}

/* Requests and answers of several kinds, as far as the connection lives. */
static void talk_until_closed(struct scene *s, int client)
{
	static const char requests[] = GET("/a") GET("/deny/%2e%2e/x") POST("/a", "5", "hel");
	char buf[4096];
	int server = -1;
	bool told = false;

	scene_say(s, client, requests);
	for (unsigned turn = 0; turn < 40; turn++) {
		ssize_t n = recv(client, buf, sizeof(buf), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (server < 0)
			server = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (server >= 0 && recv(server, buf, sizeof(buf), 0) > 0 && !told) {
			try_to_say(server, OK("1", "1") RESPONSE("103", ""));
			told = true;
		}
		if (turn == 30)
			try_to_say(client, "lo" GET("/deny"));
		scene_turn(s, client, POLLIN);
	}
	if (server >= 0)
		close(server);
}

/* Number N fails: that connection may suffer, no other, and nothing is lost for good. */
static bool suffer(unsigned n)
{
	struct scene s;
	int client, other, server;
	bool happened;

	begin(&s);
	other = scene_connect(&s, true);
	server = scene_accept(&s);
	client = scene_connect(&s, true);
	fail_alloc_at(n);
	talk_until_closed(&s, client);
	happened = fail_alloc_happened();
	fail_alloc_at(0);
	close(client);
	while ((client = accept4(s.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(client);
	scene_say(&s, other, GET("/b"));
	scene_hear(&s, server, GET("/b"));
	scene_say(&s, server, OK("1", "2"));
	scene_hear(&s, other, OK("1", "2"));
	close(other);
	close(server);
	s.steer.n_flows = 0;
	scene_end(&s);
	return happened;
}

static void test_out_of_memory(void **state)
{
	unsigned n = 1;

	while (suffer(n))
		n++;
	assert_true(n > 5);
}

/* Times are long; the test lets them pass by telling the connection of a later one. */
static void pass_time(struct scene *s, uint64_t ms)
{
	assert_non_null(s->worker->conns);
	conn_tick(s->worker->conns, uv_now(&s->worker->loop) + ms);
}

static void test_slow_head(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	pass_time(&s, 10ULL * s.shared.limits.head_time); /* idle: all the time in the world */
	scene_say(&s, client, GET("/a") "GET /b HT");
	scene_hear(&s, server, GET("/a"));
	pass_time(&s, s.shared.limits.head_time / 2);
	scene_say(&s, client, "TP/1.1\r\n");
	scene_say(&s, server, OK("1", "1"));
	scene_hear(&s, client, OK("1", "1"));
	pass_time(&s, s.shared.limits.head_time + 1);
	scene_hear(&s, client, TOO_SLOW);
	scene_hear_end(&s, client);
	scene_hear_end(&s, server);
	close(client);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.closed[CLOSE_HEAD_TOO_SLOW], 1);
	scene_end(&s);
}

/* A client that is drained and says nothing, or never stops, is not drained for ever. */
static void test_drain_ends(void **state)
{
	for (int never_stops = 0; never_stops < 2; never_stops++) {
		struct scene s;
		int client, server;

		begin(&s);
		client = scene_connect(&s, true);
		server = scene_accept(&s);
		scene_say(&s, client, POST("/deny", "99999999", "some"));
		scene_hear(&s, client, FORBIDDEN_LAST);
		scene_hear_end(&s, client);
		pass_time(&s, s.shared.limits.drain_idle / 2);
		if (never_stops) {
			/* Each read puts off the end of patience; but not that of all. */
			s.worker->conns->deadline_ms = UINT64_MAX;
			pass_time(&s, s.shared.limits.drain_time / 2);
		}
		assert_int_equal(s.worker->conns->state, CONN_DRAIN);
		pass_time(&s,
			  (never_stops ? s.shared.limits.drain_time : s.shared.limits.drain_idle) +
				  1);
		scene_wait_idle(&s);
		assert_int_equal(s.worker->metrics.closed[CLOSE_DENIED], 1);
		close(client);
		close(server);
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_readers),
		cmocka_unit_test(test_requests_behind_a_body),
		cmocka_unit_test(test_unread_denials),
		cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_slow_head),
		cmocka_unit_test(test_drain_ends),
		cmocka_unit_test(test_slow_heads_without_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
