/* SPDX-License-Identifier: Apache-2.0 */
/* All workers at once: asked what they have counted, sent to namespaces, ended. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "crew_hall.h"
#include "fail_alloc.h"
#include "netns.h"

static const struct crew_options plain;

static void on_answer(void *ctx, const struct tally *tally)
{
	struct hall *h = ctx;

	hall_note(h, "answer:", tally ? (long long)tally->n : -1);
}

/* Once more from within the answer. */
static void on_answer_ask(void *ctx, const struct tally *tally)
{
	struct hall *h = ctx;

	assert_int_equal(crew_ask(&h->crew, on_answer, h), tally ? 0 : -ECANCELED);
	hall_note(h, "first:", tally ? (long long)tally->n : -1);
}

static void test_ask(void **state)
{
	struct error err = { "" };
	struct rollout_plan plan;
	struct hall h;

	hall_open(&h, &plain);
	hall_plan(&plan);
	assert_int_equal(rollout_at_once(&plan, &h.crew, &h.steer, &err), 0);
	assert_true(crew_reached(&h.crew, 1, true));
	hall_start(&h, NULL);
	assert_true(crew_reached(&h.crew, 1, false)); /* also of what came before the start */
	assert_true(crew_reached(&h.crew, 1, true));
	assert_false(crew_reached(&h.crew, 2, false));
	assert_int_equal(crew_ask(&h.crew, on_answer_ask, &h), 0);
	hall_wait_told(&h, "answer");
	assert_string_equal(h.told, "first:3 answer:3 ");
	hall_close(&h);
}

/* Nobody who has asked is left waiting. */
static void test_ask_at_the_end(void **state)
{
	struct denials denials = { 0 };
	struct metrics sum = { 0 };
	struct hall h;

	hall_open(&h, &plain);
	hall_start(&h, NULL);
	for (unsigned i = 0; i < WORKERS; i++) {
		worker_stop(&h.crew.workers[i]);
		worker_join(&h.crew.workers[i]);
	}
	assert_int_equal(crew_ask(&h.crew, on_answer_ask, &h), 0);
	crew_stop(&h.crew, &sum, &denials);
	assert_string_equal(h.told, "first:-1 ");
	denials_done(&denials);
	hall_close(&h);
}

static void test_ask_without_memory(void **state)
{
	struct hall h;
	int r;

	hall_open(&h, &plain);
	hall_start(&h, NULL);
	for (unsigned n = 1; n <= 1 + 2 * WORKERS; n++) {
		fail_alloc_at(n);
		r = crew_ask(&h.crew, on_answer, &h);
		assert_true(fail_alloc_happened());
		fail_alloc_at(0);
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(crew_ask(&h.crew, on_answer, &h), 0);
	hall_wait_told(&h, "answer:0");
	hall_close(&h);
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
	hall_open(&h, &(struct crew_options){ .max_netns = 2 });
	hall_start(&h, NULL);
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
	hall_close(&h); /* also with one that was not removed */
	assert_int_equal(atomic_load(&other->refs), 1);
	netns_unref(other);
	netns_unref(home);
}

static int append_two(struct worker_changes *list, unsigned i, void *ctx)
{
	struct hall *h = ctx;

	hall_note(h, "to:", i);
	return worker_changes_remove_workload(list, FIRST + i);
}

/* Each has its own list, or nobody has any. */
static void test_tell(void **state)
{
	uint32_t serial = 7;
	struct hall h;

	hall_open(&h, &plain);
	hall_start(&h, NULL);
	for (unsigned n = 1; n <= 2 * WORKERS; n++) {
		fail_alloc_at(n);
		assert_int_equal(crew_tell(&h.crew, append_two, &h, &serial), -ENOMEM);
		assert_true(fail_alloc_happened());
		fail_alloc_at(0);
		assert_int_equal(serial, 7);
		assert_int_equal(h.crew.serial, 0);
	}
	h.told[0] = '\0';
	assert_int_equal(crew_tell(&h.crew, append_two, &h, &serial), 0);
	assert_int_equal(serial, 1);
	assert_string_equal(h.told, "to:0 to:1 ");
	wait_until_swept(&h, serial);
	hall_close(&h);
}

static void on_wound_up(void *ctx)
{
	struct hall *h = ctx;

	if (crew_is_over(&h->crew))
		hall_note(h, "over:", h->crew.n);
}

/* Who waits for the end is told when all have come to it. */
static void test_wind_up(void **state)
{
	struct crew_watch watch = { .on_progress = on_wound_up };
	struct hall h;

	hall_open(&h, &plain);
	hall_start(&h, NULL);
	watch.ctx = &h;
	crew_watch(&h.crew, &watch);
	assert_false(crew_is_over(&h.crew));
	assert_int_equal(crew_ask(&h.crew, on_answer, &h), 0);
	hall_wait_told(&h, "answer:0");
	crew_wind_up(&h.crew);
	assert_int_equal(crew_ask(&h.crew, on_answer, &h), -ECANCELED);
	hall_wait_told(&h, "over:2");
	crew_hurry(&h.crew); /* nobody is there any more */
	hall_close(&h);
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
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_ask_at_the_end),
		cmocka_unit_test(test_ask_without_memory),
		cmocka_unit_test(test_netns),
		cmocka_unit_test(test_tell),
		cmocka_unit_test(test_wind_up),
		cmocka_unit_test(test_crew_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
