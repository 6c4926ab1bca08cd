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
	hall_start(&h, NULL);
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
		cmocka_unit_test(test_crew_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
