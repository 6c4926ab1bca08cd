/* SPDX-License-Identifier: Apache-2.0 */
/* worker_netns.h - what one worker has in one network namespace: its listeners there, and how many
 * connections.
 *
 * Made where it can fail, by the main thread, and told to the kernel; from
 * worker_changes_add_netns() on it is the worker's. */
#ifndef SLUICE_WORKER_NETNS_H
#define SLUICE_WORKER_NETNS_H

#include <stdbool.h>
#include <stdint.h>
#include "listener.h"
#include "sluice/error.h"

#define WORKER_LISTENERS 4 /* IPv4, IPv6; for ingress the same */

struct netns;
struct steer;
struct worker;

struct worker_netns {
	struct netns *netns; /* NULL: the host's */
	uint32_t number;
	bool gone; /* it was removed; its connections end */
	struct listener listeners[WORKER_LISTENERS];
	uint64_t n_conns;
};

/* Open the listeners in NETNS (of which a reference is taken; NULL: the host's); PORTS has a port
 * per family (IPv4, IPv6), 0: let the kernel pick one and store it, for the next worker. A family
 * that the namespace does not have is left out (port stays 0). Returns 0, or a negative errno and
 * ERR. */
int worker_netns_new(struct netns *netns, struct steer *steer, uint16_t ports[2],
		     struct worker_netns **ret, struct error *err);
/* No worker has it, or it may be freed. Accepts NULL. */
void worker_netns_free(struct worker_netns *wn);

/* For the worker: accept from now on. On failure what could not be polled is tried again with every
 * tick. */
int worker_netns_start(struct worker_netns *wn, struct worker *w);
void worker_netns_tick(struct worker_netns *wn);
/* Accept no more. */
void worker_netns_close(struct worker_netns *wn);
/* A connection is there, or has gone: then whoever waits for the namespace to be left is told. */
void worker_netns_enter(struct worker_netns *wn);
void worker_netns_leave(struct worker_netns *wn, const struct worker *w);
/* It is closed and nothing refers to it any more. */
bool worker_netns_over(const struct worker_netns *wn);

#endif
