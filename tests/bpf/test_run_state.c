/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups, and what runs leave in the file system, also when many come and go at once. */
#include "scene.h"
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "mounts.h"
#include "run_state.h"

/* ---- cgroups ---- */

static void wait_empty(const struct cgroup *cg)
{
	for (int i = 0; i < 5000 && cgroup_populated(cg) == 1; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(1000);
	}
	assert_int_equal(cgroup_populated(cg), 0);
}

/* A few processes that are replaced by their children as fast as they can: who reads the list of
 * processes always comes late. */
static void bomb(int fd, void *arg)
{
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			break;
	(void)!write(fd, "!", 1);
	for (;;)
		if (fork() > 0)
			_exit(0);
}

static void test_kill_all(void **state)
{
	struct scene s = { .listener4 = -1, .listener6 = -1 };
	struct error err = { "" };
	struct worker w;
	char c;

	assert_int_equal(cgroup_make(&s.cgroup, "bomb", &err), 0);
	assert_int_equal(cgroup_populated(&s.cgroup), 0);
	w = worker_start(&s, bomb, NULL);
	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(cgroup_populated(&s.cgroup), 1);
	assert_int_equal(cgroup_remove(&s.cgroup), -EBUSY);
	assert_int_equal(cgroup_signal(&s.cgroup, SIGKILL), 0);
	close(w.fd);
	wait_empty(&s.cgroup);
	assert_int_equal(cgroup_remove(&s.cgroup), 0);
}

static void go_below_and_wait(int fd, void *arg)
{
	const char *path = arg;
	char below[CGROUP_PATH_MAX + 16];
	struct cgroup cg;

	snprintf(below, sizeof(below), "%s/a", path);
	CHECK(mkdir(below, 0755) == 0);
	snprintf(below, sizeof(below), "%s/a/b", path);
	CHECK(mkdir(below, 0755) == 0);
	CHECK(cgroup_open(&cg, below, NULL) == 0 && cgroup_enter(&cg) == 0);
	meet(fd);
	for (;;)
		pause();
}

static void test_nested(void **state)
{
	struct scene s = { .listener4 = -1, .listener6 = -1 };
	struct error err = { "" };
	struct worker w;
	int status;

	assert_int_equal(cgroup_make(&s.cgroup, "nested", &err), 0);
	w = worker_start(&s, go_below_and_wait, s.cgroup.path);
	meet(w.fd);
	assert_int_equal(cgroup_remove(&s.cgroup), -EBUSY);
	assert_int_equal(cgroup_signal(&s.cgroup, SIGTERM), 0);
	assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	close(w.fd);
	assert_int_equal(cgroup_remove(&s.cgroup), 0);
}

/* ---- runs ---- */

static unsigned names_in(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.' && strcmp(e->d_name, "lock") != 0;
	closedir(dir);
	return n;
}

/* Odd ones die without removing what they made. */
static void come_and_go(int fd, void *arg)
{
	const int *number = arg;
	struct error err = { "" };
	struct run_state run;

	for (int i = 0; i < 20; i++) {
		CHECK(run_state_make(&run, &err) == 0);
		CHECK(access(run.file, F_OK) == 0 && access(run.cgroup.path, F_OK) == 0);
		if (*number % 2 && i == 19)
			_exit(0);
		CHECK(run_state_remove(&run) == 0);
	}
}

static void clean_up(int fd, void *arg)
{
	struct cleanup_report report;
	struct error err = { "" };

	for (int i = 0; i < 50; i++)
		CHECK(run_state_cleanup(&report, &err) == 0);
}

static void test_many_at_once(void **state)
{
	static int numbers[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct worker runs[ARRAY_SIZE(numbers)], cleaners[2];
	struct cleanup_report report;
	struct error err = { "" };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		runs[i] = worker_start(NULL, come_and_go, &numbers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(cleaners); i++)
		cleaners[i] = worker_start(NULL, clean_up, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		worker_end(&runs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(cleaners); i++)
		worker_end(&cleaners[i]);
	assert_int_equal(run_state_cleanup(&report, &err), 0);
	assert_int_equal(report.alive + report.held, 0);
	assert_int_equal(names_in("/run/sluice"), 0);
	assert_true(access("/sys/fs/bpf/sluice", F_OK) < 0);
}

/* A run that died between making its file and writing it. */
static void test_cut_short(void **state)
{
	struct cleanup_report report;
	struct error err = { "" };
	int fd;

	assert_int_equal(run_state_cleanup(&report, &err), 0);
	fd = open("/run/sluice/1-deadbeef", O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "/sys/fs/cg", 10), 10);
	close(fd);
	assert_int_equal(run_state_cleanup(&report, &err), 0);
	assert_int_equal(report.removed, 1);
	assert_int_equal(names_in("/run/sluice"), 0);
}

/* ---- nothing is mounted ---- */

static bool is_mounted(const char *type)
{
	char command[128];

	snprintf(command, sizeof(command), "grep -q -- ' - %s ' /proc/self/mountinfo", type);
	return system(command) == 0;
}

static void unmount_all(void)
{
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(scene_shell("while umount /sys/fs/bpf 2>/dev/null; do :; done; "
			  "for m in $(grep -- ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5);"
			  " do umount -l $m; done"));
	CHECK(!is_mounted("bpf") && !is_mounted("cgroup2"));
}

static void run_without_mounts(int fd, void *arg)
{
	struct error err = { "" };
	struct run_state run, second;

	unmount_all();
	CHECK(run_state_make(&run, &err) == 0);
	CHECK(is_mounted("bpf") && is_mounted("cgroup2"));
	CHECK(run_state_make(&second, &err) == 0);
	CHECK(run_state_remove(&run) == 0);
	CHECK(is_mounted("bpf") && is_mounted("cgroup2")); /* the second one needs them */
	CHECK(run_state_remove(&second) == 0);
	CHECK(!is_mounted("bpf") && !is_mounted("cgroup2"));
	CHECK(names_in("/run/sluice") == 0);
}

static void test_without_mounts(void **state)
{
	worker_run(NULL, run_without_mounts, NULL);
}

/* A system that never had cgroup2 mounted: until then the kernel prints no line "0::". This one has
 * had it, so a process of ours answers in place of /proc/PID/cgroup, once. */
static void answer_as_cgroup_file(const char *path, const char *own)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC); /* waits for the reader */

	CHECK(fd >= 0);
	dprintf(fd, "1:name=systemd:/\n%s", is_mounted("cgroup2") ? own : "");
	_exit(0);
}

static void make_where_never_mounted(int fd, void *arg)
{
	const char *path = "/run/cgroup-file";
	struct error err = { "" };
	struct cgroup cg;
	char target[64], text[4096], *own;
	pid_t pid;
	int file;

	snprintf(target, sizeof(target), "/proc/%d/cgroup", (int)getpid());
	memset(text, 0, sizeof(text));
	file = open(target, O_RDONLY | O_CLOEXEC);
	CHECK(read(file, text, sizeof(text) - 1) > 0);
	close(file);
	own = strstr(text, "0::");
	CHECK(own != NULL);
	unmount_all();
	CHECK(mkfifo(path, 0600) == 0 && mount(path, target, NULL, MS_BIND, NULL) == 0);
	for (int i = 0; i < 2; i++) {
		pid = fork();
		if (pid == 0)
			answer_as_cgroup_file(path, own);
		if (cgroup_make(&cg, "never-mounted", &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			CHECK(false);
		}
		CHECK(waitpid(pid, NULL, 0) == pid);
		CHECK(cgroup_remove(&cg) == 0);
	}
	CHECK(unlink(path) == 0 && umount(target) == 0);
	mounts_undo();
	CHECK(!is_mounted("cgroup2"));
}

static void test_never_mounted(void **state)
{
	worker_run(NULL, make_where_never_mounted, NULL);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_all),       cmocka_unit_test(test_nested),
		cmocka_unit_test(test_many_at_once),   cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_without_mounts), cmocka_unit_test(test_never_mounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
