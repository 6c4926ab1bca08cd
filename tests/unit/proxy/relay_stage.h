/* SPDX-License-Identifier: Apache-2.0 */
/* relay_stage.h - a relay between two wires in memory, for tests and fuzzers.
 *
 * The stage plays the connection: it reads from a wire while the relay wants to, offers what was
 * not used again with more behind it, and tells of ends. It holds the relay to its contract at
 * every call: what passes is passed verbatim and in order, nothing of a server is left out, nothing
 * is sent behind an end. Every offer is an exact-size copy on the heap, so that a sanitizer notices
 * an over-read.
 *
 * In audit it holds the relay to more: after every offer all that was read has gone on, and nothing
 * else has; nothing is closed or ended.
 *
 * The judge is that of stage_policy.h. Paths that begin like those of its actions are allowed, and
 * their heads edited; one that grows too large is refused. */
#ifndef SLUICE_TEST_RELAY_STAGE_H
#define SLUICE_TEST_RELAY_STAGE_H

#include "h1_relay.h"
#include "bytes.h"
#include "stage_policy.h"
#include "sluice/verdict.h"

/* What a connection reads at most before it has to be used. */
#define STAGE_BUFFER_MAX ((size_t)64 * 1024)
/* What it may read before that, if it is sure to be used. */
#define STAGE_SURE_MAX ((size_t)448 * 1024)

struct stage_side {
	struct bytes wire;   /* sent by the peer, not read yet */
	struct bytes unused; /* read, offered, not used */
	struct bytes sent;   /* what the peer gets */
	struct bytes taken;  /* audit: all that was read */
	bool hung_up;	     /* the peer ends its half behind what is on the wire */
	bool eof, eof_passed;
	bool finished;	/* the relay has half-closed it */
	bool congested; /* by the last send */
	bool stuck;	/* congested until the script says otherwise */
};

/* Someone who looks on. Each may be NULL. */
struct stage_watch {
	void (*judged)(void *ctx, const struct h1_head *head, enum judged verdict);
	void (*passed)(void *ctx, enum relay_side to, const char *buf, size_t len);
	void (*answer)(void *ctx, const char *buf, size_t len); /* sluice's own */
	void (*refused)(void *ctx, unsigned status);
};

struct stage {
	struct h1_relay relay;
	struct h1_relay_env env;
	struct exchange_pool exchanges;
	struct h1_head head;
	struct stage_side sides[2];
	bool congest;  /* every send fills the socket until all that can be done was done */
	bool up_first; /* the server's bytes have their turn first */
	bool ended, closed, reset;
	enum close_reason why;
	struct {
		char *bytes; /* of the request that was judged last, or NULL */
		size_t len;
		const char *behind; /* where the head in its place ends */
		bool due;	    /* it has to be sent, once, before anything else */
	} edited;
	/* "+/a =200 -/deny !400 ~tls": allowed, answered, denied, refused, audited; '?' malformed,
	 * '*' too large when edited, '#' closed */
	struct bytes log;
	struct {
		const char *buf;
		size_t len, passed;
		enum relay_side from;
	} offer; /* the feed that is going on */
	const struct stage_watch *watch;
	void *watch_ctx;
};

void stage_begin(struct stage *s);
void stage_begin_audit(struct stage *s);
void stage_done(struct stage *s); /* everything borrowed must have come back */

/* The peer of a side sends, or ends its half. Then everything happens that can. */
void stage_put(struct stage *s, enum relay_side from, const char *buf, size_t len);
void stage_hang_up(struct stage *s, enum relay_side from);
void stage_head_timeout(struct stage *s);
/* Everything that can happen now, happens. */
void stage_settle(struct stage *s);

/* "open", "finish up", "finish up down", "end denied", "end stale_body reset", "close tls" */
void stage_describe_end(const struct stage *s, char *buf, size_t size);

#endif
