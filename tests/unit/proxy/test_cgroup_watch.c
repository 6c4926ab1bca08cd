/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups that come and go, in a plain tree where that is enough, and in the real one. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "cgroup.h"
#include "cgroup_watch.h"
#include "fail_alloc.h"
#include "sluice/array.h"

#define MANY	1000
#define WAIT_MS 5000

/* A tree in memory, where no inode comes twice, as among cgroups; who watches it, and what was
 * told: "+path#pattern " and "-path ". */
struct scene {
	char root[CGROUP_PATH_MAX];
	struct cgroup_watch *watch;
	char told[4096];
	unsigned appeared, vanished, changed;
	uint64_t id;
};

static void tell(struct scene *s, const char *text)
{
	if (strlen(s->told) + strlen(text) < sizeof(s->told))
		strcat(s->told, text);
}

static void on_appeared(void *ctx, struct cgroup_found *f)
{
	struct scene *s = ctx;
	char text[256];

	snprintf(text, sizeof(text), "+%s#%zu ", f->path, f->pattern);
	tell(s, text);
	assert_null(f->data);
	assert_true(f->id != 0);
	f->data = s;
	s->id = f->id;
	s->appeared++;
}

static void on_vanished(void *ctx, struct cgroup_found *f)
{
	struct scene *s = ctx;
	char text[256];

	assert_ptr_equal(f->data, s);
	snprintf(text, sizeof(text), "-%s ", f->path);
	tell(s, text);
	s->vanished++;
}

static void on_changed(void *ctx, struct cgroup_found *f)
{
	struct scene *s = ctx;

	assert_ptr_equal(f->data, s);
	s->changed++;
}

static const struct cgroup_watch_host host = { on_appeared, on_vanished, on_changed };

static void scene_tree(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	strcpy(s->root, "/dev/shm/test_cgroup_watch.XXXXXX");
	assert_non_null(mkdtemp(s->root));
}

static void scene_watch(struct scene *s, const char *const *patterns, size_t n)
{
	assert_int_equal(cgroup_watch_open(s->root, patterns, n, &host, s, &s->watch), 0);
	assert_int_equal(cgroup_watch_scan(s->watch), 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return remove(path);
}

static void scene_done(struct scene *s)
{
	cgroup_watch_close(s->watch);
	nftw(s->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make(const struct scene *s, const char *name)
{
	char path[CGROUP_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s%s", s->root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void unmake(const struct scene *s, const char *name)
{
	char path[CGROUP_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s%s", s->root, name);
	assert_int_equal(rmdir(path), 0);
}

static void step(struct scene *s, const char *what)
{
	if (what[0] == '+')
		make(s, what + 1);
	else if (what[0] == '-')
		unmake(s, what + 1);
	else
		assert_int_equal(cgroup_watch_read(s->watch), 0);
}

/* Steps: "+dir" and "-dir" change the tree, "" lets it be read. */
static const struct {
	const char *patterns[4], *before[8], *steps[16], *told;
	size_t watches; /* in the end */
} cases[] = {
	{ { "/a" }, { "/a" }, { "" }, "+/a#0 ", 1 },
	{ { "/a" }, { NULL }, { "+/a", "" }, "+/a#0 ", 1 },
	{ { "/a" }, { NULL }, { "+/b", "+/a", "", "-/a", "" }, "+/a#0 -/a ", 1 },
	/* Made again by the same name between two looks: another one. */
	{ { "/a" }, { "/a" }, { "-/a", "+/a", "" }, "+/a#0 -/a +/a#0 ", 1 },
	/* Come and gone. */
	{ { "/a" }, { NULL }, { "+/a", "-/a", "" }, "", 1 },
	/* What appears within what has just appeared. */
	{ { "/a/*/c" }, { NULL }, { "+/a", "+/a/b", "+/a/b/c", "" }, "+/a/b/c#0 ", 3 },
	{ { "/a/*/c" }, { "/a", "/a/b" }, { "+/a/b/c", "" }, "+/a/b/c#0 ", 3 },
	{ { "/a/*/c" },
	  { "/a", "/a/b", "/a/b/c" },
	  { "-/a/b/c", "-/a/b", "-/a", "" },
	  "+/a/b/c#0 -/a/b/c ",
	  1 },
	/* The first one that stands for it. */
	{ { "/*.service", "/web.*" }, { "/web.service" }, { "" }, "+/web.service#0 ", 1 },
	{ { "/web.*", "/*.service" },
	  { NULL },
	  { "+/a.service", "+/web.service", "" },
	  "+/a.service#1 +/web.service#0 ",
	  1 },
	/* A workload within a workload. */
	{ { "/a", "/a/*" }, { NULL }, { "+/a", "+/a/b", "" }, "+/a#0 +/a/b#1 ", 2 },
	{ { "/a", "/a/*" },
	  { "/a", "/a/b" },
	  { "-/a/b", "-/a", "" },
	  "+/a#0 +/a/b#1 -/a/b -/a ",
	  1 },
	{ { NULL }, { "/a" }, { "+/b", "" }, "", 0 },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene s;
		size_t n = 0;

		scene_tree(&s);
		while (n < 4 && cases[i].patterns[n])
			n++;
		for (size_t j = 0; cases[i].before[j]; j++)
			make(&s, cases[i].before[j]);
		scene_watch(&s, cases[i].patterns, n);
		for (size_t j = 0; cases[i].steps[j]; j++)
			step(&s, cases[i].steps[j]);
		if (strcmp(s.told, cases[i].told) != 0 ||
		    cgroup_watch_count(s.watch) != cases[i].watches)
			fail_msg("case %zu: \"%s\", %zu watches", i, s.told,
				 cgroup_watch_count(s.watch));
		scene_done(&s);
	}
}

/* A pattern may also be written as the path below the mount. */
static void test_below_root(void **state)
{
	struct scene s;
	char *pattern;

	scene_tree(&s);
	make(&s, "/a");
	assert_true(asprintf(&pattern, "%s/*", s.root) > 0);
	scene_watch(&s, (const char *const[]){ pattern }, 1);
	assert_string_equal(s.told, "+/a#0 ");
	free(pattern);
	scene_done(&s);
}

/* A scan finds what no event has told, and tells nothing twice. */
static void test_scan(void **state)
{
	struct scene s;

	scene_tree(&s);
	scene_watch(&s, (const char *const[]){ "/*/b" }, 1);
	make(&s, "/a");
	make(&s, "/a/b");
	assert_int_equal(cgroup_watch_scan(s.watch), 0);
	assert_int_equal(cgroup_watch_scan(s.watch), 0);
	assert_int_equal(cgroup_watch_read(s.watch), 0);
	unmake(&s, "/a/b");
	assert_int_equal(cgroup_watch_scan(s.watch), 0);
	assert_int_equal(cgroup_watch_read(s.watch), 0);
	assert_string_equal(s.told, "+/a/b#0 -/a/b ");
	scene_done(&s);
}

/* More events than the queue holds: all are found, none is left. */
static void test_many(void **state)
{
	struct scene s;
	char name[32];

	scene_tree(&s);
	make(&s, "/all");
	scene_watch(&s, (const char *const[]){ "/all/*" }, 1);
	for (int round = 0; round < 20; round++) { /* 20,000 events in all, 16,384 are kept */
		for (int i = 0; i < MANY; i++) {
			snprintf(name, sizeof(name), "/all/%d", i);
			make(&s, name);
			if (round < 19)
				unmake(&s, name);
		}
	}
	assert_int_equal(cgroup_watch_read(s.watch), 0);
	assert_int_equal(s.appeared - s.vanished, MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "/all/%d", i);
		unmake(&s, name);
	}
	assert_int_equal(cgroup_watch_read(s.watch), 0);
	assert_int_equal(s.appeared, s.vanished);
	assert_int_equal(cgroup_watch_count(s.watch), 2);
	scene_done(&s);
}

/* What there was no memory for is found by a later scan. */
static void test_no_memory(void **state)
{
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct scene s;
		int r;

		scene_tree(&s);
		make(&s, "/a");
		make(&s, "/a/b");
		scene_watch(&s, (const char *const[]){ "/none" }, 1);
		cgroup_watch_close(s.watch);
		s.watch = NULL;
		fail_alloc_at(n);
		r = cgroup_watch_open(s.root, (const char *const[]){ "/a/*" }, 1, &host, &s,
				      &s.watch);
		if (r == 0)
			r = cgroup_watch_scan(s.watch);
		failed = fail_alloc_happened();
		fail_alloc_at(0);
		assert_int_equal(r, failed ? -ENOMEM : 0);
		if (s.watch) {
			assert_int_equal(cgroup_watch_scan(s.watch), 0);
			assert_string_equal(s.told, "+/a/b#0 ");
		}
		scene_done(&s);
	}
}

/* Without descriptors nothing is taken for gone. */
static void test_no_descriptors(void **state)
{
	struct rlimit all, none;
	struct scene s;

	scene_tree(&s);
	make(&s, "/a");
	make(&s, "/a/b");
	scene_watch(&s, (const char *const[]){ "/a/*" }, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){ 0, all.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(cgroup_watch_scan(s.watch), -EMFILE);
	make(&s, "/a/c");
	assert_int_equal(cgroup_watch_read(s.watch), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_string_equal(s.told, "+/a/b#0 ");
	assert_int_equal(cgroup_watch_scan(s.watch), 0);
	assert_string_equal(s.told, "+/a/b#0 +/a/c#0 ");
	scene_done(&s);
}

/* Other patterns: everything is told anew, of what was nothing. */
static void test_other_patterns(void **state)
{
	struct scene s;

	scene_tree(&s);
	make(&s, "/a");
	make(&s, "/b");
	scene_watch(&s, (const char *const[]){ "/a", "/b" }, 2);
	assert_int_equal(cgroup_watch_set(s.watch, (const char *const[]){ "/c", "/b" }, 2), 0);
	assert_int_equal(cgroup_watch_scan(s.watch), 0);
	unmake(&s, "/a");
	make(&s, "/c");
	assert_int_equal(cgroup_watch_read(s.watch), 0);
	assert_non_null(strstr(s.told, " +/b#1 +/c#0 "));
	assert_int_equal(s.appeared, 4);
	assert_int_equal(s.vanished, 0);
	scene_done(&s);
}

/* ---- the real tree ---- */

static void wait_for(struct scene *s, const unsigned *count, unsigned n)
{
	while (*count < n) {
		struct pollfd p = { .fd = cgroup_watch_fd(s->watch), .events = POLLIN };

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_int_equal(cgroup_watch_read(s->watch), 0);
	}
}

static pid_t live_in(const struct cgroup *cg)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (cgroup_enter(cg) == 0)
			pause();
		_exit(1);
	}
	return pid;
}

static void test_real(void **state)
{
	struct scene s = { .watch = NULL };
	struct cgroup top, cg = { .fd = -1 };
	struct error err;
	char name[64], path[CGROUP_PATH_MAX + 16];
	pid_t pid;

	snprintf(name, sizeof(name), "test-cgroup-watch-%d", (int)getpid());
	if (cgroup_make(&top, name, &err) < 0)
		skip(); /* not root */
	strcpy(s.root, top.path);
	scene_watch(&s, (const char *const[]){ "/w*" }, 1);
	snprintf(path, sizeof(path), "%s/w1", top.path);
	assert_int_equal(mkdir(path, 0755), 0);
	wait_for(&s, &s.appeared, 1);
	assert_int_equal(cgroup_open(&cg, path, &err), 0);
	assert_true(s.id == cgroup_id(&cg));
	assert_int_equal(cgroup_watch_count(s.watch), 2);
	pid = live_in(&cg);
	wait_for(&s, &s.changed, 1);
	assert_int_equal(cgroup_populated(&cg), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	wait_for(&s, &s.changed, 2);
	assert_int_equal(cgroup_remove(&cg), 0);
	wait_for(&s, &s.vanished, 1);
	assert_int_equal(cgroup_watch_count(s.watch), 1);
	cgroup_watch_close(s.watch);
	assert_int_equal(cgroup_remove(&top), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	       cmocka_unit_test(test_below_root),
		cmocka_unit_test(test_scan),	       cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_memory),      cmocka_unit_test(test_real),
		cmocka_unit_test(test_no_descriptors), cmocka_unit_test(test_other_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
