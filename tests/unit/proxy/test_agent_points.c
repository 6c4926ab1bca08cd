/* SPDX-License-Identifier: Apache-2.0 */
/* To which directories of the tree the agent attaches its programs, as directories and plans come
 * and go. The tree is one of the test's own, the kernel that of fake_steer.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent_parts.h"
#include "fail_alloc.h"
#include "fake_steer.h"
#include "sluice/array.h"

#define PATTERNS_MAX 4

struct stage {
	struct agent a;
	struct agent_plan plan;
	const char *patterns[PATTERNS_MAX];
	struct steer steer;
	unsigned retries, adoptions;
};

/* ---- in place of the cgroups of a kernel, and of the agent's timer ---- */

uint64_t cgroup_id(const struct cgroup *cg)
{
	struct stat st;

	return fstat(cg->fd, &st) < 0 ? 0 : st.st_ino;
}

void cgroup_done(struct cgroup *cg)
{
	if (cg->fd >= 0)
		close(cg->fd);
	cg->fd = -1;
}

void agent_retry(struct agent *a)
{
	((struct stage *)a)->retries++;
}

void agent_netns_let_in(struct agent *a)
{
}

void agent_adopt(struct agent *a)
{
	((struct stage *)a)->adoptions++;
}

/* ---- the stage ---- */

static void run(const struct stage *s, const char *command)
{
	char line[CGROUP_PATH_MAX + 1024];

	snprintf(line, sizeof(line), "cd %s && { %s; }", s->a.tree, command);
	assert_int_equal(system(line), 0);
}

static void set_patterns(struct stage *s, const char *const *patterns)
{
	s->plan.n_patterns = 0;
	for (; *patterns; patterns++)
		s->patterns[s->plan.n_patterns++] = *patterns;
}

static void begin(struct stage *s, const char *command, const char *const *patterns)
{
	memset(s, 0, sizeof(*s));
	strcpy(s->a.tree, "/tmp/test_agent_points.XXXXXX");
	assert_non_null(mkdtemp(s->a.tree));
	run(s, command);
	s->plan.patterns = s->patterns;
	s->a.plan = &s->plan;
	s->a.steer = &s->steer;
	set_patterns(s, patterns);
}

static void end(struct stage *s)
{
	char line[CGROUP_PATH_MAX + 16];

	agent_points_close(&s->a);
	assert_int_equal(s->steer.n_attached, 0);
	snprintf(line, sizeof(line), "rm -r %s", s->a.tree);
	assert_int_equal(system(line), 0);
}

/* Exactly these are attached to; "" is the root of the tree. */
static void check(const struct stage *s, const char *const *want)
{
	char path[CGROUP_PATH_MAX + 64];
	unsigned n = 0;
	struct stat st;

	for (; want[n]; n++) {
		bool found = false;

		snprintf(path, sizeof(path), "%s%s", s->a.tree, want[n]);
		assert_int_equal(stat(path, &st), 0);
		for (unsigned i = 0; i < s->steer.n_attached; i++)
			found |= s->steer.attached[i] == st.st_ino;
		if (!found)
			fail_msg("not attached to \"%s\"", want[n]);
	}
	assert_int_equal(s->steer.n_attached, n);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- where ---- */

static const struct {
	const char *tree;
	const char *patterns[PATTERNS_MAX];
	const char *want[PATTERNS_MAX];
} cases[] = {
	{ "mkdir -p pods/a", { "/pods/*" }, { "/pods" } },
	{ "mkdir -p pods/a", { "/pods/a" }, { "/pods" } }, /* it may be made anew */
	{ "mkdir -p web", { "/web" }, { "/web" } },	   /* rather than the root */
	{ "true", { "/web" }, { "" } },			   /* there is nothing else */
	{ "true", { "/*" }, { "" } },
	{ "mkdir -p a/b", { "/a/b/c/d-*/e" }, { "/a/b" } }, /* the deepest that is there */
	{ "mkdir -p a b", { "/a/*", "/b/x" }, { "/a", "/b" } },
	{ "mkdir -p a/b/c", { "/a/*", "/a/b/*" }, { "/a" } },	   /* nested ones once */
	{ "mkdir -p a/b/c", { "/a/b/*", "/a/*" }, { "/a" } },	   /* in whatever order */
	{ "mkdir -p a ab", { "/a/*", "/ab/*" }, { "/a", "/ab" } }, /* no prefix of a name */
	{ "mkdir -p a/b", { "/a/b/*", "/a/b/x" }, { "/a/b" } },
};

static void test_where(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = { "" };
		struct stage s;

		begin(&s, cases[i].tree, cases[i].patterns);
		assert_int_equal(agent_points_attach(&s.a, &err), 0);
		check(&s, cases[i].want);
		agent_points_tidy(&s.a);
		check(&s, cases[i].want);
		end(&s);
	}
}

/* ---- as they change ---- */

/* Who is not needed any more goes when somebody tidies up: after the others have come. */
static void test_other_plan(void **state)
{
	struct error err = { "" };
	struct stage s;

	begin(&s, "mkdir -p a b", LIST("/a/*"));
	assert_int_equal(agent_points_attach(&s.a, &err), 0);
	assert_int_equal(s.adoptions, 0); /* of all at once, by whoever begins */
	s.a.attached = true;
	set_patterns(&s, LIST("/b/*"));
	agent_points_attach_again(&s.a);
	assert_false(s.a.unattached);
	check(&s, LIST("/a", "/b"));
	agent_points_tidy(&s.a);
	check(&s, LIST("/b"));
	set_patterns(&s, LIST("/*"));
	agent_points_attach_again(&s.a);
	check(&s, LIST(""));
	assert_int_equal(s.steer.n_attaches, 3);
	assert_int_equal(s.adoptions, 2);
	end(&s);
}

/* A directory of the same name that was made anew is another one. */
static void test_made_anew(void **state)
{
	struct error err = { "" };
	struct stage s;

	begin(&s, "mkdir -p a/b keep", LIST("/a/b/*"));
	assert_int_equal(agent_points_attach(&s.a, &err), 0);
	run(&s, "mv a/b keep/ && mkdir a/b");
	assert_int_equal(agent_points_cover(&s.a, s.patterns[0], "/a/b/c", &err), 0);
	check(&s, LIST("/a/b"));
	assert_int_equal(agent_points_cover(&s.a, s.patterns[0], "/a/b/d", &err), 0);
	assert_int_equal(s.steer.n_attaches, 2);
	run(&s, "mv a/b keep/c");
	agent_points_tidy(&s.a);
	assert_int_equal(s.steer.n_attached, 0);
	assert_int_equal(agent_points_cover(&s.a, s.patterns[0], "/a/b/c", &err), 0);
	check(&s, LIST("/a"));
	end(&s);
}

/* What cannot be attached to is said and tried again, and nothing is let go of for it. */
static void test_failures(void **state)
{
	struct error err = { "" };
	struct stage s;
	unsigned n = 0;

	begin(&s, "mkdir -p a b", LIST("/a/*"));
	while (fail_alloc_at(n + 1), agent_points_attach(&s.a, &err) < 0) {
		assert_int_equal(s.steer.n_attached, 0);
		n++;
	}
	fail_alloc_at(0);
	assert_int_equal(n, 2); /* the path, the point */
	s.steer.attach_result = -EPERM;
	set_patterns(&s, LIST("/a/*", "/b/*"));
	assert_int_equal(agent_points_attach(&s.a, &err), -EPERM);
	assert_string_equal(err.text, "no attachment");
	s.a.said_unattached = true;
	agent_points_attach_again(&s.a);
	assert_true(s.a.unattached);
	assert_int_equal(s.retries, 1);
	check(&s, LIST("/a"));
	s.steer.attach_result = 0;
	agent_points_attach_again(&s.a);
	assert_false(s.a.unattached);
	check(&s, LIST("/a", "/b"));
	end(&s);
}

/* A point that cannot be had takes neither those after it nor those of before away. */
static void test_failure_lets_nobody_go(void **state)
{
	struct error err = { "" };
	struct stage s;

	begin(&s, "mkdir -p a b c d", LIST("/a/*", "/d/*"));
	assert_int_equal(agent_points_attach(&s.a, &err), 0);
	set_patterns(&s, LIST("/b/*", "/a/*", "/c/*"));
	s.a.said_unattached = true;
	fail_alloc_at(1);
	agent_points_attach_again(&s.a);
	fail_alloc_at(0);
	assert_true(s.a.unattached);
	agent_points_tidy(&s.a);
	check(&s, LIST("/a", "/c", "/d"));
	agent_points_attach_again(&s.a);
	assert_false(s.a.unattached);
	agent_points_tidy(&s.a);
	check(&s, LIST("/a", "/b", "/c"));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_other_plan),
		cmocka_unit_test(test_made_anew),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_failure_lets_nobody_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
