/* SPDX-License-Identifier: Apache-2.0 */
/* Several workloads in one worker: each is judged by its own policy, counts for itself, and what
 * changes for one is nothing to the others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "conn.h"
#include "fail_alloc.h"
#include "relay_talk.h"
#include "sluice/array.h"
#include "worker_pair.h"

#define PER_SCENE 20

static void test_own_policy(void **state)
{
	struct scene s;
	struct pair a, b;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	b = pair_meet(&s, OTHER);
	pair_check_passes(&s, a, GET("/other"));
	pair_check_denied(&s, a, GET("/deny"));
	pair_check_passes(&s, b, GET("/deny"));
	pair_check_denied(&s, b, GET("/other"));
	pair_part(a);
	pair_part(b);
	scene_end(&s);
}

/* All workloads of a worker share what judging needs; without memory for it nothing is judged and
 * the connection ends, and who was judged before gets it anew. */
static void test_without_scratch(void **state)
{
	struct policy *policy;
	struct pair a, b;
	struct scene s;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	b = pair_meet(&s, OTHER);
	assert_null(s.worker->judge);
	pair_check_passes(&s, a, GET("/x"));
	policy = workload_find(&s.worker->workloads, OTHER)->policy;
	policy->no_scratch = true;
	scene_say(&s, b.client, GET("/x"));
	pair_check_ended(&s, b);
	assert_int_equal(s.worker->metrics.closed[CLOSE_OOM], 1);
	assert_null(s.worker->judge);
	b = pair_meet(&s, OTHER);
	pair_check_passes(&s, a, GET("/x"));
	pair_check_denied(&s, a, GET("/deny"));
	policy->no_scratch = false;
	pair_check_passes(&s, b, GET("/x"));
	pair_check_denied(&s, b, GET("/other"));
	pair_check_passes(&s, a, GET("/x"));
	pair_part(a);
	pair_part(b);
	scene_end(&s);
}

/* Its connections are not even looked at. */
static void test_untouched(void **state)
{
	struct pair mine[PER_SCENE], other[PER_SCENE];
	struct workload *wl;
	struct scene s;
	unsigned n = 0;

	pair_begin(&s);
	for (int i = 0; i < PER_SCENE; i++) {
		mine[i] = pair_meet(&s, SCENE_WORKLOAD);
		other[i] = pair_meet(&s, OTHER);
		scene_say(&s, mine[i].client, GET("/x"));
		scene_hear(&s, mine[i].server, GET("/x"));
		scene_say(&s, other[i].client, GET("/x"));
		scene_hear(&s, other[i].server, GET("/x"));
	}
	wl = workload_find(&s.worker->workloads, OTHER);
	for (struct conn *c = wl->conns; c; c = workload_next_conn(c), n++)
		assert_int_equal(c->policy_generation, 1);
	assert_int_equal(n, PER_SCENE);
	scene_change(&s, fake_policy_new(L4_STEER, "/x"));
	assert_int_equal(atomic_load(&s.worker->ended), PER_SCENE);
	assert_int_equal(wl->policy_generation, 1);
	for (int i = 0; i < PER_SCENE; i++) {
		pair_check_ended(&s, mine[i]);
		scene_say(&s, other[i].server, OK("1", "1"));
		scene_hear(&s, other[i].client, OK("1", "1"));
		pair_part(other[i]);
	}
	scene_end(&s);
}

/* Whoever comes in a name that is not known is reset, counted and reported. */
static void test_unknown(void **state)
{
	static const uint64_t names[] = { UNKNOWN, SAME_SLOT, SAME_PLACE, 1, UINT64_MAX };
	struct scene s;

	pair_begin(&s);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		pair_check_refused(&s, names[i], i + 1);
	assert_int_equal(s.worker->metrics.opened, 0);
	assert_int_equal(s.worker->reporter.denials.n, 1);
	assert_non_null(strstr(s.worker->reporter.denials.entries[0].text, "workload"));
	scene_end(&s);
}

static void check_summary(struct scene *s, const char *const *lines, unsigned n)
{
	struct denials sum = { 0 };

	worker_merge_denials(s->worker, &sum);
	assert_int_equal(sum.n, n);
	for (unsigned i = 0; i < n; i++)
		assert_non_null(strstr(sum.entries[i].text, lines[i]));
	denials_done(&sum);
}

/* Each denial is told with the name of its workload, also when that is gone. */
static void test_summary(void **state)
{
	static const char *const before[] = { "GET http://h/deny: ",
					      "shop/other: GET http://h/other: " };
	static const char *const after[] = { "shop/other: GET http://h/other: ",
					     "GET http://h/deny: ",
					     "shop/new: GET http://h/new: " };
	struct worker_changes *changes = worker_changes_new();
	struct pair a, b;
	struct scene s;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	b = pair_meet(&s, OTHER);
	pair_check_denied(&s, a, GET("/deny"));
	pair_check_denied(&s, b, GET("/other"));
	pair_check_denied(&s, b, GET("/other"));
	assert_int_equal(s.worker->reporter.denials.n, 0);
	assert_int_equal(scene_workload(&s)->reporter.denials.n, 1);
	check_summary(&s, before, ARRAY_SIZE(before));
	assert_int_equal(worker_changes_remove_workload(changes, OTHER), 0);
	pair_set_policy(changes, UNKNOWN, "/new");
	scene_post(&s, changes);
	pair_check_ended(&s, b);
	b = pair_meet(&s, UNKNOWN);
	pair_check_denied(&s, b, GET("/new"));
	/* That its connection was ended is told with the rest of what is gone. */
	assert_int_equal(s.worker->reporter.denials.n, 2);
	s.worker->reporter.denials.n = 1;
	check_summary(&s, after, ARRAY_SIZE(after));
	s.worker->reporter.denials.n = 2;
	pair_part(a);
	pair_part(b);
	scene_end(&s);
}

static void ask(struct scene *s, struct worker_question *q)
{
	struct worker_changes *changes = worker_changes_new();

	*q = (struct worker_question){ .result = 0 };
	assert_int_equal(worker_changes_ask(changes, q), 0);
	worker_post(s->worker, changes, 0);
	for (unsigned turn = 0; !atomic_load(&q->answered); turn++) {
		assert_true(scene_may_wait(s, turn));
		scene_turn(s, -1, 0);
	}
}

static void check_counts(const struct tally *t, uint64_t workload, unsigned open, unsigned allowed,
			 unsigned denied)
{
	const struct workload_tally *wl = tally_find(t, workload);

	assert_non_null(wl);
	assert_int_equal(wl->metrics.open, open);
	assert_int_equal(wl->metrics.requests_allowed, allowed);
	assert_int_equal(wl->metrics.requests_denied, denied);
	assert_int_equal(wl->denials.n, denied > 0);
	if (denied == 0)
		return;
	assert_int_equal(wl->denials.entries[0].denied, denied);
	assert_string_equal(wl->denials.entries[0].policy, "fake");
}

/* Each workload has its own, the worker has all, and nobody waits for a serial. */
static void test_counts(void **state)
{
	struct worker_question q;
	struct pair a, b;
	struct scene s;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	b = pair_meet(&s, OTHER);
	pair_check_passes(&s, a, GET("/other"));
	pair_check_passes(&s, b, GET("/deny"));
	pair_check_passes(&s, b, GET("/deny"));
	for (int i = 0; i < 3; i++)
		pair_check_denied(&s, b, GET("/other"));
	ask(&s, &q);
	assert_int_equal(q.result, 0);
	assert_int_equal(q.tally.n, 2);
	check_counts(&q.tally, SCENE_WORKLOAD, 1, 1, 0);
	check_counts(&q.tally, OTHER, 1, 2, 3);
	assert_null(tally_find(&q.tally, UNKNOWN));
	assert_int_equal(q.tally.all.requests_allowed, 3);
	assert_int_equal(q.tally.all.requests_denied, 3);
	assert_int_equal(q.tally.all.open, 2);
	assert_int_equal(s.worker->serial, atomic_load(&s.worker->swept));
	tally_done(&q.tally);
	pair_part(b);
	scene_say(&s, a.client, "no request\r\n\r\n");
	pair_part(a);
	scene_wait_idle(&s);
	pair_check_refused(&s, UNKNOWN, 1);
	ask(&s, &q);
	check_counts(&q.tally, OTHER, 0, 2, 3);
	assert_int_equal(tally_find(&q.tally, OTHER)->metrics.closed[CLOSE_DONE], 1);
	assert_int_equal(tally_find(&q.tally, OTHER)->metrics.closed[CLOSE_NO_WORKLOAD], 0);
	assert_int_equal(q.tally.all.closed[CLOSE_NO_WORKLOAD], 1);
	tally_done(&q.tally);
	scene_end(&s);
}

static void test_counts_without_memory(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct worker_question q = { .result = 0 };
	struct scene s;

	pair_begin(&s);
	fail_alloc_at(1);
	assert_int_equal(worker_changes_ask(changes, &q), -ENOMEM);
	fail_alloc_at(0);
	assert_int_equal(worker_changes_ask(changes, &q), 0);
	worker_post(s.worker, changes, 0);
	fail_alloc_at(1);
	worker_take_changes(s.worker);
	assert_true(fail_alloc_happened());
	fail_alloc_at(0);
	assert_true(atomic_load(&q.answered));
	assert_int_equal(q.result, -ENOMEM);
	tally_done(&q.tally);
	scene_end(&s);
}

/* The worker ends while a change has not been taken, or not been swept. */
static void test_end_on_the_way(void **state)
{
	for (int taken = 0; taken < 2; taken++) {
		struct worker_changes *changes = worker_changes_new();
		struct scene s;

		pair_begin(&s);
		pair_set_policy(changes, OTHER, "/x");
		pair_set_policy(changes, UNKNOWN, "/x");
		assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
		worker_post(s.worker, changes, 2);
		if (taken)
			worker_take_changes(s.worker);
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_policy), cmocka_unit_test(test_without_scratch),
		cmocka_unit_test(test_untouched),  cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_summary),	   cmocka_unit_test(test_end_on_the_way),
		cmocka_unit_test(test_counts),	   cmocka_unit_test(test_counts_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
