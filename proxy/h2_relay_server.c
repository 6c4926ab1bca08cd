/* SPDX-License-Identifier: Apache-2.0 */
/* What a server's frames do: they pass, unless sluice has reset their stream. */
#include "h2_relay_impl.h"

static const struct h2_frame *frame_of(const struct h2_relay *r)
{
	return &r->ends[RELAY_UP].in.frame;
}

static bool ends_stream(const struct h2_relay *r)
{
	return frame_of(r)->flags & NGHTTP2_FLAG_END_STREAM;
}

/* The server has no more to say. It may still be told. */
static void end_by_server(struct h2_relay *r, struct h2_stream *s)
{
	s->server_ended = true;
	if (s->client_ended) {
		h2_over(r, s, 0);
	} else if (!s->reported) {
		s->reported = true;
		r->env->h2->over(r->ctx, s, 0);
	}
}

/* What the block in env->head says of a response. */
static struct h2_facts facts_of(struct h2_relay *r)
{
	const struct h2_head *head = &r->env->head;
	struct h2_facts facts = { .grpc_status = H2_NO_STATUS };
	const struct header *h;

	if (head->known)
		return *head->known;
	h = h2_find(head, "grpc-status");
	if (h)
		facts.grpc_status = (int16_t)grpc_status(h->value);
	facts.status = (uint16_t)h2_status(head);
	h2_remember(&r->ends[RELAY_UP].in, head, &facts);
	return facts;
}

/* The head of a response, or trailers. */
static void read_response(struct h2_relay *r, struct h2_stream *s)
{
	struct h2_facts facts = facts_of(r);

	if (facts.grpc_status != H2_NO_STATUS && s->grpc == GRPC_CALL)
		s->grpc_status = facts.grpc_status;
	if (s->responded)
		return;
	s->status = facts.status;
	if (s->status >= 100 && s->status < 200)
		return;
	s->responded = true;
	r->env->h2->answered(r->ctx, s);
}

static void on_headers(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	struct h2_stream *s = h2_streams_find(&r->streams, frame_of(r)->stream);

	if (s && s->killed) {
		h2_drop_block(r, RELAY_UP);
		return;
	}
	h2_pass_block(r, run, bytes, len);
	if (!s || s->server_ended)
		return;
	read_response(r, s);
	if (ends_stream(r))
		end_by_server(r, s);
}

static void on_stream_frame(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	const struct h2_frame *f = frame_of(r);
	struct h2_stream *s = f->stream ? h2_streams_find(&r->streams, f->stream) : NULL;

	r->ends[RELAY_UP].passing = !s || !s->killed;
	if (!r->ends[RELAY_UP].passing) {
		if (f->type == NGHTTP2_DATA)
			h2_give_back(r, RELAY_UP, run);
		return;
	}
	h2_run_add(r, run, bytes, len);
	if (!s)
		return;
	if (f->type == NGHTTP2_RST_STREAM)
		h2_over(r, s, h2_get32(bytes + H2_FRAME_HEADER_LEN));
	else if (f->type == NGHTTP2_DATA && ends_stream(r) && !s->server_ended)
		end_by_server(r, s);
}

/* Something on a stream on which no request was passed on. */
static bool unsolicited(const struct h2_relay *r)
{
	const struct h2_frame *f = frame_of(r);

	if (f->type != NGHTTP2_DATA && f->type != NGHTTP2_HEADERS &&
	    f->type != NGHTTP2_RST_STREAM && f->type != NGHTTP2_WINDOW_UPDATE)
		return false;
	return f->stream > r->highest_passed || (f->stream && f->stream % 2 == 0);
}

void h2_on_server(struct h2_relay *r, enum h2_event event, const char *bytes, size_t len,
		  struct h2_run *run)
{
	if (event == H2_PAYLOAD) {
		if (r->ends[RELAY_UP].passing)
			h2_run_add(r, run, bytes, len);
		return;
	}
	if (unsolicited(r)) {
		h2_fail(r, RELAY_UP, NGHTTP2_PROTOCOL_ERROR, "a response to no request", run);
		return;
	}
	if (event == H2_HEADERS)
		on_headers(r, bytes, len, run);
	else if (frame_of(r)->type == NGHTTP2_SETTINGS)
		h2_on_settings(r, bytes, len, run);
	else
		on_stream_frame(r, bytes, len, run);
}
