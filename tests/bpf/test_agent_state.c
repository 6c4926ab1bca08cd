/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent leaves in the file system while it lives, who may have it, and what is removed of
 * one that was killed: its pins and its file, and nothing else. */
#include "scene.h"
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include "agent_state.h"
#include "pinned.h"

#define DIR_A "/run/state-a"
#define DIR_B "/run/state-b"
#define TREE  "/run/tree" /* stands for a cgroup that the programs are attached to */

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* As steer_attach() makes it. */
static void pin_something(const struct agent_state *s)
{
	char path[RUN_STATE_PINS_MAX + 16];
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "m", 4, 4, 1, NULL);

	snprintf(path, sizeof(path), "%s", s->pin_dir);
	*strrchr(path, '/') = '\0';
	CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
	CHECK(mkdir(s->pin_dir, 0700) == 0);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/map_%d", s->pin_dir, i);
		CHECK(bpf_obj_pin(fd, path) == 0);
	}
	close(fd);
}

static void make(struct agent_state *s, const char *dir)
{
	struct error err = { "" };

	if (agent_state_make(s, dir, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		CHECK(false);
	}
	pin_something(s);
}

/* The names of everything that it made, for who looks whether it is still there. */
struct killed {
	const char *dir;
	struct agent_state state;
};

static void die(int fd, void *arg)
{
	const struct killed *k = arg;
	struct agent_state s;

	make(&s, k->dir);
	CHECK(write(fd, &s, sizeof(s)) == sizeof(s));
	kill(getpid(), SIGKILL);
}

static void kill_one(struct killed *k)
{
	struct worker w = worker_start(NULL, die, k);
	int status;

	assert_int_equal(read(w.fd, &k->state, sizeof(k->state)), sizeof(k->state));
	assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(w.fd);
	assert_true(exists(k->state.file) && exists(k->state.pin_dir));
}

static int count(void *ctx, const struct pinned *p)
{
	unsigned *n = ctx;

	n[p->alive]++;
	CHECK(p->n == 3);
	return 0;
}

/* So many pinned directories of the dead, and of those who live. */
static void check_pinned(unsigned dead, unsigned alive)
{
	unsigned n[2] = { 0, 0 };

	assert_int_equal(pinned_each(count, n), 0);
	assert_int_equal(n[false], dead);
	assert_int_equal(n[true], alive);
}

/* ---- from beginning to end ---- */

static void test_life(void **state)
{
	struct agent_state s, second;
	struct error err = { "" };
	char text[64];
	struct stat st;

	make(&s, DIR_A);
	snprintf(text, sizeof(text), "agent-%d-", (int)getpid());
	assert_memory_equal(s.id, text, strlen(text));
	assert_int_equal(strlen(s.id), strlen(text) + 8);
	assert_non_null(strstr(s.file, s.id));
	assert_non_null(strstr(s.pin_dir, s.id));
	assert_int_equal(stat(DIR_A, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	check_pinned(0, 1);
	/* One agent for each directory, and it is said who has it. */
	assert_int_equal(agent_state_make(&second, DIR_A, &err), -EBUSY);
	snprintf(text, sizeof(text), "(process %d)", (int)getpid());
	assert_non_null(strstr(err.text, text));
	assert_non_null(strstr(err.text, DIR_A));
	assert_int_equal(agent_state_remove(&second), 0);
	make(&second, DIR_B);
	assert_string_not_equal(s.id, second.id);
	assert_int_equal(agent_state_remove(&second), 0);
	assert_false(exists(DIR_B) || exists(second.file) || exists(second.pin_dir));
	check_pinned(0, 1);
	assert_int_equal(agent_state_remove(&s), 0);
	assert_false(exists(DIR_A) || exists(s.file) || exists(s.pin_dir));
	assert_int_equal(agent_state_remove(&s), 0);
}

/* Nobody but root may lead the way to what is in it; nor is what others put there removed. */
static void test_dir(void **state)
{
	struct error err = { "" };
	struct agent_state s;

	assert_int_equal(mkdir(DIR_A, 0777), 0);
	assert_int_equal(chmod(DIR_A, 0777), 0);
	assert_int_equal(agent_state_make(&s, DIR_A, &err), -EPERM);
	assert_non_null(strstr(err.text, "by others"));
	assert_int_equal(chmod(DIR_A, 0755), 0);
	assert_int_equal(chown(DIR_A, 1, 1), 0);
	assert_int_equal(agent_state_make(&s, DIR_A, &err), -EPERM);
	assert_int_equal(chown(DIR_A, 0, 0), 0);
	make(&s, DIR_A);
	assert_int_equal(mkdir(DIR_A "/theirs", 0700), 0);
	assert_int_equal(agent_state_remove(&s), 0);
	assert_true(exists(DIR_A "/theirs"));
	assert_false(exists(DIR_A "/" AGENT_STATE_LOCK));
	assert_int_equal(rmdir(DIR_A "/theirs"), 0);
	assert_int_equal(rmdir(DIR_A), 0);
	assert_int_equal(agent_state_make(&s, "/run/no/such", &err), -ENOENT);
	memset(s.dir, 'x', sizeof(s.dir));
	s.dir[0] = '/';
	s.dir[sizeof(s.dir) - 1] = '\0';
	{
		char longer[sizeof(s.dir) + 8];

		snprintf(longer, sizeof(longer), "%sxxxx", s.dir);
		assert_int_equal(agent_state_make(&s, longer, &err), -ENAMETOOLONG);
	}
	check_pinned(0, 0);
}

/* ---- one that was killed ---- */

/* The next one of that directory removes what it left when it has its own; those of others stay. */
static void test_taken_over(void **state)
{
	struct killed a = { .dir = DIR_A }, b = { .dir = DIR_B };
	struct agent_remains report;
	struct error err = { "" };
	struct agent_state s;

	assert_int_equal(mkdir(TREE, 0700), 0);
	kill_one(&a);
	kill_one(&b);
	check_pinned(2, 0);
	make(&s, DIR_A);
	check_pinned(2, 1);
	assert_int_equal(agent_state_cleanup(&s, &report, &err), 0);
	assert_int_equal(report.removed, 1);
	assert_int_equal(report.alive, 0);
	assert_false(exists(a.state.file) || exists(a.state.pin_dir));
	assert_true(exists(b.state.file) && exists(b.state.pin_dir));
	assert_true(exists(s.file) && exists(s.pin_dir));
	/* Whoever asks for it has all dead ones removed, and no other. */
	assert_int_equal(agent_state_cleanup(NULL, &report, &err), 0);
	assert_int_equal(report.removed, 1);
	assert_int_equal(report.alive, 1);
	check_pinned(0, 1);
	assert_int_equal(agent_state_remove(&s), 0);
	/* Neither where it was attached nor the directory of its state is its own. */
	assert_true(exists(TREE) && exists(DIR_B));
	assert_int_equal(agent_state_cleanup(NULL, &report, &err), 0);
	assert_int_equal(report.removed + report.alive, 0);
	rmdir(TREE);
}

/* One that was killed before its file was whole has pinned nothing, or it is found by its name. */
static void test_cut_short(void **state)
{
	static const char *const texts[] = { "", "/run/sta", DIR_A "\n/sys/fs", "\n\n" };
	struct killed a = { .dir = DIR_A };
	struct agent_remains report;
	struct error err = { "" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int fd;

		kill_one(&a);
		fd = open(a.state.file, O_WRONLY | O_TRUNC | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_true(write(fd, texts[i], strlen(texts[i])) == (ssize_t)strlen(texts[i]));
		close(fd);
		assert_int_equal(agent_state_cleanup(NULL, &report, &err), 0);
		assert_int_equal(report.removed, 1);
		assert_false(exists(a.state.file) || exists(a.state.pin_dir));
	}
	check_pinned(0, 0);
}

/* What somebody else wrote into the file leads nowhere else than to pins of that name. */
static void test_forged(void **state)
{
	struct killed a = { .dir = DIR_A };
	struct agent_remains report;
	struct error err = { "" };
	int fd;

	kill_one(&a);
	assert_int_equal(mkdir("/run/precious", 0700), 0);
	fd = open(a.state.file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	dprintf(fd, "%s\n/run/precious\n", DIR_A);
	close(fd);
	fd = open("/run/precious/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(agent_state_cleanup(NULL, &report, &err), 0);
	assert_true(exists("/run/precious/file"));
	assert_false(exists(a.state.pin_dir));
	check_pinned(0, 0);
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} cases[] = {
		{ "agent-12-0123abcd", true },
		{ "agent-12-0123abc", false },
		{ "agent-12-0123ABCD", false },
		{ "agent--0123abcd", false },
		{ "12-0123abcd", false },
		{ "agent-12-0123abcde", false },
		{ "agent", false },
		{ "lock", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dirent e = { .d_type = DT_REG };

		strcpy(e.d_name, cases[i].name);
		assert_int_equal(agent_state_is_file(&e), cases[i].is);
		e.d_type = DT_DIR;
		assert_false(agent_state_is_file(&e));
	}
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),	   cmocka_unit_test(test_dir),
		cmocka_unit_test(test_taken_over), cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_forged),	   cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
