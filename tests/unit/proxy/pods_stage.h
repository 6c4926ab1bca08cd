/* SPDX-License-Identifier: Apache-2.0 */
/* pods_stage.h - agent_pods.c alone, with a container runtime and a clock of the test's own. Linked
 * with --wrap=uv_hrtime,--wrap=poll. */
#ifndef SLUICE_TEST_PODS_STAGE_H
#define SLUICE_TEST_PODS_STAGE_H

#include <stdint.h>
#include "agent_parts.h"

struct pods_stage {
	struct agent a;
	struct agent_plan plan;
	struct agent_config config;
	struct agent_entry entry;
	struct agent_workload workload;
	const char *tells; /* what the runtime says next */
	int line[2];	   /* the runtime's descriptor, and the end that makes it readable */
	bool silent;	   /* there is never time for the client */
	unsigned made, asked;
	char reloads[256]; /* the list each time */
};

/* TELLS: what the runtime says first. Words: a pod, which is a hexadecimal letter, the last byte of
 * its address if it has one, and '!' if the runtime does not say where its cgroups are ("a1!"); one
 * that has gone ("-a"); "." for all have been told; "?" for what is wrong; "@" for another
 * descriptor; "~" for none. */
void pods_stage_prepare(struct pods_stage *s, const char *tells);
void pods_stage_begin(struct pods_stage *s, const char *tells); /* and opens it */
void pods_stage_finish(struct pods_stage *s);

/* Until the client has nothing to do before long: it is silent. */
void pods_stage_settle(struct pods_stage *s);
/* The runtime says that, when it is the client's time. */
void pods_stage_hear(struct pods_stage *s, const char *tells);
/* The list as the words for its pods. */
void pods_stage_check_list(const struct pods_stage *s, const char *want);

/* Milliseconds since pods_stage_prepare(). It goes on when somebody waits. */
uint64_t pods_stage_clock(void);
void pods_stage_clock_on(unsigned ms);

#endif
