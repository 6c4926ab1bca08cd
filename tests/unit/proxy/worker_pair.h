/* SPDX-License-Identifier: Apache-2.0 */
/* worker_pair.h - clients of several workloads and the servers that they reach, through one worker.
 */
#ifndef SLUICE_TEST_WORKER_PAIR_H
#define SLUICE_TEST_WORKER_PAIR_H

#include "worker_scene.h"

#define OTHER	   (SCENE_WORKLOAD | 1)
#define SAME_SLOT  (2 * SCENE_WORKLOAD)
#define SAME_PLACE (SCENE_WORKLOAD | SCENE_WORKLOADS) /* a slot that the table has not */
#define UNKNOWN	   (SCENE_WORKLOAD | 2)

struct pair {
	int client, server;
};

/* Two workloads, of which SCENE_WORKLOAD may not ask for /deny and OTHER not for /other. */
void pair_begin(struct scene *s);
/* The workload may not ask for DENIED, and is called so. */
void pair_set_policy(struct worker_changes *changes, uint64_t workload, const char *denied);

/* A client of WORKLOAD; with its server; and both closed. */
int pair_dial(struct scene *s, uint64_t workload);
struct pair pair_meet(struct scene *s, uint64_t workload);
void pair_part(struct pair p);

/* Both are reset; and closed. */
void pair_check_ended(struct scene *s, struct pair p);
void pair_check_passes(struct scene *s, struct pair p, const char *request);
void pair_check_denied(struct scene *s, struct pair p, const char *request);
/* Who comes in the name of WORKLOAD is reset, as TIMES connections of none have been. */
void pair_check_refused(struct scene *s, uint64_t workload, unsigned times);

#endif
