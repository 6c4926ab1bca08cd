/* SPDX-License-Identifier: Apache-2.0 */
/* fake_steer.h - the part of steer.h that workers use, without a kernel: the test files the records
 * that the BPF programs would. Linked in place of sockmap. */
#ifndef SLUICE_TEST_FAKE_STEER_H
#define SLUICE_TEST_FAKE_STEER_H

#include "steer.h"
#include "sweep.h"

#define FAKE_FLOWS_MAX	  128
#define FAKE_SWITCHES_MAX 16
#define FAKE_POINTS_MAX	  16

struct steer {
	struct flow flows[FAKE_FLOWS_MAX];
	unsigned n_flows;
	unsigned n_listeners;
	unsigned n_locals; /* calls of steer_set_local() */
	struct address local;
	unsigned n_inbound; /* listeners for ingress */
	int inbound[2];
	uint64_t server_of; /* the workload to which clients come */
	unsigned n_legs;    /* registered and not removed */
	/* Tables that were switched, in that order, and by which descriptor. */
	uint64_t switched[FAKE_SWITCHES_MAX];
	int tables[FAKE_SWITCHES_MAX];
	unsigned n_switched, switch_fails; /* so many times */
	unsigned switch_ms;		   /* how long each takes */
	/* What a sweep finds. */
	const struct swept *swept;
	unsigned n_swept, n_sweeps;
	int sweep_result;
	/* Where the programs are attached, by the directory's number, in that order. */
	uint64_t attached[FAKE_POINTS_MAX];
	unsigned n_attached, n_attaches;
	int attach_result;
};

void fake_steer_file(struct steer *s, const struct flow *flow);

#endif
