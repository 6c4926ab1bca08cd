/* SPDX-License-Identifier: Apache-2.0 */
/* poller.h - waits for the sockets of a worker, and runs its libuv loop between them.
 *
 * The sockets of connections come and go by the thousand, and libuv spends six epoll_ctl() and an
 * ioctl() on each. Here a socket is added once, changed when what is waited for changes, and
 * removed. Timers, wake-ups and whatever else is not a socket stay with libuv: its loop is one more
 * descriptor here, and runs when it has something to do.
 *
 * A struct polled is embedded in what it belongs to. Waiting for something needs memory of the
 * kernel's: poller_add() may fail, and nothing else does. */
#ifndef SLUICE_POLLER_H
#define SLUICE_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <uv.h>

#define POLLER_EVENTS_MAX 256 /* in one turn */

struct polled;

/* EVENTS are those of EPOLLIN and EPOLLOUT that are waited for, or EPOLLERR, whatever is waited
 * for. A hang-up is told as both of the former. */
typedef void (*polled_cb)(struct polled *it, uint32_t events);
typedef void (*polled_closed_cb)(struct polled *it);

struct polled {
	int fd;
	uint16_t events; /* waited for; all of them are among the lowest bits */
	bool closed;
	polled_cb on_event;
	polled_closed_cb on_closed; /* once it is closed; NULL: nobody asks */
	void *owner;
	struct polled *next_closed;
};

struct poller {
	uv_loop_t *loop;
	int fd;
	unsigned n_polled;
	struct polled *closed; /* on_closed() is still to be called */
	struct epoll_event events[POLLER_EVENTS_MAX];
};

/* LOOP stays the caller's, is run by poller_turn() alone from now on, and outlives P. */
int poller_open(struct poller *p, uv_loop_t *loop);
/* Nothing is polled any more. Accepts one that is zeroed. */
void poller_close(struct poller *p);

/* Handle what there is, after having waited for something if WAIT is set. Returns whether there is
 * anything left that could happen. */
bool poller_turn(struct poller *p, bool wait);

/* Wait for EVENTS (EPOLLIN, EPOLLOUT, or 0: an error only) of FD. Returns 0 or a negative errno. */
int poller_add(struct poller *p, struct polled *it, int fd, uint32_t events, polled_cb on_event,
	       void *owner);
/* Wait for others. */
void poller_set(struct poller *p, struct polled *it, uint32_t events);
/* No event comes any more, and FD may be closed. IT has to stay until ON_CLOSED is called, which is
 * at the end of the turn; without ON_CLOSED, until that end. */
void poller_remove(struct poller *p, struct polled *it, polled_closed_cb on_closed);

#endif
