/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that are born in another network namespace, and threads that come back from there. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "netns.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

int __real_setns(int fd, int type);
int __wrap_setns(int fd, int type);

static unsigned fail_setns; /* which of the next calls */

int __wrap_setns(int fd, int type)
{
	if (fail_setns > 0 && --fail_setns == 0) {
		errno = EPERM;
		return -1;
	}
	return __real_setns(fd, type);
}

struct world {
	struct netns *home, *other;
	uint64_t here, there; /* cookies */
};

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_true(fd >= 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len), 0);
	close(fd);
	return cookie;
}

static uint64_t cookie_here(void)
{
	return cookie_of(socket(AF_INET, SOCK_STREAM, 0));
}

/* A namespace of the test's own, which goes with its last descriptor. */
static void begin(struct world *w)
{
	int fd;

	*w = (struct world){ .here = cookie_here() };
	assert_int_equal(netns_home(&w->home), 0);
	if (unshare(CLONE_NEWNET) < 0) {
		netns_unref(w->home);
		skip(); /* not for everybody */
	}
	w->there = cookie_here();
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(__real_setns(w->home->fd, CLONE_NEWNET), 0);
	assert_int_equal(netns_new(w->home, fd, 7, &w->other), 0);
	close(fd);
	assert_int_not_equal(w->here, w->there);
	assert_int_equal(cookie_here(), w->here);
}

static void end(struct world *w)
{
	assert_int_equal(cookie_here(), w->here);
	netns_unref(w->home); /* the other one holds it as well */
	netns_unref(w->other);
}

static void test_birth(void **state)
{
	struct world w;

	begin(&w);
	assert_int_equal(w.other->number, 7);
	assert_int_equal(cookie_of(netns_socket(w.other, AF_INET, SOCK_STREAM, 0)), w.there);
	assert_int_equal(cookie_here(), w.here);
	assert_int_equal(cookie_of(netns_socket(w.home, AF_INET6, SOCK_STREAM, 0)), w.here);
	assert_int_equal(cookie_of(netns_socket(NULL, AF_INET, SOCK_STREAM, 0)), w.here);
	end(&w);
}

/* The reason of the socket that could not be made, not of the way back; and nobody stays there. */
static void test_no_socket(void **state)
{
	struct rlimit before, none;
	struct world w;

	begin(&w);
	assert_int_equal(netns_socket(w.other, -1, SOCK_STREAM, 0), -EAFNOSUPPORT);
	assert_int_equal(netns_socket(w.home, -1, SOCK_STREAM, 0), -EAFNOSUPPORT);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(netns_socket(w.other, AF_INET, SOCK_STREAM, 0), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	end(&w);
}

/* No socket is made where it does not belong. */
static void test_cannot_go(void **state)
{
	struct world w;

	begin(&w);
	fail_setns = 1;
	assert_int_equal(netns_socket(w.other, AF_INET, SOCK_STREAM, 0), -EPERM);
	end(&w);
}

static void test_cannot_return(void **state)
{
	struct world w;
	int status;
	pid_t pid;

	begin(&w);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		fail_setns = 2;
		netns_socket(w.other, AF_INET, SOCK_STREAM, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	end(&w);
}

static void test_without_memory(void **state)
{
	struct netns *home, *other;

	fail_alloc_at(1);
	assert_int_equal(netns_home(&home), -ENOMEM);
	fail_alloc_at(0);
	assert_int_equal(netns_home(&home), 0);
	fail_alloc_at(1);
	assert_int_equal(netns_new(home, home->fd, 1, &other), -ENOMEM);
	fail_alloc_at(0);
	assert_int_equal(netns_new(home, -1, 1, &other), -EBADF);
	assert_int_equal(home->refs, 1);
	netns_unref(home);
	netns_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_birth),	       cmocka_unit_test(test_no_socket),
		cmocka_unit_test(test_cannot_go),      cmocka_unit_test(test_cannot_return),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
