/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker refuses because there is too much of it: it is counted, and others go on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
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

static unsigned fail_epoll_at; /* 1: the next one; 0: none */

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && fail_epoll_at > 0 && --fail_epoll_at == 0) {
		errno = ENOMEM;
		return -1;
	}
	return __real_epoll_ctl(epfd, op, fd, event);
}

/* The kernel has no memory to watch the client's socket, or the server's. */
static void test_unwatched(void **state)
{
	struct scene s;
	int client, server;

	begin(&s);
	for (unsigned which = 1; which <= 2; which++) {
		client = scene_connect(&s, true);
		fail_epoll_at = which;
		scene_hear_reset(&s, client);
		close(client);
		assert_int_equal(fail_epoll_at, 0);
		assert_int_equal(s.worker->metrics.closed[CLOSE_OOM], which);
	}
	close(scene_accept(&s)); /* it was on its way */
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
	assert_int_equal(scene_workload(&s)->reporter.denials.n, 1); /* and who it was is said */
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
		cmocka_unit_test(test_unwatched),
		cmocka_unit_test(test_denied_body_limit),
		cmocka_unit_test(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
