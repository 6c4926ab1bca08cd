/* SPDX-License-Identifier: Apache-2.0 */
/* A worker in audit: whatever it would refuse passes, both ways and to the end, and is recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "relay_talk.h"
#include "side.h"
#include "sluice/array.h"
#include "worker_scene.h"

struct talkers {
	struct scene s;
	int client, server;
};

static void begin(struct talkers *t)
{
	scene_begin(&t->s, fake_policy_new(L4_STEER, "/deny"));
	worker_set_audit(t->s.worker);
	t->client = scene_connect(&t->s, true);
	t->server = scene_accept(&t->s);
}

static void ask(struct talkers *t, const char *text)
{
	scene_say(&t->s, t->client, text);
	scene_hear(&t->s, t->server, text);
}

static void answer(struct talkers *t, const char *text)
{
	scene_say(&t->s, t->server, text);
	scene_hear(&t->s, t->client, text);
}

/* Both end in good order; DENIAL is what the summary says, or its beginning. */
static void end(struct talkers *t, const char *denial)
{
	const struct denials *d = &scene_workload(&t->s)->reporter.denials;

	ask(t, "last words");
	shutdown(t->client, SHUT_WR);
	scene_hear_end(&t->s, t->server);
	answer(t, "of both");
	close(t->server);
	scene_hear_end(&t->s, t->client);
	close(t->client);
	scene_wait_idle(&t->s);
	assert_int_equal(t->s.worker->metrics.closed[CLOSE_DONE], 1);
	assert_true(d->n >= 1 && d->entries[0].audited);
	assert_non_null(strstr(d->entries[0].text, denial));
	scene_end(&t->s);
}

static void test_denied(void **state)
{
	struct talkers t;

	begin(&t);
	ask(&t, POST("/deny/x", "5", "hello"));
	answer(&t, OK("1", "1"));
	ask(&t, GET("/a"));
	answer(&t, OK("1", "2"));
	assert_int_equal(t.s.worker->metrics.requests_denied, 1);
	assert_int_equal(t.s.worker->metrics.requests_allowed, 1);
	end(&t, "POST http://h/deny/x: no rule allows it; nearest: rules.http[0] of policy "
		"\"fake\" differs in path");
}

static void test_unreadable(void **state)
{
	static const struct {
		const char *first, *denial;
	} cases[] = {
		{ "GET  /a HTTP/1.1\r\n\r\n", "answered 400" },
		{ GET("/a%00"), "a path that servers read in too many ways" },
		{ GET("/a/..%2fdeny"), "no rule allows it" },
		{ "\x16\x03\x01\x02\x05\x01\x03\x01\xfc", "TLS" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2" },
		{ "\x01\x02\x03", "not HTTP" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct talkers t;

		begin(&t);
		ask(&t, cases[i].first);
		answer(&t, "anything");
		end(&t, cases[i].denial);
	}
}

/* Neither waits for the other, nor for the end of a head. */
static void test_server_first(void **state)
{
	struct talkers t;

	begin(&t);
	answer(&t, "220 mail.example\r\n");
	ask(&t, "EHLO me\r\n");
	end(&t, "spoke without being asked");
}

static void test_half_a_head(void **state)
{
	struct talkers t;

	begin(&t);
	ask(&t, "GET /a HT");
	ask(&t, "TP/1.1\r\nhost");
	ask(&t, ": h\r\n\r\n");
	answer(&t, OK("1", "1"));
	assert_int_equal(t.s.worker->metrics.requests_allowed, 1);
	ask(&t, GET("/deny"));
	answer(&t, OK("1", "2"));
	end(&t, "GET http://h/deny");
}

static void change(struct talkers *t, struct policy *policy)
{
	scene_change(&t->s, policy);
	assert_int_equal(atomic_load(&t->s.worker->ended), 0);
}

/* What is in flight goes on, and is recorded if it would be denied now. */
static void test_policy_in_flight(void **state)
{
	struct talkers t;

	begin(&t);
	ask(&t, GET("/a"));
	change(&t, fake_policy_new(L4_STEER, "/a"));
	answer(&t, OK("1", "1"));
	end(&t, "GET http://h/a: ended by a new policy");
}

/* A policy that no longer allows the destination at all. */
static void test_policy_swap(void **state)
{
	struct talkers t;

	begin(&t);
	ask(&t, GET("/a"));
	change(&t, fake_policy_new(L4_REFUSE, ""));
	answer(&t, OK("1", "1"));
	ask(&t, GET("/b"));
	answer(&t, OK("1", "2"));
	end(&t, "no longer allows this destination");
}

/* There is no memory to follow a request: the bytes do not need any. */
static void test_without_memory(void **state)
{
	struct talkers t;

	begin(&t);
	fail_alloc_at(1);
	ask(&t, GET("/a"));
	assert_true(fail_alloc_happened());
	fail_alloc_at(0);
	answer(&t, OK("1", "1"));
	end(&t, "out of memory");
}

/* What has passed and waits to be read when somebody resets the connection. */
static void test_reset(void **state)
{
	for (int by_server = 0; by_server < 2; by_server++) {
		const struct denials *d;
		struct talkers t;

		begin(&t);
		d = &scene_workload(&t.s)->reporter.denials;
		ask(&t, WEBSOCKET("/a") GET("/deny"));
		side_reset(by_server ? t.server : t.client);
		scene_wait_idle(&t.s);
		close(by_server ? t.client : t.server);
		assert_int_equal(d->n, 1);
		assert_true(d->entries[0].audited);
		assert_non_null(strstr(d->entries[0].text, "bytes behind an Upgrade"));
		scene_end(&t.s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_denied),		 cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_server_first),	 cmocka_unit_test(test_half_a_head),
		cmocka_unit_test(test_policy_in_flight), cmocka_unit_test(test_policy_swap),
		cmocka_unit_test(test_without_memory),	 cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
