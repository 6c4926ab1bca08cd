/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a command in its cgroup, part by part: the plan of its view, the files that it is
 * given, the system calls that it does not have. The whole is in tests/e2e. */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/seccomp.h>
#include "confine_private.h"
#include "fail_alloc.h"
#include "mounts.h"
#include "sluice/array.h"

/* ---- the plan ---- */

struct plan_case {
	const char *type, *root, *point;
	const char *root_plan, *user_plan; /* "r": read-only, "t": a tree, "h": hidden */
};

static const struct plan_case plan_cases[] = {
	{ "cgroup2", "/", "/sys/fs/cgroup", "r/sys/fs/cgroup ", "r/sys/fs/cgroup " },
	{ "cgroup2", "/a/b", "/x", "r/x ", "r/x " },
	{ "cgroup", "/", "/sys/fs/cgroup/cpu", "r/sys/fs/cgroup/cpu ", "r/sys/fs/cgroup/cpu " },
	{ "bpf", "/", "/sys/fs/bpf", "h/sys/fs/bpf ", "h/sys/fs/bpf " },
	{ "bpf", "/pin", "/one", "h/one ", "h/one " },
	{ "binfmt_misc", "/", "/m", "r/m ", "" },
	{ "tracefs", "/", "/m", "r/m ", "" },
	{ "proc", "/", "/proc", "t/proc/sys t/proc/sysrq-trigger ", "" },
	{ "proc", "/sys", "/p", "r/p ", "" },
	{ "proc", "/sys/kernel", "/p", "r/p ", "" },
	{ "proc", "/sysvipc", "/p", "", "" },
	{ "proc", "/bus", "/p", "", "" },
	{ "proc", "/sysrq-trigger", "/p", "r/p ", "" },
	{ "sysfs", "/", "/sys", "t/sys/kernel ", "" },
	{ "sysfs", "/kernel/mm", "/m", "r/m ", "" },
	{ "sysfs", "/class", "/m", "", "" },
	{ "tmpfs", "/", "/tmp", "", "" },
	{ "ext4", "/", "/", "", "" },
};

static void describe(const struct view *v, char *text, size_t size)
{
	static const char letters[] = {
		[VIEW_READ_ONLY] = 'r', [VIEW_TREE_READ_ONLY] = 't', [VIEW_HIDE] = 'h'
	};
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < v->n_steps; i++)
		n += (size_t)snprintf(text + n, size - n, "%c%s ", letters[v->steps[i].kind],
				      v->steps[i].path);
	assert_true(n < size);
}

static void check_plan(const struct plan_case *c, bool root, const char *want)
{
	struct mount_entry *m = calloc(1, sizeof(*m));
	struct view v = { 0 };
	char text[256];

	assert_non_null(m);
	snprintf(m->type, sizeof(m->type), "%s", c->type);
	snprintf(m->root, sizeof(m->root), "%s", c->root);
	snprintf(m->point, sizeof(m->point), "%s", c->point);
	assert_int_equal(confine_view_plan(&v, root, m), 0);
	describe(&v, text, sizeof(text));
	if (strcmp(text, want) != 0)
		fail_msg("%s %s on %s: %s", c->type, c->root, c->point, text);
	confine_view_done(&v);
	free(m);
}

static void test_plan(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(plan_cases); i++) {
		check_plan(&plan_cases[i], true, plan_cases[i].root_plan);
		check_plan(&plan_cases[i], false, plan_cases[i].user_plan);
	}
}

static void test_many_steps(void **state)
{
	struct mount_entry *m = calloc(1, sizeof(*m));
	struct view v = { 0 };

	assert_non_null(m);
	strcpy(m->type, "cgroup2");
	strcpy(m->root, "/");
	for (int i = 0; i < 100; i++) {
		snprintf(m->point, sizeof(m->point), "/%d", i);
		assert_int_equal(confine_view_plan(&v, false, m), 0);
	}
	assert_int_equal(v.n_steps, 100);
	assert_string_equal(v.steps[99].path, "/99");
	confine_view_done(&v);
	free(m);
}

/* ---- the files ---- */

static int open_inheritable(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	assert_true(fd > 2);
	return fd;
}

/* A directory is opened again by its name, and is the same; one whose name now leads elsewhere is
 * closed; other files are left alone. */
static void test_passed_directories(void **state)
{
	char base[] = "/tmp/test_confine.XXXXXX", kept[64], moved[64], away[64], where[PATH_MAX];
	int kept_fd, moved_fd, file, closed;
	struct passed p = { 0 };
	struct stat before, after;

	assert_non_null(mkdtemp(base));
	snprintf(kept, sizeof(kept), "%s/kept", base);
	snprintf(moved, sizeof(moved), "%s/moved", base);
	snprintf(away, sizeof(away), "%s/away", base);
	assert_int_equal(mkdir(kept, 0700) | mkdir(moved, 0700), 0);
	kept_fd = open_inheritable(kept);
	moved_fd = open_inheritable(moved);
	file = open("/dev/null", O_RDONLY);
	closed = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(confine_passed_prepare(&p, NULL), 0);
	for (size_t i = 0; i < p.n_dirs; i++)
		assert_int_not_equal(p.dirs[i].fd, closed);
	assert_int_equal(rename(moved, away) | mkdir(moved, 0700), 0);
	assert_int_equal(fstat(kept_fd, &before), 0);
	confine_passed_reopen(&p);
	assert_int_equal(fstat(kept_fd, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	snprintf(where, sizeof(where), "/proc/self/fd/%d", moved_fd);
	assert_int_equal(access(where, F_OK), -1);
	assert_int_equal(fcntl(file, F_GETFD) | fcntl(kept_fd, F_GETFD), 0);
	close(file);
	close(kept_fd);
	close(closed);
	confine_passed_done(&p);
	assert_int_equal(rmdir(kept) | rmdir(moved) | rmdir(away) | rmdir(base), 0);
}

/* ---- the filter ---- */

#define HIGH (1L << 32)

static const struct {
	long call, arguments[3];
	int error; /* 0: it works */
} calls[] = {
	{ SYS_socket, { AF_INET, SOCK_STREAM }, 0 },
	{ SYS_socket, { AF_INET6, SOCK_DGRAM }, 0 },
	{ SYS_socket, { AF_UNIX, SOCK_STREAM }, 0 },
	{ SYS_socket, { AF_NETLINK, SOCK_RAW }, 0 },
	{ SYS_socket, { AF_PACKET, SOCK_RAW }, EAFNOSUPPORT },
	{ SYS_socket, { AF_VSOCK, SOCK_STREAM }, EAFNOSUPPORT },
	{ SYS_socket, { AF_VSOCK | HIGH, SOCK_STREAM }, EAFNOSUPPORT },
	{ SYS_socket, { AF_INET | HIGH, SOCK_STREAM }, EAFNOSUPPORT },
	{ SYS_socket, { AF_XDP, SOCK_RAW }, EAFNOSUPPORT },
	{ SYS_socket, { AF_TIPC, SOCK_RDM }, EAFNOSUPPORT },
	{ SYS_socket, { AF_RDS, SOCK_SEQPACKET }, EAFNOSUPPORT },
	{ SYS_socket, { -1, SOCK_STREAM }, EAFNOSUPPORT },
	{ SYS_socketpair, { AF_TIPC, SOCK_RDM }, EAFNOSUPPORT },
	{ SYS_socketpair, { AF_UNIX, SOCK_STREAM }, EFAULT }, /* no room for the two */
	{ SYS_io_uring_setup, { 1 }, ENOSYS },
	{ SYS_io_uring_enter, { 0 }, ENOSYS },
	{ SYS_ioctl, { 0, TIOCSTI }, EPERM },
	{ SYS_ioctl, { 0, TIOCSTI | HIGH }, EPERM },
	{ SYS_ioctl, { 0, TIOCLINUX }, EPERM },
	{ SYS_ioctl, { -1, TIOCGWINSZ }, EBADF },
	{ SYS_getpid, { 0 }, 0 },
};

/* In a process of its own: a filter stays. Returns the number of the first case that is wrong, plus
 * one. */
static int try_calls(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &confine_filter) < 0)
		return 255;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const long *a = calls[i].arguments;
		long r;

		errno = 0;
		r = syscall(calls[i].call, a[0], a[1], a[2], 0);
		if ((r < 0 ? errno : 0) != calls[i].error)
			return (int)i + 1;
	}
	return 0;
}

static void test_filter(void **state)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0)
		_exit(try_calls());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		fail_msg("call %d", WEXITSTATUS(status) - 1);
}

/* ---- the whole ---- */

static void test_no_memory(void **state)
{
	int fd = open_inheritable("/tmp"), r;
	unsigned n = 0;

	do {
		struct confine *c = NULL;
		struct error err = { "" };

		fail_alloc_at(++n);
		r = confine_prepare(true, &c, &err);
		if (fail_alloc_happened()) {
			assert_int_equal(r, -ENOMEM);
			assert_null(c);
			assert_string_not_equal(err.text, "");
		} else {
			assert_int_equal(r, 0);
		}
		fail_alloc_at(0);
		confine_free(c);
	} while (r < 0 && n < 1000);
	assert_true(n > 10 && n < 1000);
	confine_free(NULL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_many_steps),
		cmocka_unit_test(test_passed_directories),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
