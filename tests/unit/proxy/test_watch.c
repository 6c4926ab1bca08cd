/* SPDX-License-Identifier: Apache-2.0 */
/* What is noticed of files and directories that are watched, and what is not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "sluice/array.h"
#include "watch.h"

/* Runs in the place, as the shell does. */
static void run(const char *place, const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd %s && { %s; }", place, command);
	assert_int_equal(system(line), 0);
}

static void begin(char place[64])
{
	strcpy(place, "/tmp/test_watch.XXXXXX");
	assert_non_null(mkdtemp(place));
	run(place, "mkdir -p real/sub other secrets/team && echo 1 >real/p.yaml && "
		   "echo 1 >real/q.yaml && echo 1 >other/p.yaml && echo 1 >secrets/team/token && "
		   "ln -s real link && ln -s ../link/p.yaml other/far.yaml && "
		   "ln -s $PWD/link/../other/far.yaml farther && "
		   "ln -s loop2 loop1 && ln -s loop1 loop2");
}

static void end(const char *place)
{
	char line[128];

	snprintf(line, sizeof(line), "rm -r %s", place);
	assert_int_equal(system(line), 0);
}

/* PATH is below the place; "tree" is for the tree of secrets. */
static const struct {
	const char *path, *command;
	enum watch_news news;
} cases[] = {
	{ "real/p.yaml", "true", WATCH_NOTHING },
	{ "real/p.yaml", "cat real/p.yaml >/dev/null && ls real >/dev/null", WATCH_NOTHING },
	{ "real/p.yaml", "echo 2 >real/p.yaml", WATCH_SETTLED },
	{ "real/p.yaml", "exec 3>>real/p.yaml; echo 2 >&3; exec 3>&-", WATCH_SETTLED },
	{ "real/p.yaml", "touch real/p.yaml", WATCH_SETTLED },
	{ "real/p.yaml", "echo 2 >real/n && mv real/n real/p.yaml", WATCH_SETTLED },
	{ "real/p.yaml", "sed -i s/1/2/ real/p.yaml", WATCH_SETTLED },
	{ "real/p.yaml", "rm real/p.yaml", WATCH_SETTLED },
	{ "real/p.yaml", "ln real/p.yaml h && echo 2 >h", WATCH_SETTLED },
	{ "real/p.yaml", "echo 2 >real/q.yaml && echo 2 >real/new && rm real/new", WATCH_NOTHING },
	{ "real/p.yaml", "mv real away", WATCH_SETTLED },
	{ "real/p.yaml", "echo 2 >unrelated && mkdir real2 && rm unrelated", WATCH_NOTHING },
	{ "gone.yaml", "true", WATCH_NOTHING },
	{ "gone.yaml", "echo 1 >gone.yaml", WATCH_SETTLED },
	{ "gone.yaml", "ln -s real/p.yaml gone.yaml", WATCH_UNSETTLED },
	{ "gone/deep.yaml", "mkdir gone", WATCH_UNSETTLED },
	{ "link/p.yaml", "echo 2 >real/p.yaml", WATCH_SETTLED },
	{ "link/p.yaml", "ln -s other l && mv -T l link", WATCH_SETTLED },
	{ "link/p.yaml", "echo 2 >other/p.yaml", WATCH_NOTHING },
	{ "farther", "echo 2 >real/p.yaml", WATCH_SETTLED },
	{ "farther", "ln -sfn other link", WATCH_SETTLED },
	{ "farther", "rm other/far.yaml", WATCH_SETTLED },
	{ "farther", "echo 2 >real/n && mv real/n real/p.yaml", WATCH_SETTLED },
	{ "./real/../real//p.yaml", "echo 2 >real/p.yaml", WATCH_SETTLED },
	{ "loop1", "true", WATCH_NOTHING },
	{ "loop1", "ln -sfn real/p.yaml loop2", WATCH_SETTLED },
	{ "real", "echo 2 >real/q.yaml", WATCH_SETTLED },
	{ "real/", "echo 2 >real/new.yaml", WATCH_SETTLED },
	{ "real", "rm real/q.yaml", WATCH_SETTLED },
	{ "real", "mv real/q.yaml .", WATCH_SETTLED },
	{ "real", "echo 2 >real/sub/x", WATCH_NOTHING },
	{ "link", "echo 2 >real/q.yaml", WATCH_SETTLED },
	{ "other", "echo 2 >real/p.yaml", WATCH_SETTLED },
	{ "other", "ln -s nowhere l && mv -T l link", WATCH_SETTLED },
	{ "tree", "echo 2 >secrets/team/token", WATCH_SETTLED },
	{ "tree", "echo 2 >secrets/team/n && mv secrets/team/n secrets/team/token", WATCH_SETTLED },
	{ "tree", "rm -r secrets/team", WATCH_SETTLED },
	{ "tree", "mkdir secrets/new", WATCH_UNSETTLED },
	{ "tree", "echo 2 >real/p.yaml", WATCH_NOTHING },
};

static void set(struct watch *w, const char *place, const char *path)
{
	bool is_tree = strcmp(path, "tree") == 0;
	const char *file;
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", place, is_tree ? "secrets" : path);
	file = full;
	assert_int_equal(watch_set(w, &file, is_tree ? 0 : 1, is_tree ? full : NULL), 0);
}

static void test_news(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct watch *w = watch_new();
		enum watch_news news;
		char place[64];

		assert_non_null(w);
		begin(place);
		set(w, place, cases[i].path);
		run(place, cases[i].command);
		news = watch_read(w);
		if (news != cases[i].news)
			fail_msg("%s, %s: %d", cases[i].path, cases[i].command, news);
		/* And again, with what is there now. */
		set(w, place, cases[i].path);
		assert_int_equal(watch_read(w), WATCH_NOTHING);
		watch_free(w);
		end(place);
	}
}

static void test_relative(void **state)
{
	struct watch *w = watch_new();
	const char *file = "../real/p.yaml";
	char place[64], here[256], other[128];

	begin(place);
	assert_non_null(getcwd(here, sizeof(here)));
	snprintf(other, sizeof(other), "%s/other", place);
	assert_int_equal(chdir(other), 0);
	assert_int_equal(watch_set(w, &file, 1, NULL), 0);
	assert_int_equal(chdir(here), 0);
	run(place, "echo 2 >real/p.yaml");
	assert_int_equal(watch_read(w), WATCH_SETTLED);
	watch_free(w);
	end(place);
}

/* Who could change what is watched: a user of another number, in our group or not. */
static const struct {
	const char *path, *command;
	bool in_group, breaks;
} guarded[] = {
	{ "real/p.yaml", "true", false, false },
	{ "real/p.yaml", "true", true, false },
	{ "real/p.yaml", "chmod o+w real/p.yaml", false, true },
	{ "real/p.yaml", "chmod g+w real/p.yaml", false, false },
	{ "real/p.yaml", "chmod g+w real/p.yaml", true, true },
	{ "real/p.yaml", "chmod o+w real", false, true },
	{ "real/p.yaml", "chmod o+w,+t real", false, false }, /* the file is not the user's */
	{ "real/gone.yaml", "chmod o+w,+t real", false, true },
	{ "real/gone.yaml", "true", false, false },
	{ "real/p.yaml", "chmod o+w .", false, true },
	{ "real/p.yaml", "chmod o+w other", false, false },
	{ "farther", "chmod o+w other", false, true },
	{ "link/p.yaml", "chmod o+w real", false, true },
	{ "real", "chmod o+w,+t real", false, true }, /* but others could be added */
	{ "real", "chmod o+w real/q.yaml", false, true },
	{ "real", "chmod o+w real/sub", false, false },
	{ "tree", "chmod o+w secrets/team/token", false, true },
	{ "tree", "chmod o+w secrets/team", false, true },
	{ "tree", "chmod o+w real", false, false },
};

static void test_guard(void **state)
{
	gid_t group = getegid();

	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
		const struct watch_guard guard = { .uid = 12345,
						   .groups = &group,
						   .n_groups = guarded[i].in_group ? 1 : 0 };
		bool is_tree = strcmp(guarded[i].path, "tree") == 0;
		struct watch *w = watch_new();
		char place[64], full[256];
		const char *file = full;
		int r;

		begin(place);
		run(place, "chmod -R g-w,o-w .");
		run(place, guarded[i].command);
		snprintf(full, sizeof(full), "%s/%s", place, is_tree ? "secrets" : guarded[i].path);
		watch_guard(w, &guard);
		r = watch_set(w, &file, is_tree ? 0 : 1, is_tree ? full : NULL);
		if (r != (guarded[i].breaks ? -EPERM : 0))
			fail_msg("%s, %s: %d", guarded[i].path, guarded[i].command, r);
		watch_free(w);
		end(place);
	}
}

/* A lost watch is said; nothing else is lost with it. */
static void test_without_memory(void **state)
{
	char place[64], full[128];
	const char *file = full;
	bool happened = true;

	begin(place);
	snprintf(full, sizeof(full), "%s/real", place);
	for (unsigned n = 1; happened; n++) {
		struct watch *w;
		int r = -ENOMEM;

		fail_alloc_at(n);
		w = watch_new();
		if (w)
			r = watch_set(w, &file, 1, NULL);
		happened = fail_alloc_happened();
		fail_alloc_at(0);
		assert_true(happened || r == 0);
		watch_free(w);
	}
	end(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_news),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
