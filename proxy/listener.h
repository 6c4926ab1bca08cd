/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h - a listening socket on loopback to which the kernel steers connections.
 *
 * Each worker has its own, all of one family on one port (SO_REUSEPORT). Whoever connects without
 * having been steered is reset. */
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include "poller.h"
#include "sluice/error.h"

#define LISTENER_BACKLOG     4096
#define LISTENER_ACCEPTS_MAX 64 /* accepted in a row before others have their turn */

struct worker;

struct listener {
	struct polled polled;
	int fd;	     /* -1: none */
	bool paused; /* no descriptors at all: not even to refuse with */
	int spare; /* given up for a moment to accept, and so refuse, when descriptors have run out
		    */
};

/* Open for FAMILY on loopback and tell the steering of it. *PORT 0: the kernel picks one and it is
 * stored. Returns -EADDRNOTAVAIL or -EAFNOSUPPORT where the host does not have the family. */
int listener_open(struct listener *l, struct worker *w, int family, uint16_t *port,
		  struct error *err);
/* Once a worker tick: go on where descriptors had run out. */
void listener_tick(struct listener *l);
void listener_close(struct listener *l);

#endif
