/* SPDX-License-Identifier: Apache-2.0 */
/* A new policy and a worker's connections: the next request meets it, and what is in flight ends if
 * it would be denied. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "relay_talk.h"
#include "sluice/array.h"
#include "worker_scene.h"

static void begin(struct scene *s)
{
	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
}

/* Put it in force, and see that the worker says so. */
static void change(struct scene *s, enum l4_action action, const char *denied)
{
	scene_change(s, fake_policy_new(action, denied));
}

static void test_next_request(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, server, GET("/a"));
	scene_say(&s, server, OK("1", "1"));
	scene_hear(&s, client, OK("1", "1"));
	change(&s, L4_STEER, "/a");
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, client, FORBIDDEN);
	change(&s, L4_ALLOW, "");
	scene_say(&s, client, GET("/deny"));
	scene_hear(&s, server, GET("/deny"));
	scene_say(&s, server, OK("1", "2"));
	scene_hear(&s, client, OK("1", "2"));
	assert_int_equal(atomic_load(&s.worker->ended), 0);
	change(&s, L4_REFUSE, "");
	scene_hear_reset(&s, client);
	scene_hear_reset(&s, server);
	close(client);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.closed[CLOSE_NOT_ALLOWED], 1);
	assert_int_equal(atomic_load(&s.worker->ended), 1);
	scene_end(&s);
}

/* Of several that wait, the last one counts. */
static void test_mailbox(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	worker_post(s.worker, scene_changes(fake_policy_new(L4_STEER, "/a")), 1);
	worker_post(s.worker, scene_changes(fake_policy_new(L4_REFUSE, "")), 2);
	worker_post(s.worker, worker_changes_new(), 3);
	scene_wait_swept(&s, 3);
	scene_hear_reset(&s, client);
	close(client);
	close(server);
	scene_end(&s);
}

/* What has been said when the policy changes so that /x is denied. */
static const struct situation {
	const char *name;
	const char *asked, *passed;   /* by the client, to the server */
	const char *answered, *heard; /* by the server, to the client */
	bool ends;
} situations[] = {
	{ "waiting for the answer", GET("/x"), GET("/x"), NULL, NULL, true },
	{ "another one", GET("/y"), GET("/y"), NULL, NULL, false },
	{ "a response in flight", GET("/x"), GET("/x"), OK("9", "long"), OK("9", "long"), true },
	{ "a chunked one", GET("/x"), GET("/x"), OK_CHUNKED("2\r\nab\r\n"),
	  OK_CHUNKED("2\r\nab\r\n"), true },
	{ "one until the end", GET("/x"), GET("/x"), OK_REST("a"), OK_REST("a"), true },
	{ "one that is allowed", GET("/y"), GET("/y"), OK("9", "long"), OK("9", "long"), false },
	{ "only an interim one", GET("/x"), GET("/x"), RESPONSE("103", ""), RESPONSE("103", ""),
	  true },
	{ "one that cannot be read", GET("/x"), GET("/x"), "nonsense\r\n", "nonsense\r\n", true },
	{ "answered", GET("/x"), GET("/x"), OK("1", "1"), OK("1", "1"), false },
	{ "a body in flight", POST("/x", "9", "long"), POST("/x", "9", "long"), NULL, NULL, true },
	{ "a body that is allowed", POST("/y", "9", "long"), POST("/y", "9", "long"), NULL, NULL,
	  false },
	{ "a body behind its answer", POST("/x", "9", "long"), POST("/x", "9", "long"),
	  OK("1", "1"), OK("1", "1"), true },
	{ "a body behind its answer, ended", POST("/x", "4", "long") GET("/y"),
	  POST("/x", "4", "long") GET("/y"), OK("1", "1"), OK("1", "1"), false },
	{ "the second of three", GET("/y") GET("/x") GET("/y"), GET("/y") GET("/x") GET("/y"), NULL,
	  NULL, true },
	{ "all answered but the last", GET("/x") GET("/y"), GET("/x") GET("/y"), OK("1", "1"),
	  OK("1", "1"), false },
	{ "a tunnel", WEBSOCKET("/x"), WEBSOCKET("/x"), SWITCHING "hi", SWITCHING "hi", true },
	{ "a tunnel that is allowed", WEBSOCKET("/y"), WEBSOCKET("/y"), SWITCHING "hi",
	  SWITCHING "hi", false },
	{ "a tunnel to be", WEBSOCKET("/x"), WEBSOCKET("/x"), NULL, NULL, true },
	{ "behind a denied one", GET("/y") GET("/deny"), GET("/y"), NULL, NULL, false },
	{ "a head that is not whole", "GET /x HT", "", NULL, NULL, false },
	{ "nothing", "", "", NULL, NULL, false },
};

static void talk(struct scene *s, const struct situation *t, int client, int server)
{
	scene_say(s, client, t->asked);
	scene_hear(s, server, t->passed);
	if (!t->answered)
		return;
	scene_say(s, server, t->answered);
	scene_hear(s, client, t->heard);
}

static void check_situation(const struct situation *t, size_t room)
{
	int client, server;
	struct scene s;

	begin(&s);
	s.worker->exchanges.kept.max = room;
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	talk(&s, t, client, server);
	scene_turn(&s, -1, 0);
	change(&s, L4_STEER, "/x");
	if (atomic_load(&s.worker->ended) != (t->ends ? 1 : 0))
		fail_msg("%s, with room for %zu", t->name, room);
	if (t->ends) {
		scene_hear_reset(&s, client);
		scene_hear_reset(&s, server);
	}
	assert_int_equal(s.worker->metrics.closed[CLOSE_REVOKED], t->ends ? 1 : 0);
	close(client);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->exchanges.kept.bytes, 0);
	scene_end(&s);
}

static void test_in_flight(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(situations); i++)
		check_situation(&situations[i], KEPT_MAX);
}

/* Without room nothing is kept, and what was forwarded and is not over ends. */
static void test_in_flight_unknown(void **state)
{
	static const struct situation cases[] = {
		{ "a request", GET("/y"), GET("/y"), NULL, NULL, true },
		{ "a tunnel", WEBSOCKET("/y"), WEBSOCKET("/y"), SWITCHING, SWITCHING, true },
		{ "a body", POST("/y", "9", "a"), POST("/y", "9", "a"), OK("1", "1"), OK("1", "1"),
		  true },
		{ "answered", GET("/y"), GET("/y"), OK("1", "1"), OK("1", "1"), false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_situation(&cases[i], 0);
}

/* Before the sweep comes to it, an event is enough to end it: not a byte passes. */
static void test_no_byte_before_the_sweep(void **state)
{
	struct scene s;
	int client, server;
	char byte;

	begin(&s);
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, WEBSOCKET("/x"));
	scene_hear(&s, server, WEBSOCKET("/x"));
	scene_say(&s, server, SWITCHING);
	scene_hear(&s, client, SWITCHING);
	worker_post(s.worker, scene_changes(fake_policy_new(L4_STEER, "/x")), 1);
	worker_take_changes(s.worker);
	uv_idle_stop(&s.worker->sweep);
	scene_say(&s, client, "frame");
	assert_true(scene_read(&s, server, &byte, 1) < 0);
	assert_int_equal(s.worker->metrics.closed[CLOSE_REVOKED], 1);
	close(client);
	close(server);
	scene_end(&s);
}

#define MANY 100

/* Everybody is looked at, though some end meanwhile, and the neighbours live. */
static void test_many(void **state)
{
	int clients[MANY], servers[MANY];
	struct scene s;

	begin(&s);
	for (int i = 0; i < MANY; i++) {
		clients[i] = scene_connect(&s, true);
		servers[i] = scene_accept(&s);
		scene_say(&s, clients[i], i % 3 ? GET("/x") : GET("/y"));
		scene_hear(&s, servers[i], i % 3 ? GET("/x") : GET("/y"));
	}
	change(&s, L4_STEER, "/x");
	assert_int_equal(atomic_load(&s.worker->ended), MANY - (MANY + 2) / 3);
	for (int i = 0; i < MANY; i += 3) {
		scene_say(&s, servers[i], OK("1", "1"));
		scene_hear(&s, clients[i], OK("1", "1"));
	}
	for (int i = 0; i < MANY; i++) {
		close(clients[i]);
		close(servers[i]);
	}
	scene_end(&s);
}

/* Steered under the old table and accepted under the new policy: nobody is dialled for it. */
static void test_accepted_late(void **state)
{
	struct scene s;
	int client;

	begin(&s);
	change(&s, L4_REFUSE, "");
	client = scene_connect(&s, true);
	scene_hear_reset(&s, client);
	assert_true(accept(s.listener, NULL, NULL) < 0);
	assert_int_equal(s.worker->metrics.closed[CLOSE_NOT_ALLOWED], 1);
	close(client);
	scene_end(&s);
}

static void test_without_memory(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct policy *policy = fake_policy_new(L4_STEER, "");

	for (unsigned n = 1;; n++) {
		int r;

		fail_alloc_at(n);
		r = worker_changes_set_policy(changes, SCENE_WORKLOAD, policy, NULL);
		assert_int_equal(r, fail_alloc_happened() ? -ENOMEM : 0);
		assert_int_equal(policy->refs, r < 0 ? 1 : 2);
		if (r == 0)
			break;
		assert_true(n < 10);
	}
	fail_alloc_at(1);
	assert_int_equal(worker_changes_remove_workload(changes, 1), -ENOMEM);
	fail_alloc_at(1);
	assert_null(worker_changes_new());
	fail_alloc_at(0);
	worker_changes_free(changes);
	assert_int_equal(policy->refs, 1);
	policy_unref(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_request),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_in_flight_unknown),
		cmocka_unit_test(test_no_byte_before_the_sweep),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_accepted_late),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
