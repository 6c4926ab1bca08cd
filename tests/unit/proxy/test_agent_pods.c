/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent makes of what a container runtime tells: which list, when it is another, and that
 * a list never lacks what is held. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "count_loops.h"
#include "fail_alloc.h"
#include "pods_stage.h"
#include "sluice/array.h"

#define STEPS_MAX 4

static const struct {
	const char *name, *first, *next[STEPS_MAX], *list, *reloads;
} cases[] = {
	{ "told at the start", "a1 b2 .", { 0 }, "a1 b2", "" },
	{ "sorted", "b . a", { 0 }, "a b", "" },
	{ "one comes", "a1 .", { "b2" }, "a1 b2", "a1 b2;" },
	{ "two come at once", ".", { "a1 b2" }, "a1 b2", "a1 b2;" },
	{ "the same again", "a1 .", { "a1", "a1 ." }, "a1", "" },
	{ "another address", "a .", { "a1", "a2" }, "a2", "a1;a2;" },
	{ "one goes", "a1 b2 .", { "-a" }, "b2", "b2;" },
	{ "all go", "a1 .", { "-a" }, "", ";" },
	{ "one that was never told goes", "a1 .", { "-b" }, "a1", "" },
	{ "it comes and goes", "a1 .", { "b2 -b" }, "a1", "a1;" },
	{ "they stay while the runtime is away",
	  "@ a1 .",
	  { "~", "?", "@ .", "b2" },
	  "a1 b2",
	  "a1 b2;" },
	{ "cgroups that it does not tell any more", "a1 .", { "a2!" }, "a2", "a2;" },
	{ "no cgroups ever", "a1! .", { "a2!" }, "a2!", "a2!;" },
};

static void test_lists(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pods_stage s;

		print_message("%s\n", cases[i].name);
		pods_stage_begin(&s, cases[i].first);
		for (size_t n = 0; n < STEPS_MAX && cases[i].next[n]; n++)
			pods_stage_hear(&s, cases[i].next[n]);
		pods_stage_check_list(&s, cases[i].list);
		assert_string_equal(s.reloads, cases[i].reloads);
		assert_int_equal(s.made, 1);
		pods_stage_finish(&s);
	}
}

static void test_not_wanted(void **state)
{
	struct error err = { "" };
	struct pods_stage s;

	pods_stage_prepare(&s, "a1 .");
	s.config.pods.wanted = false;
	assert_int_equal(agent_pods_open(&s.a, &err), 0);
	agent_pods_begin(&s.a);
	agent_pods_hurry(&s.a);
	assert_int_equal(s.made, 0);
	assert_null(s.a.pods.list);
	pods_stage_finish(&s);
}

/* The agent starts without it, in time, and goes on when it answers. */
static void test_runtime_that_is_silent(void **state)
{
	struct error err = { "" };
	struct pods_stage s;

	pods_stage_prepare(&s, NULL);
	s.silent = true;
	assert_int_equal(agent_pods_open(&s.a, &err), 0);
	assert_int_equal(pods_stage_clock(), AGENT_PODS_WAIT_MS);
	assert_false(s.a.pods.synced);
	pods_stage_check_list(&s, "");
	s.silent = false;
	agent_pods_begin(&s.a);
	pods_stage_hear(&s, "@ a1 .");
	assert_true(s.a.pods.synced);
	assert_string_equal(s.a.pods.runtime, "fake 1.0");
	assert_string_equal(s.reloads, "a1;");
	pods_stage_finish(&s);
}

static void test_trouble_ends(void **state)
{
	struct pods_stage s;

	pods_stage_begin(&s, "@ a1 .");
	pods_stage_hear(&s, "~ ?");
	assert_string_equal(s.a.pods.trouble, "it is asleep");
	assert_false(s.a.pods.synced);
	pods_stage_hear(&s, "@ .");
	assert_string_equal(s.a.pods.trouble, "");
	assert_true(s.a.pods.synced);
	assert_string_equal(s.reloads, "");
	pods_stage_finish(&s);
}

/* Bytes that come make the client read, also when nothing else is due. */
static void test_descriptor_wakes(void **state)
{
	struct pods_stage s;

	pods_stage_begin(&s, "@ .");
	pods_stage_settle(&s);
	s.tells = "a1";
	assert_int_equal(write(s.line[1], "!", 1), 1);
	while (s.tells)
		uv_run(&s.a.loop, UV_RUN_ONCE);
	pods_stage_check_list(&s, "a1");
	s.silent = false;
	agent_pods_hurry(&s.a);
	/* Closed by the client afterwards: it must not be looked at any more. */
	pods_stage_hear(&s, "~");
	s.tells = "b2";
	s.silent = true;
	assert_int_equal(write(s.line[1], "!", 1), 1);
	for (int i = 0; i < 3; i++)
		uv_run(&s.a.loop, UV_RUN_NOWAIT);
	assert_string_equal(s.tells, "b2");
	pods_stage_finish(&s);
}

/* Somebody's cgroup is there that no pod has: asked at once, and not for ever. */
static void test_unknown_cgroup(void **state)
{
	struct pods_stage s;

	pods_stage_begin(&s, "a1 .");
	pods_stage_hear(&s, ".");
	agent_pods_hurry(&s.a);
	pods_stage_hear(&s, ".");
	assert_int_equal(s.asked, 0); /* since there is none */
	s.entry.kind = AGENT_UNKNOWN_POD;
	s.a.plan->entries = &s.entry;
	s.a.plan->n_entries = 1;
	s.a.workloads = &s.workload;
	pods_stage_clock_on(AGENT_PODS_EAGER_MS);
	pods_stage_settle(&s);
	assert_int_equal(s.asked, 0);
	agent_pods_hurry(&s.a);
	uv_run(&s.a.loop, UV_RUN_NOWAIT);
	assert_true(s.asked > 0);
	s.silent = false;
	agent_pods_hurry(&s.a);
	pods_stage_clock_on(AGENT_PODS_EAGER_MS);
	s.asked = 0;
	pods_stage_hear(&s, ".");
	assert_int_equal(s.asked, 0);
	agent_pods_hurry(&s.a);
	s.workload.state = AGENT_WORKLOAD_GONE;
	pods_stage_hear(&s, ".");
	assert_int_equal(s.asked, 0);
	pods_stage_finish(&s);
}

static bool is_listed(const struct pods_stage *s, const char *name)
{
	for (size_t i = 0; i < s->a.pods.list->n; i++)
		if (strcmp(s->a.pods.list->items[i]->name, name) == 0)
			return true;
	return false;
}

/* It may lack what has come, but nothing else. */
static void check_kept(const struct pods_stage *s, unsigned n)
{
	if (!is_listed(s, "a") || !is_listed(s, "b"))
		fail_msg("allocation %u: one is lost of %zu", n, s->a.pods.list->n);
}

/* Is there an allocation number N while WORDS are told? It fails. */
static bool hear_without(struct pods_stage *s, unsigned n, const char *words)
{
	bool happened;

	fail_alloc_at(n);
	pods_stage_hear(s, words);
	happened = fail_alloc_happened();
	fail_alloc_at(0);
	check_kept(s, n);
	return happened;
}

/* Without memory for what is told, all is asked for anew; until then the list is what it was, and
 * a pod whose cgroups the runtime does not tell any more keeps them. */
static void test_out_of_memory(void **state)
{
	bool happened = true;

	for (unsigned n = 1; happened; n++) {
		struct pods_stage s;

		pods_stage_begin(&s, "@ a1 b2 .");
		happened = hear_without(&s, n, "a3! c4");
		if (happened) {
			pods_stage_hear(&s, "@ a3!");
			check_kept(&s, n);
			pods_stage_hear(&s, "b2 c4 .");
		}
		pods_stage_hear(&s, ".");
		pods_stage_check_list(&s, "a3 b2 c4");
		assert_false(s.a.pods.lacking);
		pods_stage_finish(&s);
	}
}

/* Nor for a new client, or for what that is told. */
static void test_out_of_memory_again(void **state)
{
	bool happened = true;

	for (unsigned n = 1; happened; n++) {
		struct pods_stage s;

		pods_stage_begin(&s, "@ a1 b2 .");
		assert_true(hear_without(&s, 1, "c4"));
		happened = hear_without(&s, n, "@ a3!");
		pods_stage_hear(&s, "@ a3! b2");
		check_kept(&s, n);
		pods_stage_hear(&s, "c4 .");
		pods_stage_check_list(&s, "a3 b2 c4");
		assert_int_equal(s.made, happened && n > 1 ? 3 : 2);
		pods_stage_finish(&s);
	}
}

static void test_all_are_gone_when_asked_anew(void **state)
{
	struct pods_stage s;

	pods_stage_begin(&s, "@ a1 b2 .");
	fail_alloc_at(1);
	pods_stage_hear(&s, "c3");
	assert_true(fail_alloc_happened());
	pods_stage_check_list(&s, "a1 b2");
	pods_stage_hear(&s, "@ .");
	pods_stage_check_list(&s, "");
	assert_int_equal(s.made, 2);
	pods_stage_finish(&s);
}

/* And nothing is left when there is none at the start; or it goes on, and is told again. */
static void test_out_of_memory_at_the_start(void **state)
{
	unsigned descriptors = count_descriptors_with_loops(), failed = 0;
	bool happened = true;

	for (unsigned n = 1; happened; n++) {
		struct error err = { "" };
		struct pods_stage s;
		int r;

		pods_stage_prepare(&s, "@ a1 .");
		fail_alloc_at(n);
		r = agent_pods_open(&s.a, &err);
		happened = fail_alloc_happened();
		fail_alloc_at(0);
		failed += r < 0;
		assert_true(r == 0 || (r == -ENOMEM && err.text[0]));
		if (r == 0) {
			agent_pods_begin(&s.a);
			pods_stage_hear(&s, "@ a1 .");
			pods_stage_check_list(&s, "a1");
		}
		pods_stage_finish(&s);
		assert_int_equal(count_descriptors(), descriptors);
	}
	assert_true(failed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_not_wanted),
		cmocka_unit_test(test_runtime_that_is_silent),
		cmocka_unit_test(test_trouble_ends),
		cmocka_unit_test(test_descriptor_wakes),
		cmocka_unit_test(test_unknown_cgroup),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_out_of_memory_again),
		cmocka_unit_test(test_all_are_gone_when_asked_anew),
		cmocka_unit_test(test_out_of_memory_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
