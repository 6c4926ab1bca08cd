/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker refuses because there is too much of it: it is counted, and others go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include "relay_talk.h"
#include "worker_scene.h"

static void begin(struct scene *s)
{
	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
}

static void test_connection_limit(void **state)
{
	struct scene s;
	int client, other, server;

	begin(&s);
	s.shared.limits.connections = 1;
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	for (int i = 0; i < 3; i++) {
		other = scene_connect(&s, true);
		scene_hear_reset(&s, other);
		close(other);
	}
	assert_int_equal(s.worker->metrics.closed[CLOSE_LIMIT], 3);
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, server, GET("/a"));
	close(client);
	close(server);
	scene_wait_idle(&s);
	client = scene_connect(&s, true); /* there is room again */
	server = scene_accept(&s);
	scene_say(&s, client, GET("/a"));
	scene_hear(&s, server, GET("/a"));
	close(client);
	close(server);
	scene_end(&s);
}

/* Descriptors above those that the loop has room for. */
static void test_high_descriptors(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	client = scene_connect(&s, true);
	s.worker->n_descriptors = 5;
	scene_hear_reset(&s, client);
	close(client);
	assert_int_equal(s.worker->metrics.closed[CLOSE_LIMIT], 1);
	/* The client's has room, the server's has not. */
	s.worker->n_descriptors = 1000;
	server = dup(0);
	assert_true(server >= 0);
	close(server);
	client = scene_connect(&s, true);
	s.worker->n_descriptors = (unsigned)server + 2; /* CLIENT has the first of them */
	scene_hear_reset(&s, client);
	close(client);
	close(scene_accept(&s)); /* it was on its way */
	assert_int_equal(s.worker->metrics.closed[CLOSE_LIMIT], 2);
	s.worker->n_descriptors = 1000;
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	close(client);
	close(server);
	scene_end(&s);
}

static void test_denied_body_limit(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	s.shared.limits.denied_body = 3;
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	scene_say(&s, client, POST("/deny", "3", "abc") POST("/deny", "4", "abcd"));
	scene_hear(&s, client, FORBIDDEN FORBIDDEN_LAST);
	scene_hear_end(&s, client);
	close(client);
	close(server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.closed[CLOSE_DENIED], 1);
	scene_end(&s);
}

static void test_no_descriptors(void **state)
{
	struct rlimit old, few;
	struct scene s;
	int client, server, spare;

	begin(&s);
	client = scene_connect(&s, true);
	spare = dup(0);
	assert_true(spare >= 0);
	close(spare);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)spare;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	scene_hear_reset(&s, client);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(client);
	assert_int_equal(s.worker->metrics.closed[CLOSE_LIMIT], 1);
	assert_int_equal(s.worker->reporter.denials.n, 1); /* and who it was is said */
	client = scene_connect(&s, true);
	server = scene_accept(&s);
	close(client);
	close(server);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_limit),
		cmocka_unit_test(test_high_descriptors),
		cmocka_unit_test(test_denied_body_limit),
		cmocka_unit_test(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
