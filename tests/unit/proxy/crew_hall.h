/* SPDX-License-Identifier: Apache-2.0 */
/* crew_hall.h - workers in threads of their own, and the main thread that is in charge of them: the
 * test's, whose loop runs while it waits. The kernel is that of fake_steer.h.
 *
 * When the hall is closed no handle and no descriptor may be left. */
#ifndef SLUICE_TEST_CREW_HALL_H
#define SLUICE_TEST_CREW_HALL_H

#include "fake_steer.h"
#include "rollout.h"

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

void hall_open(struct hall *h, const struct crew_options *more);
/* The workers, and a rollout that tells HOST (with H). */
void hall_start(struct hall *h, const struct rollout_host *host);
void hall_close(struct hall *h);

/* Write down that H was told so. */
void hall_note(struct hall *h, const char *what, long long n);
/* Until H has been told WHAT. */
void hall_wait_told(struct hall *h, const char *what);

/* WORKLOAD gets POLICY. */
void hall_set(struct rollout_plan *p, uint64_t workload, struct policy *policy);
/* For three workloads, of which FIRST and SECOND have the same policy: /a is denied; to THIRD /b.
 */
void hall_plan(struct rollout_plan *p);

#endif
