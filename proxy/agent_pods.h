/* SPDX-License-Identifier: Apache-2.0 */
/* agent_pods.h - the pods of the node, as the container runtime tells them: for agent*.c.
 *
 * The client of the runtime (cri.h) waits for nothing, and runs in the main thread's loop. Each pod
 * becomes an immutable struct pod; all of them together are the list from which the next plan is
 * made. When the runtime goes away the list stays as it is. */
#ifndef SLUICE_AGENT_PODS_H
#define SLUICE_AGENT_PODS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "cri.h"
#include "pod.h"

#define AGENT_PODS_WAIT_MS  5000  /* at the start, for the first answer */
#define AGENT_PODS_EAGER_MS 30000 /* it is asked again and again because of an unknown cgroup */
#define AGENT_PODS_AGAIN_MS 1000  /* what there was no memory for */

/* Embedded in its agent; zeroed: there are none. */
struct agent_pods {
	struct cri *cri;
	int epoll; /* readable when the client has something to do; whatever descriptor it has */
	int fd;	   /* the client's, or -1 */
	short events;
	struct pod **told; /* as they were told, in no order */
	size_t n_told;
	struct pod **before; /* as they were, while all are told anew */
	size_t n_before;
	bool anew;
	struct pod_list *list; /* of those that were told */
	bool changed;	       /* since the list was made */
	bool lacking;	       /* there was no memory for something: all is asked for anew */
	bool synced;	       /* it has told all that there are, in this connection */
	char runtime[160];     /* how it calls itself, once it was heard of */
	char trouble[512];     /* what is wrong with it; "": nothing */
	uint64_t eager_until;  /* there is an unknown cgroup */
	uv_poll_t news;
	uv_timer_t timer;
	bool begun;
};

/* From when a pod's first process began to when it was held. */
struct agent_window {
	uint64_t pods;	/* that have come since the agent began */
	uint64_t first; /* of them: held before there was a process */
	uint64_t sum_ms, max_ms;
};

#endif
