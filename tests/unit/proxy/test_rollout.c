/* SPDX-License-Identifier: Apache-2.0 */
/* Workers in threads of their own, asked and told by the main thread; and policies that are put in
 * force for several workloads at once. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "fake_policy.h"
#include "fake_steer.h"
#include "netns.h"
#include "rollout.h"
#include "sluice/array.h"

#define WORKERS 2
#define FIRST	(1ULL << 32)
#define SECOND	(FIRST | 1)
#define THIRD	(FIRST | 2)

struct hall {
	uv_loop_t loop;
	struct steer steer;
	struct crew crew;
	struct rollout rollout;
	char told[256]; /* what the host was told, in order */
	unsigned n_descriptors;
};

static unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* --- a host that writes down what it is told --- */

static void note(struct hall *h, const char *what, long long n)
{
	size_t at = strlen(h->told);

	snprintf(h->told + at, sizeof(h->told) - at, "%s%lld ", what, n);
}

/* Workers are never behind the kernel. */
static void on_in_force(void *ctx)
{
	struct hall *h = ctx;

	assert_true(crew_reached(&h->crew, h->rollout.serial, false));
	note(h, "in-force:", h->steer.n_switched);
}

static void on_behind(void *ctx, uint64_t workload, const char *why)
{
	struct hall *h = ctx;

	assert_string_equal(why, "no switch");
	note(h, "behind:", (long long)(workload & UINT32_MAX));
	/* Not a whole second later. */
	uv_timer_start(&h->rollout.again, h->rollout.again.timer_cb, 1, 0);
}

static void on_swept(void *ctx, const struct swept *e)
{
	note(ctx, "swept:", (long long)(e->workload & UINT32_MAX));
}

static void on_unlisted(void *ctx, int error)
{
	note(ctx, "unlisted:", error);
}

static void on_done(void *ctx, unsigned ended)
{
	note(ctx, "done:", ended);
}

static const struct rollout_host host = { .in_force = on_in_force,
					  .behind = on_behind,
					  .swept = on_swept,
					  .unlisted = on_unlisted,
					  .done = on_done };

/* --- the hall --- */

static void on_nothing(uv_timer_t *timer)
{
}

/* Until the host has been told WHAT. */
static void wait_until_told(struct hall *h, const char *what)
{
	uv_timer_t turn;

	uv_timer_init(&h->loop, &turn);
	uv_timer_start(&turn, on_nothing, 5, 5);
	for (int i = 0; !strstr(h->told, what); i++) {
		if (i >= 2000)
			fail_msg("no %s: %s", what, h->told);
		uv_run(&h->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&turn, NULL);
	uv_run(&h->loop, UV_RUN_NOWAIT);
}

static void open_hall(struct hall *h, const struct crew_options *more)
{
	struct crew_options o = *more;
	struct error err = { "" };
	uv_loop_t first;

	/* The first loop of a process leaves a pipe behind. */
	assert_int_equal(uv_loop_init(&first), 0);
	uv_loop_close(&first);
	memset(h, 0, sizeof(*h));
	h->n_descriptors = count_descriptors();
	assert_int_equal(uv_loop_init(&h->loop), 0);
	o.n_workers = WORKERS;
	o.max_workloads = 4;
	o.limits = (struct limits)LIMITS_DEFAULT;
	assert_int_equal(crew_open(&h->crew, &o, &err), 0);
	assert_int_equal(crew_listen(&h->crew, &h->steer, &err), 0);
}

static void start_hall(struct hall *h)
{
	struct error err = { "" };

	assert_int_equal(crew_start(&h->crew, &err), 0);
	crew_begin(&h->crew, &h->loop);
	rollout_init(&h->rollout, &h->crew, &h->steer, &h->loop, &host, h);
}

static void close_hall(struct hall *h)
{
	struct denials denials = { 0 };
	struct metrics sum = { 0 };

	crew_stop(&h->crew, &sum, &denials);
	rollout_end(&h->rollout);
	crew_end(&h->crew);
	uv_run(&h->loop, UV_RUN_DEFAULT);
	rollout_done(&h->rollout);
	assert_int_equal(uv_loop_close(&h->loop), 0);
	denials_done(&denials);
	assert_int_equal(count_descriptors(), h->n_descriptors);
}

static const struct crew_options plain;

/* --- plans --- */

static void set(struct rollout_plan *p, uint64_t workload, struct policy *policy)
{
	struct error err = { "" };

	assert_int_equal(rollout_plan_set(p, workload, policy, NULL, &err), 0);
}

/* Of these workloads the first two have the same policy. */
static void plan_three(struct rollout_plan *p)
{
	struct policy *one = fake_policy_new(L4_STEER, "/a"),
		      *two = fake_policy_new(L4_STEER, "/b");

	assert_int_equal(rollout_plan_init(p, WORKERS), 0);
	set(p, FIRST, one);
	set(p, THIRD, two);
	set(p, SECOND, one);
	policy_unref(one);
	policy_unref(two);
}

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
		open_hall(&h, &plain);
		h.steer.switch_fails = (unsigned)fails;
		plan_three(&plan);
		assert_int_equal(rollout_at_once(&plan, &h.crew, &h.steer, &err),
				 fails ? -ENOMEM : 0);
		assert_int_equal(plan.n_items, 0);
		check_known(&h, FIRST, "/a");
		check_known(&h, THIRD, "/b");
		if (!fails)
			check_switched(&h, 0);
		start_hall(&h);
		close_hall(&h);
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

		open_hall(&h, &plain);
		start_hall(&h);
		h.rollout.audit = cases[i].audit;
		h.steer.switch_fails = cases[i].switch_fails;
		h.steer.swept = found;
		h.steer.n_swept = cases[i].n_swept;
		h.steer.sweep_result = cases[i].sweep_result;
		plan_three(&plan);
		rollout_begin(&h.rollout, &plan);
		assert_int_equal(plan.n_items, 0);
		for (unsigned late = 1; late < cases[i].switch_fails; late++) {
			wait_until_told(&h, "behind");
			while (h.steer.switch_fails > cases[i].switch_fails - late - 1) {
				uv_timer_start(&h.rollout.again, h.rollout.again.timer_cb, 0, 0);
				uv_run(&h.loop, UV_RUN_NOWAIT);
			}
		}
		if (cases[i].switch_fails > 1)
			uv_timer_start(&h.rollout.again, h.rollout.again.timer_cb, 0, 0);
		wait_until_told(&h, "done");
		if (strcmp(h.told, cases[i].told) != 0)
			fail_msg("%s: %s", cases[i].name, h.told);
		assert_int_equal(h.steer.n_sweeps, cases[i].n_sweeps);
		check_switched(&h, 0);
		assert_int_equal(h.rollout.state, ROLLOUT_IDLE);
		close_hall(&h);
	}
}

/* One after the other; the second one removes a workload. */
static void test_again(void **state)
{
	struct policy *policy = fake_policy_new(L4_STEER, "/c");
	struct rollout_plan plan;
	struct hall h;

	open_hall(&h, &plain);
	start_hall(&h);
	plan_three(&plan);
	rollout_begin(&h.rollout, &plan);
	wait_until_told(&h, "done");
	assert_int_equal(rollout_plan_init(&plan, WORKERS), 0);
	set(&plan, FIRST, policy);
	assert_int_equal(rollout_plan_remove(&plan, SECOND), 0);
	h.told[0] = '\0';
	rollout_begin(&h.rollout, &plan);
	wait_until_told(&h, "done");
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
	close_hall(&h);
}

/* The process ends while something is on its way. */
static void test_end_on_the_way(void **state)
{
	struct rollout_plan plan;
	struct hall h;

	for (int turn = 0; turn < 2; turn++) {
		open_hall(&h, &plain);
		start_hall(&h);
		h.steer.switch_fails = UINT32_MAX;
		plan_three(&plan);
		rollout_begin(&h.rollout, &plan);
		if (turn)
			wait_until_told(&h, "behind");
		close_hall(&h);
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

/* --- questions --- */

static void on_answer(void *ctx, const struct tally *tally)
{
	struct hall *h = ctx;

	note(h, "answer:", tally ? (long long)tally->n : -1);
}

/* Once more from within the answer. */
static void on_answer_ask(void *ctx, const struct tally *tally)
{
	struct hall *h = ctx;

	assert_int_equal(crew_ask(&h->crew, on_answer, h), tally ? 0 : -ECANCELED);
	note(h, "first:", tally ? (long long)tally->n : -1);
}

static void test_ask(void **state)
{
	struct error err = { "" };
	struct rollout_plan plan;
	struct hall h;

	open_hall(&h, &plain);
	plan_three(&plan);
	assert_int_equal(rollout_at_once(&plan, &h.crew, &h.steer, &err), 0);
	start_hall(&h);
	assert_int_equal(crew_ask(&h.crew, on_answer_ask, &h), 0);
	wait_until_told(&h, "answer");
	assert_string_equal(h.told, "first:3 answer:3 ");
	close_hall(&h);
}

/* Nobody who has asked is left waiting. */
static void test_ask_at_the_end(void **state)
{
	struct denials denials = { 0 };
	struct metrics sum = { 0 };
	struct hall h;

	open_hall(&h, &plain);
	start_hall(&h);
	for (unsigned i = 0; i < WORKERS; i++) {
		worker_stop(&h.crew.workers[i]);
		worker_join(&h.crew.workers[i]);
	}
	assert_int_equal(crew_ask(&h.crew, on_answer_ask, &h), 0);
	crew_stop(&h.crew, &sum, &denials);
	assert_string_equal(h.told, "first:-1 ");
	denials_done(&denials);
	close_hall(&h);
}

static void test_ask_without_memory(void **state)
{
	struct hall h;
	int r;

	open_hall(&h, &plain);
	start_hall(&h);
	for (unsigned n = 1; n <= 1 + 2 * WORKERS; n++) {
		fail_alloc_at(n);
		r = crew_ask(&h.crew, on_answer, &h);
		assert_true(fail_alloc_happened());
		fail_alloc_at(0);
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(crew_ask(&h.crew, on_answer, &h), 0);
	wait_until_told(&h, "answer:0");
	close_hall(&h);
}

static void wait_until_swept(struct hall *h, uint32_t serial)
{
	for (int i = 0; !crew_reached(&h->crew, serial, true); i++) {
		assert_true(i < 2000);
		uv_run(&h->loop, UV_RUN_NOWAIT);
		uv_sleep(1);
	}
}

/* A number that comes, goes and comes again; it may stand for the namespace of the test. */
static void test_netns(void **state)
{
	struct netns *home, *other;
	unsigned n_failed = 0, n;
	struct error err = { "" };
	uint32_t serial;
	struct hall h;

	assert_int_equal(netns_home(&home), 0);
	if (netns_new(home, home->fd, 1, &other) < 0)
		skip();
	open_hall(&h, &(struct crew_options){ .max_netns = 2 });
	start_hall(&h);
	for (int round = 0; round < 2; round++) {
		n = h.steer.n_listeners;
		while (fail_alloc_at(n_failed + 1), crew_add_netns(&h.crew, &h.steer, other, &err))
			n_failed++;
		fail_alloc_at(0);
		assert_true(h.steer.n_listeners >= n + WORKERS);
		fail_alloc_at(1);
		assert_int_equal(crew_remove_netns(&h.crew, 1, &serial), -ENOMEM);
		fail_alloc_at(0);
		assert_int_equal(crew_remove_netns(&h.crew, 1, &serial), 0);
		wait_until_swept(&h, serial);
		for (unsigned i = 0; i < WORKERS; i++)
			assert_null(h.crew.workers[i].netns[1]);
	}
	assert_true(n_failed >= 3 * WORKERS); /* what it has there, a list, a change */
	assert_int_equal(crew_add_netns(&h.crew, &h.steer, other, &err), 0);
	close_hall(&h); /* also with one that was not removed */
	assert_int_equal(atomic_load(&other->refs), 1);
	netns_unref(other);
	netns_unref(home);
}

/* Memory that libuv lacks ends the process, so only the first of ours can fail here. */
static void test_crew_without_memory(void **state)
{
	const struct crew_options o = { .n_workers = WORKERS };
	struct denials denials = { 0 };
	struct metrics sum = { 0 };
	struct error err = { "" };
	struct crew crew;

	fail_alloc_at(1);
	assert_int_equal(crew_open(&crew, &o, &err), -ENOMEM);
	fail_alloc_at(0);
	assert_string_not_equal(err.text, "");
	crew_stop(&crew, &sum, &denials);
	crew_end(&crew);
	denials_done(&denials);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),	       cmocka_unit_test(test_rollout),
		cmocka_unit_test(test_again),	       cmocka_unit_test(test_end_on_the_way),
		cmocka_unit_test(test_plan_fails),     cmocka_unit_test(test_ask),
		cmocka_unit_test(test_ask_at_the_end), cmocka_unit_test(test_ask_without_memory),
		cmocka_unit_test(test_netns),	       cmocka_unit_test(test_crew_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
