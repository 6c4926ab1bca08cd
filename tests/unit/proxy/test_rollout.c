/* SPDX-License-Identifier: Apache-2.0 */
/* Policies that are put in force for several workloads at once, by workers in threads of their own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "count.h"
#include "crew_hall.h"
#include "fail_alloc.h"
#include "fake_policy.h"
#include "sluice/array.h"

/* Workers are never behind the kernel. */
static void on_in_force(void *ctx)
{
	struct hall *h = ctx;

	assert_true(crew_reached(&h->crew, h->rollout.serial, false));
	hall_note(h, "in-force:", h->steer.n_switched);
}

static void on_behind(void *ctx, uint64_t workload, const char *why)
{
	struct hall *h = ctx;

	assert_string_equal(why, "no switch");
	hall_note(h, "behind:", (long long)(workload & UINT32_MAX));
	/* Not a whole second later. */
	uv_timer_start(&h->rollout.again, h->rollout.again.timer_cb, 1, 0);
}

static void on_swept(void *ctx, const struct swept *e)
{
	hall_note(ctx, "swept:", (long long)(e->workload & UINT32_MAX));
}

static void on_unlisted(void *ctx, int error)
{
	hall_note(ctx, "unlisted:", error);
}

static void on_done(void *ctx, unsigned ended)
{
	hall_note(ctx, "done:", ended);
}

static const struct rollout_host host = { .in_force = on_in_force,
					  .behind = on_behind,
					  .swept = on_swept,
					  .unlisted = on_unlisted,
					  .done = on_done };

static const struct crew_options plain;

static void check_switched(const struct hall *h, unsigned from)
{
	static const uint64_t order[] = { FIRST, THIRD, SECOND };

	assert_int_equal(h->steer.n_switched, from + ARRAY_SIZE(order));
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(h->steer.switched[from + i], order[i]);
	assert_int_equal(h->steer.tables[from], h->steer.tables[from + 2]);
	assert_int_not_equal(h->steer.tables[from], h->steer.tables[from + 1]);
}

static void check_known(struct hall *h, uint64_t workload, const char *denied)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct workload *wl = workload_find(&h->crew.workers[i].workloads, workload);

		if (!denied) {
			assert_null(wl);
			continue;
		}
		assert_non_null(wl);
		assert_string_equal(wl->policy->rules.denied, denied);
	}
}

static void test_at_once(void **state)
{
	struct error err = { "" };
	struct rollout_plan plan;
	struct hall h;

	for (int fails = 0; fails < 2; fails++) {
		hall_open(&h, &plain);
		h.steer.switch_fails = (unsigned)fails;
		hall_plan(&plan);
		assert_int_equal(rollout_at_once(&plan, &h.crew, &h.steer, &err),
				 fails ? -ENOMEM : 0);
		assert_int_equal(plan.n_items, 0);
		check_known(&h, FIRST, "/a");
		check_known(&h, THIRD, "/b");
		if (!fails)
			check_switched(&h, 0);
		hall_start(&h, &host);
		hall_close(&h);
	}
}

static const struct swept found[] = { { .workload = SECOND },
				      { .workload = THIRD, .result = -EOPNOTSUPP } };

static const struct {
	const char *name;
	unsigned switch_fails, n_swept;
	int sweep_result;
	bool audit;
	const char *told;
	unsigned n_sweeps;
} cases[] = {
	{ "as it should be", 0, 0, 0, false, "in-force:3 done:0 ", 1 },
	{ "connections end", 0, 2, 0, false, "in-force:3 swept:1 swept:2 done:1 ", 1 },
	{ "no list", 0, 0, -EIO, false, "in-force:3 unlisted:-5 done:0 ", 1 },
	{ "late", 1, 0, 0, false, "behind:0 in-force:3 done:0 ", 1 },
	{ "later", 3, 0, 0, false, "behind:0 in-force:3 done:0 ", 1 },
	{ "nothing ends in audit", 0, 2, 0, true, "in-force:3 done:0 ", 0 },
};

static void test_rollout(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rollout_plan plan;
		struct hall h;

		hall_open(&h, &plain);
		hall_start(&h, &host);
		h.rollout.audit = cases[i].audit;
		h.steer.switch_fails = cases[i].switch_fails;
		h.steer.swept = found;
		h.steer.n_swept = cases[i].n_swept;
		h.steer.sweep_result = cases[i].sweep_result;
		hall_plan(&plan);
		rollout_begin(&h.rollout, &plan);
		assert_int_equal(plan.n_items, 0);
		for (unsigned late = 1; late < cases[i].switch_fails; late++) {
			hall_wait_told(&h, "behind");
			while (h.steer.switch_fails > cases[i].switch_fails - late - 1) {
				uv_timer_start(&h.rollout.again, h.rollout.again.timer_cb, 0, 0);
				uv_run(&h.loop, UV_RUN_NOWAIT);
			}
		}
		if (cases[i].switch_fails > 1)
			uv_timer_start(&h.rollout.again, h.rollout.again.timer_cb, 0, 0);
		hall_wait_told(&h, "done");
		if (strcmp(h.told, cases[i].told) != 0)
			fail_msg("%s: %s", cases[i].name, h.told);
		assert_int_equal(h.steer.n_sweeps, cases[i].n_sweeps);
		check_switched(&h, 0);
		assert_int_equal(h.rollout.state, ROLLOUT_IDLE);
		hall_close(&h);
	}
}

/* One after the other; the second one removes a workload. */
static void test_again(void **state)
{
	struct policy *policy = fake_policy_new(L4_STEER, "/c");
	struct rollout_plan plan;
	struct hall h;

	hall_open(&h, &plain);
	hall_start(&h, &host);
	hall_plan(&plan);
	rollout_begin(&h.rollout, &plan);
	hall_wait_told(&h, "done");
	assert_int_equal(rollout_plan_init(&plan, WORKERS), 0);
	hall_set(&plan, FIRST, policy);
	assert_int_equal(rollout_plan_remove(&plan, SECOND), 0);
	h.told[0] = '\0';
	rollout_begin(&h.rollout, &plan);
	hall_wait_told(&h, "done");
	assert_string_equal(h.told, "in-force:4 done:0 ");
	assert_int_equal(h.steer.switched[3], FIRST);
	policy_unref(policy);
	for (unsigned i = 0; i < WORKERS; i++) {
		worker_stop(&h.crew.workers[i]);
		worker_join(&h.crew.workers[i]);
	}
	check_known(&h, FIRST, "/c");
	check_known(&h, SECOND, NULL);
	check_known(&h, THIRD, "/b");
	hall_close(&h);
}

/* The process ends while something is on its way. */
static void test_end_on_the_way(void **state)
{
	struct rollout_plan plan;
	struct hall h;

	for (int turn = 0; turn < 2; turn++) {
		hall_open(&h, &plain);
		hall_start(&h, &host);
		h.steer.switch_fails = UINT32_MAX;
		hall_plan(&plan);
		rollout_begin(&h.rollout, &plan);
		if (turn)
			hall_wait_told(&h, "behind");
		hall_close(&h);
	}
}

/* Whatever fails while a plan is made, nothing has happened. */
static void test_plan_fails(void **state)
{
	struct policy *policy = fake_policy_new(L4_STEER, "/a");
	unsigned n_descriptors = count_descriptors(), n = 0;
	struct error err = { "" };
	struct rollout_plan p;
	bool failed;

	do {
		int r;

		fail_alloc_at(++n);
		r = rollout_plan_init(&p, WORKERS);
		if (r == 0)
			r = rollout_plan_set(&p, FIRST, policy, NULL, &err);
		if (r == 0)
			r = rollout_plan_remove(&p, SECOND);
		failed = fail_alloc_happened();
		fail_alloc_at(0);
		assert_int_equal(r, failed ? -ENOMEM : 0);
		rollout_plan_done(&p);
		assert_int_equal(policy->refs, 1);
		assert_int_equal(count_descriptors(), n_descriptors);
	} while (failed);
	assert_true(n > 2 * WORKERS);
	policy->table.n_peers = 1;
	assert_int_equal(rollout_plan_init(&p, WORKERS), 0);
	assert_int_equal(rollout_plan_set(&p, FIRST, policy, NULL, &err), -E2BIG);
	assert_string_equal(err.text, "no table");
	rollout_plan_done(&p);
	assert_int_equal(policy->refs, 1);
	policy_unref(policy);
}

static void on_turn(uv_timer_t *timer)
{
	struct hall *h = timer->data;

	if (h->steer.n_switched > 0 && h->steer.n_switched < 3)
		hall_note(h, "turn:", h->steer.n_switched);
}

/* Where the kernel takes its time the loop comes to other things between two tables. */
static void test_in_slices(void **state)
{
	struct rollout_plan plan;
	uv_timer_t turn;
	struct hall h;

	hall_open(&h, &plain);
	hall_start(&h, &host);
	hall_plan(&plan);
	h.steer.switch_ms = 1 + ROLLOUT_SLICE_NS / 1000000;
	uv_timer_init(&h.loop, &turn);
	turn.data = &h;
	uv_timer_start(&turn, on_turn, 1, 1);
	rollout_begin(&h.rollout, &plan);
	hall_wait_told(&h, "done");
	assert_string_equal(h.told, "turn:1 turn:2 in-force:3 done:0 ");
	check_switched(&h, 0);
	uv_close((uv_handle_t *)&turn, NULL);
	hall_close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),	   cmocka_unit_test(test_rollout),
		cmocka_unit_test(test_again),	   cmocka_unit_test(test_end_on_the_way),
		cmocka_unit_test(test_plan_fails), cmocka_unit_test(test_in_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
