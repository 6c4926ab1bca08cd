/* SPDX-License-Identifier: Apache-2.0 */
/* h2_relay_impl.h - what the files h2_relay*.c share. */
#ifndef SLUICE_H2_RELAY_IMPL_H
#define SLUICE_H2_RELAY_IMPL_H

#include "h2_relay.h"

/* Bytes that pass to the other side in one piece: of the buffer that is read, or of env->out, of
 * which STAGED bytes are taken. */
struct h2_run {
	enum relay_side to;
	const char *from;
	size_t len, staged;
};

static inline enum relay_side h2_other(enum relay_side side)
{
	return side == RELAY_DOWN ? RELAY_UP : RELAY_DOWN;
}

/* h2_relay_out.c: what leaves. */
void h2_run_add(struct h2_relay *r, struct h2_run *run, const char *bytes, size_t len);
void h2_run_flush(struct h2_relay *r, struct h2_run *run);
/* Pass on the header block in env->head, whose frames are BYTES. */
void h2_pass_block(struct h2_relay *r, struct h2_run *run, const char *bytes, size_t len);
/* The same block does not pass. */
void h2_drop_block(struct h2_relay *r, enum relay_side from);
/* Queue a frame of ours. */
void h2_note(struct h2_relay *r, enum relay_side to, struct h2_note note);
/* Send what is queued, if it may go now. */
void h2_say(struct h2_relay *r, enum relay_side to);
/* GOAWAY, if it may go now. */
void h2_say_goaway(struct h2_relay *r, uint32_t code);

/* h2_relay_settings.c: pass on a whole SETTINGS frame. Returns 0 or -EPROTO or -EMSGSIZE with *WHY.
 */
int h2_pass_settings(struct h2_relay *r, struct h2_run *run, const char *bytes, size_t len,
		     const char **why);

/* h2_relay_client.c, h2_relay_server.c: one event. */
void h2_on_client(struct h2_relay *r, enum h2_event event, const char *bytes, size_t len,
		  struct h2_run *run);
void h2_on_server(struct h2_relay *r, enum h2_event event, const char *bytes, size_t len,
		  struct h2_run *run);

/* h2_relay.c. End the connection because of what BY has sent. */
void h2_fail(struct h2_relay *r, enum relay_side by, uint32_t code, const char *why,
	     struct h2_run *run);
void h2_close(struct h2_relay *r, enum close_reason why);
/* The stream is over for both sides, or was reset with a code by one of them. */
void h2_over(struct h2_relay *r, struct h2_stream *s, uint32_t reset);
/* Reset it on both sides. */
void h2_kill(struct h2_relay *r, struct h2_stream *s, uint32_t code);
/* A DATA frame of FROM begins that goes nowhere: its window is to be given back. */
void h2_give_back(struct h2_relay *r, enum relay_side from, struct h2_run *run);
/* A frame went nowhere. Too many of them: ends the connection. */
void h2_count_swallowed(struct h2_relay *r, struct h2_run *run);
/* Audit: read no further. */
void h2_go_blind(struct h2_relay *r);
/* Audit: what was not passed yet passes, and is read. Returns how much was used. */
size_t h2_feed_audit(struct h2_relay *r, enum relay_side from, const char *buf, size_t len);
/* Read what is offered, and pass it on where it may. Returns how much was used. */
size_t h2_read(struct h2_relay *r, enum relay_side from, const char *buf, size_t len);
/* SETTINGS of either side. */
void h2_on_settings(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run);

#endif
