/* SPDX-License-Identifier: Apache-2.0 */
/* netns.h - a network namespace in which sockets of ours are born.
 *
 * Reference-counted; all threads share one for each namespace, and nothing changes but the number
 * of connections. A thread goes there
 * for the moment of a socket() and comes back; the socket stays where it was made. */
#ifndef SLUICE_NETNS_H
#define SLUICE_NETNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct netns {
	atomic_uint refs;
	uint32_t number;	 /* as steer.h counts; 0: the host's, where all threads live */
	int fd;			 /* of the namespace */
	struct netns *home;	 /* the host's; NULL: it is that itself */
	_Atomic(uint64_t) conns; /* of all workers there */
	atomic_bool awaited;	 /* somebody waits for there to be none */
};

/* The namespace in which the caller is, as number 0. Returns 0 or a negative errno. */
int netns_home(struct netns **ret);
/* Another one, by a descriptor (/proc/PID/ns/net) that stays the caller's. */
int netns_new(struct netns *home, int fd, uint32_t number, struct netns **ret);
struct netns *netns_ref(struct netns *n); /* any thread */
void netns_unref(struct netns *n);	  /* the same; accepts NULL */

/* A connection is there, or has gone: any thread; accept NULL. netns_leave() returns whether it was
 * the last one, and somebody waits for that. */
void netns_enter(struct netns *n);
bool netns_leave(struct netns *n);
/* Is no connection there? Otherwise the one who sees the last one leave is told from now on. */
bool netns_is_left(struct netns *n);

/* socket() in N; NULL: where the thread is. Returns a descriptor, or a negative errno: also that
 * with which the thread could not go there. One that could not come back would make the sockets of
 * others in the wrong place, so the process ends (abort). */
int netns_socket(const struct netns *n, int family, int type, int protocol);

#endif
