/* SPDX-License-Identifier: Apache-2.0 */
/* h1_relay.h - relays one HTTP/1 connection between a client (down) and a server (up), without I/O.
 *
 * Both directions are parsed. Every request head is judged before a byte of it is passed on; what
 * is allowed is passed on as it came, or with the head that the host gives in its place; what is
 * denied is answered here, in its turn. The relay holds
 * no bytes: the host offers what it has read, is told how much was used, and offers the rest again.
 *
 * How a connection goes:
 *   HTTP      requests are judged, responses are matched to them.
 *   HELD      an Upgrade or CONNECT was forwarded; later bytes of the client wait for its answer.
 *             101 to a websocket request or 2xx to CONNECT: TUNNEL. Any other final answer: HTTP.
 *   TUNNEL    bytes pass both ways, unread.
 *   RAW       a response could not be read: its bytes pass to the client until the end, and no
 *             further request passes, since nobody knows which answer would be whose.
 *   LAST      one more answer of ours ends the connection; it waits for those before it.
 *   ENDED     that answer is queued: the client's side is half-closed and drained by the host.
 *   CLOSED    the host was told to reset both sides, or to hand the connection to the relay of
 *             HTTP/2. Reachable from every state.
 *
 * In audit the relay looks on and changes nothing (h1_relay_audit.c): every byte passes as soon as
 * it is offered, ends likewise, and whatever would be refused is told to the host and passes. LAST,
 * ENDED and CLOSED do not occur; in their place there is
 *   BLIND     what passes cannot be read any more, and is not. */
#ifndef SLUICE_H1_RELAY_H
#define SLUICE_H1_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include "exchange.h"
#include "h1.h"
#include "limit.h"
#include "sluice/close_reason.h"

#define H1_AUDIT_AHEAD_MAX (64 * 1024) /* bytes that pass while requests in them cannot be read */

enum relay_side { RELAY_DOWN, RELAY_UP };

enum judged {
	JUDGED_ALLOW,
	JUDGED_DENY,	  /* answer 403 */
	JUDGED_MALFORMED, /* answer 400 and close */
	JUDGED_TOO_LARGE, /* answer 431 and close */
	JUDGED_CLOSE,	  /* the host has closed the connection */
};

/* What the relay asks of whoever owns the sockets. CTX is the pointer given to h1_relay_init(). */
struct relay_host {
	/* Queue bytes towards a side, behind all others. On failure the host closes the connection.
	 */
	void (*send)(void *ctx, enum relay_side to, const char *buf, size_t len);
	/* More is queued towards that side than should be. */
	bool (*congested)(void *ctx, enum relay_side to);
	/* Judge a whole request head and remember in X what its record needs. *EDITED is empty; the
	 * host may store a head that is to be passed on in place of this one, which has to be there
	 * until the next request is judged. */
	enum judged (*judge)(void *ctx, struct h1_head *head, struct exchange *x,
			     struct span *edited);
	/* The head of the final response to X was read; STATUS 0: it could not be read. */
	void (*answered)(void *ctx, const struct exchange *x, unsigned status);
	/* A request was refused before it could be judged. WHY is a static phrase. */
	void (*refused)(void *ctx, unsigned status, const char *why);
	/* Audit: but for it the connection would end now, for this reason. May be NULL otherwise.
	 */
	void (*audited)(void *ctx, enum close_reason why);
	/* The other side has ended its half: half-close this one once everything is sent. */
	void (*finish)(void *ctx, enum relay_side to);
	/* The last bytes for the client are queued: drop the server (RESET: it must not take what
	 * it got for complete), half-close the client, drain it, and close. */
	void (*end)(void *ctx, enum close_reason why, bool reset);
	/* Close both sides now, by a reset. */
	void (*close)(void *ctx, enum close_reason why);
	/* The connection begins with the preface of HTTP/2, of which nothing was used: another
	 * relay takes over, and this one is CLOSED. False: out of memory. */
	bool (*http2)(void *ctx);
};

enum h1_relay_state {
	H1_RELAY_HTTP,
	H1_RELAY_HELD,
	H1_RELAY_TUNNEL,
	H1_RELAY_RAW,
	H1_RELAY_BLIND,
	H1_RELAY_LAST,
	H1_RELAY_ENDED,
	H1_RELAY_CLOSED,
	H1_RELAY_STATE_MAX,
};

/* What all relays of one worker share. */
struct h1_relay_env {
	const struct relay_host *host;
	struct exchange_pool *exchanges;
	struct h1_head *head; /* scratch */
	const struct limits *limits;
	bool audit;
};

/* HEAD becomes the scratch of all relays of ENV, and is bounded by LIMITS. */
void h1_relay_env_init(struct h1_relay_env *env, const struct relay_host *host,
		       struct exchange_pool *exchanges, struct h1_head *head,
		       const struct limits *limits);

/* Embedded in a connection. */
struct h1_relay {
	struct h1 req, res;
	const struct h1_relay_env *env;
	void *ctx;
	struct exchange *first, *last; /* open exchanges, oldest first */
	struct exchange *current; /* that of the request being read, while it is in the queue */
	/* Of an exchange that has been answered and still carries bytes: a tunnel, or a body that
	 * goes on behind its answer. */
	struct kept_request *carried;
	uint64_t denied_body; /* bytes of the current denied body read so far */
	uint32_t heads;	      /* request heads read so far */
	uint32_t ahead[2];    /* audit: bytes of each side that have passed and are not read */
	uint16_t n_exchanges;
	uint8_t state;	  /* enum h1_relay_state */
	bool detected;	  /* the first bytes were HTTP/1 */
	bool forwarded;	  /* a request has been passed on */
	bool in_request;  /* its head was read, its end was not */
	bool in_response; /* likewise, for a final response */
	bool tunnels;	  /* the response being read makes the connection a tunnel */
	bool carries;	  /* there is such an exchange */
	bool discarding;  /* the request being read was denied */
	bool body_begun;  /* a byte of its body has been passed on, or the server sent 100 */
	bool body_stale;  /* it was answered before its body, which the client had announced, began
			   */
	bool cut_short; /* the server got the beginning of a request that will never be complete */
	bool server_ended; /* no response will come any more */
	bool expecting;	   /* h1_expect() was told of the first exchange */
	bool blocked; /* the client's bytes wait for an answer or for room, not for more bytes */
	bool head_incomplete; /* a request head has begun and is not whole: its time runs */
};

void h1_relay_init(struct h1_relay *r, const struct h1_relay_env *env, void *ctx);

/* Offer bytes that were read from a side, beginning with those that were not used last time.
 * Returns how many were used. Do not call it while the other side is congested or after close(). */
size_t h1_relay_feed(struct h1_relay *r, enum relay_side from, const char *buf, size_t len);

/* A side ended its half in the middle of something: these bytes of it will never be whole. A
 * server's pass as they are; a client's, which nobody has judged, are dropped. Comes before
 * h1_relay_eof(). */
void h1_relay_rest(struct h1_relay *r, enum relay_side from, const char *buf, size_t len);

/* A side ended its half; everything before was offered, and what was not used will never be. */
void h1_relay_eof(struct h1_relay *r, enum relay_side from);

/* The connection is about to be closed, and nothing more is offered. In audit what has passed and
 * waits to be read is told to the host; otherwise it never left, and nothing happens. */
void h1_relay_lost(struct h1_relay *r);

/* The head that has begun did not become whole in time: answer 408 and end. */
void h1_relay_head_timeout(struct h1_relay *r);

/* Call FN with every request that was forwarded and of which something is still in flight, as it
 * was judged, or NULL where it could not be kept, until it returns false. */
bool h1_relay_in_flight(const struct h1_relay *r,
			bool (*fn)(void *ctx, const struct kept_request *k), void *ctx);

/* Give the exchanges back. */
void h1_relay_done(struct h1_relay *r);

/* May more bytes be read from this side, as far as the relay is concerned? */
bool h1_relay_wants(const struct h1_relay *r, enum relay_side from, size_t unused);

/* So many of the next bytes of this side will be used as soon as they are offered, whatever they
 * are, unless the connection ends: they belong to a body or a tunnel. 0: nobody knows. */
uint64_t h1_relay_sure(const struct h1_relay *r, enum relay_side from);

#endif
