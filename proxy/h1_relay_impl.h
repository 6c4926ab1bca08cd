/* SPDX-License-Identifier: Apache-2.0 */
/* h1_relay_impl.h - what the files h1_relay*.c share. */
#ifndef SLUICE_H1_RELAY_IMPL_H
#define SLUICE_H1_RELAY_IMPL_H

#include <assert.h>
#include "h1_relay.h"

/* The only way in which bytes leave, but for those that audit passes. */
static inline void relay_send(struct h1_relay *r, enum relay_side to, const char *buf, size_t len)
{
	if (!r->env->audit)
		r->env->host->send(r->ctx, to, buf, len);
}

/* A run of bytes that is passed on in one piece: heads and bodies that follow each other cost one
 * system call. Where something in between is not passed on, or the relay ends, it is flushed
 * first. */
struct relay_run {
	const char *from;
	size_t len;
};

static inline void relay_run_add(struct relay_run *run, const char *bytes, size_t len)
{
	if (run->len == 0)
		run->from = bytes;
	assert(run->from + run->len == bytes);
	run->len += len;
}

static inline void relay_run_flush(struct h1_relay *r, enum relay_side to, struct relay_run *run)
{
	if (run->len > 0 && r->state != H1_RELAY_CLOSED)
		relay_send(r, to, run->from, run->len);
	run->len = 0;
}

/* The only place where the state changes; asserts the table of moves. */
void relay_move(struct h1_relay *r, enum h1_relay_state to);
/* Reset both sides. */
void relay_close(struct h1_relay *r, enum close_reason why);
/* Everything for the client is queued: half-close and drain. */
void relay_end(struct h1_relay *r, enum close_reason why);

void relay_push(struct h1_relay *r, struct exchange *x);
void relay_pop(struct h1_relay *r);
/* What a popped exchange still carried is over. */
void relay_carry_no_more(struct h1_relay *r);

/* Send the answers of ours whose turn has come. */
void relay_answer(struct h1_relay *r);
/* What is being read from the client breaks the grammar or a limit: answer STATUS in its turn and
 * end. */
void relay_reject(struct h1_relay *r, unsigned status, const char *why);

/* A response cannot be read: its bytes pass from here on, and no further request does. */
void relay_go_raw(struct h1_relay *r);

/* In audit: tell the host what the reason would be, read no further, and return true. Otherwise
 * nothing happens. */
bool relay_audited(struct h1_relay *r, enum close_reason why);
/* The same, when the host knows already. */
bool relay_go_blind(struct h1_relay *r);
/* Requests have passed that wait to be read: what the server sends may answer one of them. */
static inline bool relay_is_behind(const struct h1_relay *r)
{
	return r->env->audit && r->blocked;
}
size_t relay_feed_audit(struct h1_relay *r, enum relay_side from, const char *buf, size_t len);

/* Read what is offered, and pass it on where it may. Returns how much was used. */
size_t relay_read(struct h1_relay *r, enum relay_side from, const char *buf, size_t len);
size_t relay_read_requests(struct h1_relay *r, const char *buf, size_t len);
size_t relay_read_responses(struct h1_relay *r, const char *buf, size_t len);

#endif
