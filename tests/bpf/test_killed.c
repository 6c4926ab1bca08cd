/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of a killed run, where its paths say nothing to who cleans up, or the wrong thing: as
 * long as a process of it lives, it is held, and nothing is removed. */
#include "scene.h"
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "run_state.h"

#define UNMOUNT_ALL(type)                                                              \
	"for m in $(grep -- ' - " type " ' /proc/self/mountinfo | cut -d' ' -f5); do " \
	"umount -l $m; done"

struct killed {
	bool own_cgroup2, own_bpffs; /* the run mounts what it needs itself, for nobody else */
	bool clean_without_cgroup2;  /* who cleans up sees none */
	const char *file; /* what stands in the state file at last; NULL: what it wrote */
};

static void leave(const char *what)
{
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(scene_shell(what));
}

/* ---- the run, and its only process ---- */

/* For each byte: is it still held? */
static void answer(int fd)
{
	char c;

	while (read(fd, &c, 1) == 1) {
		c = dial_tcp(AF_INET, FAR4, PORT_STEERED) == -EPERM &&
				    dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED) == -EPERM
			    ? 'h'
			    : 'f';
		CHECK(write(fd, &c, 1) == 1);
	}
	_exit(0);
}

static void own_a_run(int fd, void *arg)
{
	const struct steer_options options = { .max_flows = 1024 };
	struct scene own = { .listener4 = -1, .listener6 = -1 };
	const struct killed *how = arg;
	struct error err = { "" };
	struct run_state run;
	pid_t pid;

	if (how->own_cgroup2)
		leave(UNMOUNT_ALL("cgroup2"));
	if (how->own_bpffs)
		leave("umount /sys/fs/bpf; mount -t bpf none /sys/fs/bpf");
	CHECK(run_state_make(&run, &err) == 0);
	CHECK(steer_open(&options, &own.steer, &err) == 0);
	scene_add_workload(&own, &run.cgroup);
	scene_set_table(&own, true);
	scene_add_listeners(&own);
	CHECK(steer_attach(own.steer, run.cgroup.fd, run.pin_dir, &err) == 0);
	pid = fork();
	if (pid == 0) {
		close(own.listener4);
		close(own.listener6);
		close(run.lock_fd);
		CHECK(cgroup_enter(&run.cgroup) == 0);
		CHECK(write(fd, &run, sizeof(run)) == sizeof(run));
		answer(fd);
	}
	close(fd);
	for (;;)
		pause();
}

static void assert_held(int fd)
{
	char c = '?';

	assert_int_equal(write(fd, &c, 1), 1);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(c, 'h');
}

/* ---- cleaning up ---- */

static void clean(int fd, void *arg)
{
	const struct killed *how = arg;
	struct cleanup_report report;
	struct error err = { "" };

	if (how->clean_without_cgroup2)
		leave(UNMOUNT_ALL("cgroup2"));
	if (run_state_cleanup(&report, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	CHECK(write(fd, &report, sizeof(report)) == sizeof(report));
}

static struct cleanup_report clean_up(const struct killed *how)
{
	struct worker w = worker_start(NULL, clean, (void *)how);
	struct cleanup_report report;

	assert_int_equal(recv(w.fd, &report, sizeof(report), MSG_WAITALL), sizeof(report));
	worker_end(&w);
	return report;
}

static void overwrite(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void check_killed(const struct killed *how)
{
	struct worker owner = worker_start(NULL, own_a_run, (void *)how);
	struct cleanup_report report;
	struct run_state run;
	int status;
	char c;

	assert_int_equal(recv(owner.fd, &run, sizeof(run), MSG_WAITALL), sizeof(run));
	kill(owner.pid, SIGKILL);
	assert_int_equal(waitpid(owner.pid, &status, 0), owner.pid);
	if (how->file)
		overwrite(run.file, how->file);
	assert_held(owner.fd);
	for (int i = 0; i < 2; i++) {
		report = clean_up(how);
		assert_int_equal(report.removed, 0);
		assert_int_equal(report.held, 1);
		assert_non_null(strstr(report.held_path, run.id));
		assert_held(owner.fd);
	}
	assert_int_equal(access(run.file, F_OK), 0);
	shutdown(owner.fd, SHUT_WR);
	assert_int_equal(read(owner.fd, &c, 1), 0);
	close(owner.fd);
	for (int i = 0; i < 500 && report.held; i++) { /* until it has really ended */
		usleep(10000);
		report = clean_up(how);
	}
	assert_int_equal(report.removed, 1);
	assert_true(access(run.file, F_OK) < 0);
	assert_true(access(run.pin_dir, F_OK) < 0);
	assert_true(access(run.cgroup.path, F_OK) < 0);
	report = clean_up(how);
	assert_int_equal(report.removed + report.held + report.alive, 0);
}

static void test_private_cgroup2(void **state)
{
	check_killed(&(struct killed){ .own_cgroup2 = true });
}

static void test_private_cgroup2_and_bpffs(void **state)
{
	check_killed(&(struct killed){ .own_cgroup2 = true, .own_bpffs = true });
}

static void test_no_cgroup2_to_see(void **state)
{
	check_killed(&(struct killed){ .clean_without_cgroup2 = true });
}

static void test_state_file_damaged(void **state)
{
	check_killed(&(struct killed){ .file = "" });
	check_killed(&(struct killed){ .file = "/sys/fs/cg" });
	check_killed(&(struct killed){ .file = "something\nelse\naltogether\n" });
}

/* ---- files that are not a run's ---- */

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void test_foreign_files(void **state)
{
	const struct killed here = { .file = NULL };
	struct cleanup_report report;
	struct cgroup empty;
	struct error err = { "" };

	/* The file names the root of the tree: somebody's cgroup in it, which is still empty,
	 * stays. */
	assert_int_equal(cgroup_make(&empty, "empty", &err), 0);
	assert_true(
		scene_shell("mkdir -p -m 700 /run/sluice /run/precious && "
			    "touch /run/precious/link_a && echo note >/run/sluice/README && "
			    "echo x >/run/sluice/1-deadbeef.bak && mkdir /run/sluice/2-deadbeef && "
			    "printf '/nowhere\\n/run/precious\\n1\\n' >/run/sluice/1-deadbeef"));
	report = clean_up(&here);
	assert_int_equal(report.held, 0);
	assert_int_equal(report.alive, 0);
	assert_int_equal(report.removed, 1);
	assert_true(exists(empty.path));
	assert_int_equal(cgroup_remove(&empty), 0);
	assert_true(exists("/run/precious/link_a"));
	assert_true(exists("/run/sluice/README"));
	assert_true(exists("/run/sluice/1-deadbeef.bak"));
	assert_false(exists("/run/sluice/1-deadbeef"));
	assert_true(scene_shell("rm -r /run/precious /run/sluice/README /run/sluice/2-deadbeef "
				"/run/sluice/1-deadbeef.bak"));
}

/* The right names, on a file system that has no pins. */
static void test_not_bpffs(void **state)
{
	const struct killed here = { .file = NULL };

	assert_true(scene_shell("mkdir -p -m 700 /run/sluice /run/x/sluice/3-deadbeef && "
				"touch /run/x/sluice/3-deadbeef/link_a && "
				"printf '/x/sluice-3-deadbeef\\n/run/x/sluice/3-deadbeef\\n' "
				">/run/sluice/3-deadbeef"));
	assert_int_equal(clean_up(&here).removed, 1);
	assert_true(exists("/run/x/sluice/3-deadbeef/link_a"));
	assert_true(scene_shell("rm -r /run/x"));
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private_cgroup2),
		cmocka_unit_test(test_private_cgroup2_and_bpffs),
		cmocka_unit_test(test_no_cgroup2_to_see),
		cmocka_unit_test(test_state_file_damaged),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_not_bpffs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
