/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of HTTP/2 in a worker: who speaks first, a new policy, want of memory. */
#include <errno.h>
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
#include "h2_talk.h"
#include "sluice/array.h"
#include "worker_scene.h"

static const char up_hello[] = "PRI\nSETTINGS 0 - @2:0\n", down_hello[] = "SETTINGS 0 -\n";

static void say(struct scene *s, int fd, const char *frames)
{
	struct bytes b = { 0 };

	h2_text_compile(frames, 0, &b);
	scene_send(s, fd, b.data, b.len);
	bytes_free(&b);
}

/* Exactly these bytes come next. */
static void hear_bytes(struct scene *s, int fd, const struct bytes *want)
{
	size_t got = 0;

	while (got < want->len) {
		char buf[4096];
		size_t room = want->len - got < sizeof(buf) ? want->len - got : sizeof(buf);
		ssize_t n = scene_read(s, fd, buf, room);

		assert_true(n > 0);
		assert_memory_equal(buf, want->data + got, (size_t)n);
		got += (size_t)n;
	}
}

static void hear(struct scene *s, int fd, const char *frames)
{
	struct bytes want = { 0 };

	h2_text_compile(frames, 0, &want);
	hear_bytes(s, fd, &want);
	bytes_free(&want);
}

static void begin(struct scene *s, int *client, int *server)
{
	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
	*client = scene_connect(s, true);
	*server = scene_accept(s);
}

static void begin_audit(struct scene *s, int *client, int *server)
{
	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
	worker_set_audit(s->worker);
	*client = scene_connect(s, true);
	*server = scene_accept(s);
}

static void change_to(struct scene *s, struct policy *policy)
{
	scene_change(s, policy);
}

static void change(struct scene *s, const char *denied)
{
	change_to(s, fake_policy_new(L4_STEER, denied));
}

static void end(struct scene *s, int client, int server)
{
	close(client);
	close(server);
	scene_wait_idle(s);
	scene_end(s);
}

/* The server's SETTINGS wait for the client, and end with it. */
static void test_server_speaks_first(void **state)
{
	struct scene s;
	int client, server;

	begin(&s, &client, &server);
	say(&s, server, down_hello);
	for (int i = 0; i < 20; i++)
		scene_turn(&s, -1, 0);
	say(&s, client, HELLO GET(1, "/a") GET(3, "/deny"));
	hear(&s, server, up_hello);
	hear(&s, server, GET(1, "/a"));
	hear(&s, client, down_hello);
	hear(&s, client, DENIED(3));
	say(&s, server, OK_LAST(1));
	hear(&s, client, OK_LAST(1));
	assert_int_equal(s.worker->metrics.requests_denied, 1);
	end(&s, client, server);
}

static void test_server_speaks_first_to_http1(void **state)
{
	struct scene s;
	int client, server;

	begin(&s, &client, &server);
	say(&s, server, down_hello);
	for (int i = 0; i < 20; i++)
		scene_turn(&s, -1, 0);
	scene_say(&s, client, "GET");
	scene_hear_reset(&s, client);
	scene_hear_reset(&s, server);
	assert_int_equal(s.worker->metrics.closed[CLOSE_UNSOLICITED], 1);
	end(&s, client, server);
}

/* A new policy ends the streams that it does not allow, also of a connection that is silent, and
 * before any frame of theirs passes. */
static void test_new_policy(void **state)
{
	struct scene s;
	int client, server;

	begin(&s, &client, &server);
	say(&s, client, HELLO POST(1, "/a") POST(3, "/b"));
	hear(&s, server, up_hello);
	hear(&s, server, POST(1, "/a") POST(3, "/b"));
	say(&s, server, down_hello);
	hear(&s, client, down_hello);
	change(&s, "/a");
	scene_turn(&s, -1, 0);
	say(&s, client, "DATA 1 - \"late\nDATA 3 - \"good\n");
	hear(&s, server, "RST 1 - %8\nDATA 3 - \"good\n");
	hear(&s, client, "RST 1 - %8\nWINDOW 0 - %4\n");
	change(&s, "/b");
	hear(&s, client, "RST 3 - %8\n"); /* though nobody says anything */
	hear(&s, server, "RST 3 - %8\n");
	say(&s, client, POST(5, "/a"));
	hear(&s, server, POST(5, "/a"));
	end(&s, client, server);
}

/* The same request passes unread, counted all the same, and until the policy changes; then those
 * that are under way end, each for itself. KEPT: whether copies are kept. */
static void check_known_requests(bool kept)
{
	struct scene s;
	int client, server;

	begin(&s, &client, &server);
	if (!kept)
		s.worker->exchanges.kept.max = 0;
	say(&s, server, down_hello);
	say(&s, client, HELLO GET(1, "/a"));
	hear(&s, server, up_hello);
	hear(&s, server, GET(1, "/a"));
	hear(&s, client, down_hello);
	assert_non_null(s.worker->conns->h2->relay.ends[RELAY_DOWN].in.known.set);
	say(&s, client, GET(3, "/a") GET(5, "/deny"));
	hear(&s, server, GET(3, "/a"));
	hear(&s, client, DENIED(5));
	assert_int_equal(s.worker->metrics.requests_allowed, 2);
	say(&s, server, OK_LAST(1) OK_LAST(3));
	hear(&s, client, OK_LAST(1) OK_LAST(3));
	if (kept) {
		say(&s, client, POST(7, "/a") POST(9, "/a"));
		hear(&s, server, POST(7, "/a") POST(9, "/a"));
	}
	change(&s, "/a");
	if (kept)
		hear(&s, client, "RST 7 - %8\nRST 9 - %8\n");
	say(&s, client, GET(11, "/a"));
	hear(&s, client, DENIED(11));
	assert_int_equal(s.worker->metrics.requests_denied, 2);
	end(&s, client, server);
}

static void test_known_requests(void **state)
{
	check_known_requests(false);
}

static void test_known_and_kept_requests(void **state)
{
	check_known_requests(true);
}

/* Whichever allocation fails, the connection is reset or goes on as ever. */
static void test_no_memory(void **state)
{
	unsigned n, closed = 0;
	bool failed = true;

	for (n = 1; failed; n++) {
		struct scene s;
		int client, server;
		struct bytes b = { 0 };
		char buf[512];

		h2_text_compile(HELLO GROWING(1, "/deny") GET(3, "/a"), 0, &b);
		begin(&s, &client, &server);
		fail_alloc_at(n);
		scene_send(&s, client, b.data, b.len);
		scene_read(&s, server, buf, sizeof(buf));
		failed = fail_alloc_happened();
		fail_alloc_at(0);
		/* A line of the summary can be lost without harm. */
		assert_true(s.worker->metrics.closed[CLOSE_OOM] <= failed);
		closed += (unsigned)s.worker->metrics.closed[CLOSE_OOM];
		end(&s, client, server);
		bytes_free(&b);
	}
	assert_true(closed >= 4);
}

/* What a frame may take: just so long; it is the time of the frame, not of the connection. */
static void test_slow_frame(void **state)
{
	static const char *const parts[] = {
		"HEADERS 1 e " FIELDS("GET", "/a") "\n", /* CONTINUATION is missing */
		"HEADERS 1 eh ~100|" FIELDS("GET", "/a") "\n",
		"SETTINGS 0 - ~6|$00\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct scene s;
		int client, server;
		uint64_t now;

		begin(&s, &client, &server);
		say(&s, client, HELLO);
		hear(&s, server, up_hello);
		say(&s, server, down_hello);
		hear(&s, client, down_hello);
		now = uv_now(&s.worker->loop) + s.shared.limits.head_time;
		conn_tick(s.worker->conns, 10 * now); /* idle: all the time in the world */
		say(&s, client, parts[i]);
		for (int turns = 0; turns < 5; turns++)
			scene_turn(&s, -1, 0);
		assert_true(s.worker->conns->deadline_ms >= now);
		conn_tick(s.worker->conns, s.worker->conns->deadline_ms - 1);
		assert_int_equal(s.worker->conns->state, CONN_RELAY);
		conn_tick(s.worker->conns, s.worker->conns->deadline_ms);
		hear(&s, client, "GOAWAY 0 - %0|%11\n");
		scene_hear_end(&s, client);
		scene_hear_reset(&s, server);
		close(client);
		close(server);
		scene_wait_idle(&s);
		assert_int_equal(s.worker->metrics.closed[CLOSE_HTTP2_LIMIT], 1);
		scene_end(&s);
	}
}

/* Says FROM what TO hears at once, as it was said. */
static void pass(struct scene *s, int from, int to, const char *frames)
{
	say(s, from, frames);
	hear(s, to, frames);
}

static void check_audited(const struct scene *s, unsigned at, const char *text)
{
	const struct denials *d = &scene_workload(s)->reporter.denials;

	assert_true(at < d->n && d->entries[at].audited);
	assert_non_null(strstr(d->entries[at].text, text));
}

/* Whoever speaks first, what is denied has its answer, and what cannot be read passes to the end.
 */
static void test_audit(void **state)
{
	for (int server_first = 0; server_first < 2; server_first++) {
		struct scene s;
		int client, server;

		begin_audit(&s, &client, &server);
		if (server_first) {
			pass(&s, server, client, "SETTINGS 0 - @1:100000\nWINDOW 0 - %1\n");
			pass(&s, client, server, HELLO "SETTINGS 0 a\n" POST(1, "/deny"));
		} else {
			pass(&s, client, server, HELLO POST(1, "/deny"));
			pass(&s, server, client, "SETTINGS 0 - @1:100000\n");
		}
		pass(&s, client, server, "DATA 1 - ~10|\"half\n");
		pass(&s, server, client, OK(1) "DATA 1 e \"early\n");
		pass(&s, client, server, "PING 0 - %1\n" GET(3, "/a")); /* it is DATA, in part */
		assert_int_equal(s.worker->metrics.requests_denied, 1);
		assert_int_equal(s.worker->metrics.requests_allowed, 0);
		check_audited(&s, 0, "POST http://h/deny: no rule allows it");
		check_audited(&s, 1, "the client broke HTTP/2");
		pass(&s, client, server, "Xee 1 - \"anything\n");
		pass(&s, server, client, "Xee 2 - \"anything\n");
		assert_int_equal(s.worker->metrics.open, 1);
		end(&s, client, server);
	}
}

/* A policy that no longer allows anything there ends nothing. */
static void test_audit_of_a_new_policy(void **state)
{
	struct scene s;
	int client, server;

	begin_audit(&s, &client, &server);
	pass(&s, client, server, HELLO POST(1, "/a"));
	pass(&s, server, client, down_hello);
	change(&s, "/a");
	pass(&s, client, server, "DATA 1 - \"goes on\n");
	check_audited(&s, 0, "POST http://h/a: ended by a new policy");
	change_to(&s, fake_policy_new(L4_REFUSE, ""));
	pass(&s, client, server, "DATA 1 e \"goes on\n" GET(3, "/b"));
	check_audited(&s, 1, "no longer allows this destination");
	pass(&s, server, client, OK_LAST(1) OK_LAST(3));
	end(&s, client, server);
}

/* To follow a connection takes memory, to pass it on takes none. */
static void test_audit_without_memory(void **state)
{
	struct bytes request = { 0 }, response = { 0 };
	unsigned n, blind = 0;
	bool failed = true;

	h2_text_compile(HELLO GROWING(1, "/deny") GET(3, "/a"), 0, &request);
	h2_text_compile("SETTINGS 0 -\n" OK_LAST(1) "HEADERS 3 eh +a=b\n", 0, &response);
	for (n = 1; failed; n++) {
		struct scene s;
		int client, server;

		begin_audit(&s, &client, &server);
		fail_alloc_at(n);
		scene_send(&s, client, request.data, request.len);
		hear_bytes(&s, server, &request);
		scene_send(&s, server, response.data, response.len);
		hear_bytes(&s, client, &response);
		failed = fail_alloc_happened();
		fail_alloc_at(0);
		for (size_t i = 0; i < scene_workload(&s)->reporter.denials.n; i++)
			blind += strstr(scene_workload(&s)->reporter.denials.entries[i].text,
					"out of memory") != NULL;
		assert_int_equal(s.worker->metrics.closed[CLOSE_OOM], 0);
		end(&s, client, server);
	}
	bytes_free(&request);
	bytes_free(&response);
	assert_true(blind >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_speaks_first),
		cmocka_unit_test(test_server_speaks_first_to_http1),
		cmocka_unit_test(test_new_policy),
		cmocka_unit_test(test_known_requests),
		cmocka_unit_test(test_known_and_kept_requests),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_slow_frame),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_audit_of_a_new_policy),
		cmocka_unit_test(test_audit_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
