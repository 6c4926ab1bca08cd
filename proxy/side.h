/* SPDX-License-Identifier: Apache-2.0 */
/* side.h - one socket of a connection: what is polled of it, what was read and not used, what could
 * not be sent yet. Embedded twice in a connection.
 *
 * IN holds bytes that were read and wait for more or for room; OUT holds bytes that the kernel did
 * not take. Both are borrowed from the worker's pool and NULL on an idle connection. A side with
 * bytes in OUT is congested: nobody reads for it until they are gone, so OUT stays below one read
 * (WORKER_BULK_SIZE at most) plus the answers of ours.
 *
 *	eof	read	finished	written
 *	no	yes	no		yes		open
 *	yes	no	no		yes		the peer half-closed
 *	no	yes	yes		no		we half-closed
 *	yes	no	yes		no		both: nothing is armed any more */
#ifndef SLUICE_SIDE_H
#define SLUICE_SIDE_H

#include <stdbool.h>
#include <sys/types.h>
#include "buffer.h"
#include "poller.h"

struct side {
	struct polled polled;
	int fd; /* -1: closed */
	struct buffer *in;
	struct buffer *out, *out_last;
	bool connecting;
	bool eof;	 /* the peer ended its half */
	bool eof_passed; /* the relay has been told */
	bool finish;	 /* half-close once OUT is empty */
	bool finished;	 /* half-closed */
	bool emptied;	 /* its bytes were all gone, once or more since it was looked at */
	bool broken; /* the peer reset: nothing can be sent, what it sent before may still be read
		      */
};

/* Close FD by a reset. */
void side_reset(int fd);

/* What both sockets of a connection need; those that a listener accepts inherit it from the
 * listener. Delays are for the ends to choose: what they wrote goes on at once. Keep-alive finds
 * peers that are gone without a word, for which the application's own probes, which end here, are
 * no longer good. */
void side_set_options(int fd);

/* Take over FD, and wait for EVENTS of it. On failure FD is reset and a negative errno is returned.
 * ON_EVENT gets what is polled. */
int side_open(struct side *s, struct poller *p, int fd, uint32_t events, polled_cb on_event,
	      void *owner);

/* Read once, into IN if it holds bytes, else into SCRATCH of SIZE bytes. Returns the number of new
 * bytes, 0 at the end of the peer's half (EOF is set), -EAGAIN, -ENOBUFS when there is no room, or
 * another negative errno when the peer reset the connection. */
ssize_t side_read(struct side *s, struct buffer_pool *pool, char *scratch, size_t size);

/* Bytes that were offered and not used begin at BUF: keep them in IN. Returns 0, or
 * -ENOBUFS, also when they are more than BUFFER_MAX. */
int side_keep(struct side *s, struct buffer_pool *pool, const char *buf, size_t len);

/* The first N bytes of IN were used. */
void side_used(struct side *s, struct buffer_pool *pool, size_t n);

/* Send, or queue what the kernel does not take. Returns 0, or a negative errno: -ENOBUFS, or that
 * of send(). */
int side_send(struct side *s, struct buffer_pool *pool, const char *buf, size_t len);

/* Send what is queued, and half-close if that was the last. Returns 0 (also when something is left)
 * or the negative errno of send(). */
int side_flush(struct side *s, struct buffer_pool *pool);

/* Wait for these events from now on: EPOLLIN, EPOLLOUT, or 0, which still notices a reset. */
void side_arm(struct side *s, struct poller *p, uint32_t events);

/* Close the socket, by a reset or in order. It is removed from the poller with ON_CLOSED, which has
 * to call side_release(): until then the buffers stay, since a side may be closed while the relay
 * reads from them. Returns false if it was closed before. */
bool side_close(struct side *s, struct poller *p, bool reset, polled_closed_cb on_closed);
void side_release(struct side *s, struct buffer_pool *pool);

static inline bool side_congested(const struct side *s)
{
	return s->out != NULL && s->fd >= 0;
}

#endif
