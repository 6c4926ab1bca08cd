/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h - a listening socket on loopback to which the kernel steers connections.
 *
 * Each worker has its own in each namespace, those for egress of one family all on one port
 * (SO_REUSEPORT), those for ingress on ports that nobody needs to know. Whoever connects without
 * having been steered is reset. */
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include "poller.h"
#include "sluice/address.h"
#include "sluice/error.h"

#define LISTENER_BACKLOG     4096
#define LISTENER_ACCEPTS_MAX 64 /* accepted in a row before others have their turn */

struct netns;
struct steer;
struct worker;

struct listener {
	struct polled polled; /* first */
	struct address place;
	bool inbound;
	bool started;	/* its worker polls it */
	bool closing;	/* and does so until the end of the turn */
	uint32_t netns; /* number of its namespace */
	int fd;		/* -1: none */
	bool paused;	/* no descriptors at all: not even to refuse with */
	int spare; /* given up for a moment to accept, and so refuse, when descriptors have run out
		    */
};

/* Open for FAMILY on loopback of NETNS (NULL: the host's) and tell the steering of it. *PORT 0: the
 * kernel picks one and it is stored. Returns -EADDRNOTAVAIL or -EAFNOSUPPORT where the namespace
 * does not have the family. Any thread; who comes waits until a worker starts it. */
int listener_open(struct listener *l, const struct netns *netns, struct steer *steer, int family,
		  uint16_t *port, struct error *err);
/* The same for clients of the workloads' servers. */
int listener_open_inbound(struct listener *l, const struct netns *netns, struct steer *steer,
			  int family, struct error *err);
/* It is W's from now on. What is not open is left alone. On failure, for want of the kernel's
 * memory, it is tried again with every tick. */
int listener_start(struct listener *l, struct worker *w);
/* Once a worker tick: go on where descriptors had run out. */
void listener_tick(struct listener *l);
void listener_close(struct listener *l);

#endif
