/* SPDX-License-Identifier: Apache-2.0 */
/* h2_stage.h - a relay of HTTP/2 between two wires in memory, for tests and fuzzers.
 *
 * As struct stage is for HTTP/1: it offers what was read in exact-size copies, and holds the relay
 * to its contract. What arrives at each side is kept as bytes and, decoded, as lines of h2_text.h.
 *
 * The judge is that of stage_policy.h. When the policy changes, "/later..." is no longer allowed.
 */
#ifndef SLUICE_TEST_H2_STAGE_H
#define SLUICE_TEST_H2_STAGE_H

#include "h2_relay.h"
#include "h2_text.h"
#include "stage_policy.h"

#define H2_STAGE_BUFFER_MAX ((size_t)64 * 1024)

struct h2_stage_side {
	struct bytes wire, unused;
	struct bytes taken;	 /* audit: all that was read */
	struct bytes sent;	 /* what arrives there, since somebody emptied it */
	struct h2_reader reader; /* and all of it, decoded */
	bool hung_up, eof, eof_passed, finished, congested, stuck;
};

struct h2_stage {
	struct h2_relay relay;
	struct h2_relay_env *env;
	struct kept kept;
	struct h2_stage_side sides[2];
	bool congest;	 /* every send fills the socket until all that can be done was done */
	bool up_first;	 /* the server's bytes have their turn first */
	bool no_readers; /* what arrives need not be readable */
	bool ended, closed;
	enum close_reason why;
	struct bytes log; /* "+1 =1:200 .1 -3 !400 *down": allowed, answered, over, denied,
			   * refused, broken by whom */
	unsigned n_allowed, n_denied, n_over, n_turns;
	unsigned n_again;	      /* of those allowed: passed without being judged */
	size_t at_once, most_at_once; /* bytes that were sent up while that side was congested */
	enum judged (*verdict)(void *ctx, const struct request *req, bool connect); /* or NULL */
	void *verdict_ctx;
};

void h2_stage_begin(struct h2_stage *s);
/* The relay only looks on: after every offer all that was read has gone on, and nothing else has;
 * nothing is closed or ended. What arrives is not decoded. */
void h2_stage_begin_audit(struct h2_stage *s);
void h2_stage_done(struct h2_stage *s);

/* The peer of a side sends, or ends its half. Then everything happens that can. */
void h2_stage_put(struct h2_stage *s, enum relay_side from, const void *bytes, size_t len);
void h2_stage_hang_up(struct h2_stage *s, enum relay_side from);
void h2_stage_settle(struct h2_stage *s);

/* "open", "finish up", "end http2", "close oom"; in audit "blind" before it where nothing is read
 * any more */
void h2_stage_describe_end(const struct h2_stage *s, char *buf, size_t size);

#endif
