/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves the relay: frames of the peers as they came, header blocks that have to be written
 * anew, and frames of our own. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "h2_relay_impl.h"

#define NOTE_MAX 128 /* bytes of one note, RST_STREAM included */

static void send_to(struct h2_relay *r, enum relay_side to, const char *bytes, size_t len)
{
	if (!r->env->audit && r->state != H2_RELAY_CLOSED && !r->ends[to].finished && len > 0)
		r->env->host->send(r->ctx, to, bytes, len);
}

void h2_run_flush(struct h2_relay *r, struct h2_run *run)
{
	send_to(r, run->to, run->from, run->len);
	run->len = run->staged = 0;
}

void h2_run_add(struct h2_relay *r, struct h2_run *run, const char *bytes, size_t len)
{
	if (run->len > 0 && run->from + run->len != bytes)
		h2_run_flush(r, run);
	if (run->len == 0)
		run->from = bytes;
	run->len += len;
}

/* --- header blocks --- */

/* A block of more than one frame, as CONTINUATION frames behind its first bytes, which begin at
 * FRAME with room for a header. Each later header overwrites bytes that have been sent. */
static void send_long_block(struct h2_relay *r, enum relay_side to, char *frame, size_t len,
			    uint8_t flags, uint32_t stream)
{
	uint8_t type = NGHTTP2_HEADERS;

	while (len > 0) {
		size_t n = len < H2_FRAME_SIZE_MIN ? len : H2_FRAME_SIZE_MIN;

		if (n == len)
			flags |= NGHTTP2_FLAG_END_HEADERS;
		h2_write_frame_header(frame, (uint32_t)n, type, flags, stream);
		send_to(r, to, frame, H2_FRAME_HEADER_LEN + n);
		frame += n;
		len -= n;
		type = NGHTTP2_CONTINUATION;
		flags = 0;
	}
}

static void rewrite_block(struct h2_relay *r, struct h2_run *run)
{
	struct h2_end *end = &r->ends[h2_other(run->to)];
	struct h2_relay_env *env = r->env;
	const struct h2_head *head = &env->head;
	uint8_t flags = end->in.frame.flags & NGHTTP2_FLAG_END_STREAM;
	char *frame, *at;
	size_t len;

	assert(!head->known); /* it has no fields */
	if (run->len == 0 || sizeof(env->out) - run->staged < H2_WRITTEN_MAX + 32 ||
	    run->from + run->len != env->out + run->staged)
		h2_run_flush(r, run);
	frame = env->out + run->staged;
	at = frame + H2_FRAME_HEADER_LEN;
	if (head->has_priority) {
		flags |= NGHTTP2_FLAG_PRIORITY;
		memcpy(at, head->priority, sizeof(head->priority));
		at += sizeof(head->priority);
	}
	if (end->rewriting && !end->resized) {
		at += h2_write_resize(at, 0);
		end->resized = true;
	}
	at += h2_write_block(at, head);
	len = (size_t)(at - frame) - H2_FRAME_HEADER_LEN;
	if (len > H2_FRAME_SIZE_MIN) {
		h2_run_flush(r, run);
		send_long_block(r, run->to, frame, len, flags, end->in.frame.stream);
		return;
	}
	h2_write_frame_header(frame, (uint32_t)len, NGHTTP2_HEADERS,
			      flags | NGHTTP2_FLAG_END_HEADERS, end->in.frame.stream);
	h2_run_add(r, run, frame, (size_t)(at - frame));
	run->staged += (size_t)(at - frame);
}

void h2_pass_block(struct h2_relay *r, struct h2_run *run, const char *bytes, size_t len)
{
	enum relay_side from = h2_other(run->to);

	if (r->env->audit)
		return; /* it has gone on as it came */
	/* Literals leave the decoder's table as it is, which is right if BYTES would have. */
	if (r->env->head.edited)
		h2_drop_block(r, from);
	if (r->env->head.edited || r->ends[from].rewriting) {
		rewrite_block(r, run);
		return;
	}
	if (from == RELAY_UP) {
		/* The server has said what the client's decoder waited for. */
		h2_block_resizes(r->env->head.block, &r->table);
		r->table_min = UINT32_MAX;
	}
	h2_run_add(r, run, bytes, len);
}

void h2_drop_block(struct h2_relay *r, enum relay_side from)
{
	if (r->ends[from].rewriting || !h2_block_mutates(r->env->head.block))
		return;
	r->ends[from].rewriting = true;
	h2_known_off(&r->ends[from].in.known);
}

/* --- our own frames --- */

void h2_note(struct h2_relay *r, enum relay_side to, struct h2_note note)
{
	struct h2_end *end = &r->ends[to];

	if (end->finished)
		return; /* it has been told that nothing more comes */
	if (end->n_notes == end->notes_room) {
		size_t room = end->notes_room ? 2 * end->notes_room : 16;
		struct h2_note *notes = realloc(end->notes, room * sizeof(*notes));

		if (!notes) {
			h2_close(r, CLOSE_OOM);
			return;
		}
		end->notes = notes;
		end->notes_room = room;
	}
	end->notes[end->n_notes++] = note;
}

/* May a frame of ours go to that side now? */
static bool between_frames(const struct h2_relay *r, enum relay_side to)
{
	const struct h2_end *other = &r->ends[h2_other(to)];

	return other->greeted && !(other->passing && other->in.left > 0) && !r->ends[to].finished;
}

/* The size update that a block of ours for the client has to begin with, if any. */
static size_t write_due_resize(struct h2_relay *r, char *out)
{
	struct h2_end *server = &r->ends[RELAY_UP];

	if (server->rewriting) {
		if (server->resized)
			return 0;
		server->resized = true;
		return h2_write_resize(out, 0);
	}
	if (r->table_min >= r->table)
		return 0;
	r->table = r->table_min;
	return h2_write_resize(out, r->table);
}

static size_t write_field(char *out, const char *name, const char *value)
{
	return h2_write_field(out, span_of(name), span_of(value), false);
}

static size_t write_answer(struct h2_relay *r, const struct h2_note *note, char *out)
{
	char *at = out + H2_FRAME_HEADER_LEN;

	at += write_due_resize(r, at);
	if (note->kind == H2_NOTE_DENIED_CALL) {
		/* A response of trailers only, as a gRPC server refuses. */
		at += write_field(at, ":status", "200");
		at += write_field(at, "content-type", "application/grpc");
		at += write_field(at, "grpc-status", "7");
		at += write_field(at, "grpc-message", "Access denied");
	} else {
		char status[12];

		snprintf(status, sizeof(status), "%u", note->code);
		at += write_field(at, ":status", status);
		at += write_field(at, "content-length", "0");
	}
	h2_write_frame_header(out, (uint32_t)(at - out - H2_FRAME_HEADER_LEN), NGHTTP2_HEADERS,
			      NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, note->stream);
	if (note->reset)
		at += h2_write_rst(at, note->stream, NGHTTP2_NO_ERROR);
	return (size_t)(at - out);
}

void h2_say(struct h2_relay *r, enum relay_side to)
{
	struct h2_end *end = &r->ends[to];
	char buf[64 * NOTE_MAX];
	size_t len = 0;

	if ((end->n_notes == 0 && end->credit == 0) || !between_frames(r, to))
		return;
	for (size_t i = 0; i < end->n_notes; i++) {
		const struct h2_note *note = &end->notes[i];

		if (sizeof(buf) - len < NOTE_MAX) {
			send_to(r, to, buf, len);
			len = 0;
		}
		if (note->kind == H2_NOTE_RST)
			len += h2_write_rst(buf + len, note->stream, note->code);
		else
			len += write_answer(r, note, buf + len);
	}
	end->n_notes = 0;
	if (sizeof(buf) - len < NOTE_MAX) {
		send_to(r, to, buf, len);
		len = 0;
	}
	if (end->credit > 0 && !r->env->host->congested(r->ctx, to)) {
		len += h2_write_window_update(buf + len, 0, end->credit);
		end->credit = 0;
	}
	send_to(r, to, buf, len);
}

void h2_say_goaway(struct h2_relay *r, uint32_t code)
{
	char buf[32];

	if (between_frames(r, RELAY_DOWN))
		send_to(r, RELAY_DOWN, buf, h2_write_goaway(buf, r->highest_passed, code));
}
