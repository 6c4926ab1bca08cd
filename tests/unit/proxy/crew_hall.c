/* SPDX-License-Identifier: Apache-2.0 */
#include "crew_hall.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "count_loops.h"
#include "fake_policy.h"

void hall_note(struct hall *h, const char *what, long long n)
{
	size_t at = strlen(h->told);

	snprintf(h->told + at, sizeof(h->told) - at, "%s%lld ", what, n);
}

static void on_nothing(uv_timer_t *timer)
{
}

void hall_wait_told(struct hall *h, const char *what)
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

void hall_open(struct hall *h, const struct crew_options *more)
{
	struct crew_options o = *more;
	struct error err = { "" };

	memset(h, 0, sizeof(*h));
	h->n_descriptors = count_descriptors_with_loops();
	assert_int_equal(uv_loop_init(&h->loop), 0);
	o.n_workers = WORKERS;
	o.max_workloads = 4;
	o.limits = (struct limits)LIMITS_DEFAULT;
	assert_int_equal(crew_open(&h->crew, &o, &err), 0);
	assert_int_equal(crew_listen(&h->crew, &h->steer, &err), 0);
}

void hall_start(struct hall *h, const struct rollout_host *host)
{
	struct error err = { "" };

	assert_int_equal(crew_start(&h->crew, &err), 0);
	crew_begin(&h->crew, &h->loop);
	rollout_init(&h->rollout, &h->crew, &h->steer, &h->loop, host, h);
}

void hall_close(struct hall *h)
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

void hall_set(struct rollout_plan *p, uint64_t workload, struct policy *policy)
{
	struct error err = { "" };

	assert_int_equal(rollout_plan_set(p, workload, policy, NULL, &err), 0);
}

void hall_plan(struct rollout_plan *p)
{
	struct policy *one = fake_policy_new(L4_STEER, "/a"),
		      *two = fake_policy_new(L4_STEER, "/b");

	assert_int_equal(rollout_plan_init(p, WORKERS), 0);
	hall_set(p, FIRST, one);
	hall_set(p, THIRD, two);
	hall_set(p, SECOND, one);
	policy_unref(one);
	policy_unref(two);
}
