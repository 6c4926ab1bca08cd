/* SPDX-License-Identifier: Apache-2.0 */
/* What a client's frames do: requests are judged, and what belongs to them passes or goes nowhere.
 */
#include <stdlib.h>
#include "h2_relay_impl.h"

static const struct h2_frame *frame_of(const struct h2_relay *r)
{
	return &r->ends[RELAY_DOWN].in.frame;
}

static bool ends_stream(const struct h2_relay *r)
{
	return frame_of(r)->flags & NGHTTP2_FLAG_END_STREAM;
}

static void fail(struct h2_relay *r, uint32_t code, const char *why, struct h2_run *run)
{
	h2_fail(r, RELAY_DOWN, code, why, run);
}

/* The stream on which frames of the client pass, or NULL. */
static struct h2_stream *open_stream(const struct h2_relay *r, uint32_t id)
{
	struct h2_stream *s = h2_streams_find(&r->streams, id);

	return s && !s->killed ? s : NULL;
}

/* The request in env->head does not pass: answer it. */
static void answer(struct h2_relay *r, enum h2_note_kind kind, unsigned status)
{
	h2_drop_block(r, RELAY_DOWN);
	h2_note(r, RELAY_DOWN,
		(struct h2_note){ .stream = frame_of(r)->stream,
				  .code = status,
				  .kind = (uint8_t)kind,
				  .reset = !ends_stream(r) });
}

static void pass_request(struct h2_relay *r, const struct exchange *x, const struct h2_facts *facts,
			 const char *bytes, size_t len, struct h2_run *run)
{
	struct h2_stream *s = h2_streams_add(&r->streams, frame_of(r)->stream);

	if (!s) {
		kept_request_unref(r->env->kept, x->kept);
		kept_free(r->env->kept, x->record);
		h2_close(r, CLOSE_OOM);
		return;
	}
	s->x = *x;
	s->grpc = facts->grpc;
	s->tunnel = facts->connect || facts->protocol;
	s->has_length = facts->has_length && !s->tunnel;
	s->body_left = facts->content_length;
	s->client_ended = ends_stream(r);
	r->highest_passed = s->id;
	h2_pass_block(r, run, bytes, len);
}

/* What the fields cannot show by themselves. Returns what is wrong, or NULL. */
static const char *wrong_here(const struct h2_relay *r, const struct h2_facts *facts)
{
	if (facts->protocol && !r->extended_connect)
		return "a :protocol that the server has not enabled";
	if (ends_stream(r) && facts->has_length && facts->content_length > 0)
		return "a content-length without a body";
	return NULL;
}

/* What has to be known of the request that was read; in audit also of one that breaks the rules. */
static struct h2_facts facts_of(const struct h2_head *head)
{
	return (struct h2_facts){ .content_length = head->content_length,
				  .has_length = head->has_length,
				  .connect = head->connect,
				  .protocol = head->protocol.ptr,
				  .grpc = (uint8_t)head->grpc };
}

/* Ask the host, and remember what may pass again. */
static enum judged judge_anew(struct h2_relay *r, struct exchange *x, struct h2_facts *facts)
{
	struct h2_head *head = &r->env->head;
	bool again = false;
	enum judged verdict;

	verdict = r->env->h2->judge(r->ctx, head, frame_of(r)->stream, x, &again);
	if (verdict != JUDGED_ALLOW || !again || head->edited)
		return verdict;
	facts->kept = x->kept;
	if (h2_remember(&r->ends[RELAY_DOWN].in, head, facts))
		kept_request_ref(x->kept);
	return verdict;
}

static enum judged judge(struct h2_relay *r, struct exchange *x, struct h2_facts *facts)
{
	struct h2_head *head = &r->env->head;
	const char *why = NULL;

	if (head->known) {
		*facts = *head->known;
	} else {
		if (h2_read_request(head, &why) == 0)
			why = NULL;
		*facts = facts_of(head);
	}
	if (!why)
		why = wrong_here(r, facts);
	if (why) {
		r->env->h2->refused(r->ctx, 400, why);
		return JUDGED_MALFORMED;
	}
	if (!head->known)
		return judge_anew(r, x, facts);
	x->kept = kept_request_ref(facts->kept);
	r->env->h2->passed_again(r->ctx, frame_of(r)->stream);
	return JUDGED_ALLOW;
}

static void on_request(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	struct exchange x = { .version = 20 };
	struct h2_facts facts;
	enum judged verdict;

	r->highest_seen = frame_of(r)->stream;
	if (r->streams.n >= H2_STREAMS_MAX) {
		fail(r, NGHTTP2_ENHANCE_YOUR_CALM, "too many streams", run);
		return;
	}
	verdict = judge(r, &x, &facts);
	if (r->env->audit && verdict != JUDGED_CLOSE)
		verdict = JUDGED_ALLOW; /* the host has recorded what it is */
	switch (verdict) {
	case JUDGED_ALLOW:
		pass_request(r, &x, &facts, bytes, len, run);
		return;
	case JUDGED_DENY:
		answer(r, facts.grpc == GRPC_CALL ? H2_NOTE_DENIED_CALL : H2_NOTE_ANSWER, 403);
		break;
	case JUDGED_MALFORMED:
		answer(r, H2_NOTE_ANSWER, 400);
		break;
	case JUDGED_TOO_LARGE:
		answer(r, H2_NOTE_ANSWER, 431);
		break;
	case JUDGED_CLOSE:
		r->state = H2_RELAY_CLOSED;
		break;
	}
	kept_free(r->env->kept, x.record);
}

static void end_by_client(struct h2_relay *r, struct h2_stream *s)
{
	s->client_ended = true;
	if (s->server_ended)
		h2_over(r, s, 0);
}

/* The request on S is not what it promised to be: nobody gets more of it, but in audit. */
static void spoil(struct h2_relay *r, struct h2_stream *s, const char *why)
{
	r->env->h2->refused(r->ctx, 0, why);
	s->has_length = false;
	if (!r->env->audit)
		h2_kill(r, s, NGHTTP2_PROTOCOL_ERROR);
}

/* HEADERS on a stream that is not new: trailers, or a mistake, but never a request. */
static void on_trailers(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	const struct h2_head *head = &r->env->head;
	struct h2_stream *s = open_stream(r, frame_of(r)->stream);
	const char *why = NULL;

	/* Only requests are known. */
	if (head->known || (head->n_fields > 0 && head->fields[0].name.len > 0 &&
			    head->fields[0].name.ptr[0] == ':')) {
		fail(r, NGHTTP2_PROTOCOL_ERROR, "a request on a stream that is not new", run);
		return;
	}
	if (!s) {
		h2_drop_block(r, RELAY_DOWN);
		h2_count_swallowed(r, run);
		return;
	}
	if (s->client_ended) {
		fail(r, NGHTTP2_STREAM_CLOSED, "HEADERS behind the end of a stream", run);
		return;
	}
	if (!ends_stream(r))
		why = "HEADERS in the middle of a body";
	else if (s->has_length && s->body_left > 0)
		why = "a body that is shorter than its content-length";
	else
		h2_read_trailers(head, &why);
	if (why) {
		h2_drop_block(r, RELAY_DOWN);
		spoil(r, s, why);
		if (s->killed)
			return;
	}
	h2_pass_block(r, run, bytes, len);
	if (ends_stream(r))
		end_by_client(r, s);
}

static const char *wrong_length(const struct h2_relay *r, const struct h2_stream *s)
{
	uint32_t data = frame_of(r)->data;

	if (!s->has_length)
		return NULL;
	if (data > s->body_left)
		return "a body that is longer than its content-length";
	if (ends_stream(r) && data < s->body_left)
		return "a body that is shorter than its content-length";
	return NULL;
}

static void swallow_data(struct h2_relay *r, struct h2_run *run)
{
	h2_give_back(r, RELAY_DOWN, run);
	h2_count_swallowed(r, run);
}

static void on_data(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	struct h2_stream *s = open_stream(r, frame_of(r)->stream);
	const char *why;

	if (!s) {
		swallow_data(r, run);
		return;
	}
	if (s->client_ended) {
		fail(r, NGHTTP2_STREAM_CLOSED, "DATA behind the end of a stream", run);
		return;
	}
	why = wrong_length(r, s);
	if (why)
		spoil(r, s, why);
	if (s->killed) {
		swallow_data(r, run);
		return;
	}
	s->body_left -= s->has_length ? frame_of(r)->data : 0;
	r->ends[RELAY_DOWN].passing = true;
	h2_run_add(r, run, bytes, len);
	if (ends_stream(r))
		end_by_client(r, s);
}

/* RST_STREAM, WINDOW_UPDATE, and frames that nobody here knows. */
static void on_other(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	const struct h2_frame *f = frame_of(r);
	struct h2_stream *s = f->stream ? open_stream(r, f->stream) : NULL;

	r->ends[RELAY_DOWN].passing = s || !f->stream;
	if (!r->ends[RELAY_DOWN].passing) {
		h2_count_swallowed(r, run);
		return;
	}
	h2_run_add(r, run, bytes, len);
	if (f->type == NGHTTP2_RST_STREAM && s)
		h2_over(r, s, h2_get32(bytes + H2_FRAME_HEADER_LEN));
}

/* A frame that only a request could be followed by. */
static bool on_idle_stream(const struct h2_relay *r)
{
	const struct h2_frame *f = frame_of(r);

	if (f->type != NGHTTP2_DATA && f->type != NGHTTP2_RST_STREAM &&
	    f->type != NGHTTP2_WINDOW_UPDATE)
		return false;
	return f->stream > r->highest_seen || (f->stream && f->stream % 2 == 0);
}

static void on_frame(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	if (on_idle_stream(r)) {
		fail(r, NGHTTP2_PROTOCOL_ERROR, "a frame on an idle stream", run);
		return;
	}
	switch (frame_of(r)->type) {
	case NGHTTP2_DATA:
		on_data(r, bytes, len, run);
		break;
	case NGHTTP2_SETTINGS:
		h2_on_settings(r, bytes, len, run);
		break;
	case NGHTTP2_PRIORITY:
		h2_run_add(r, run, bytes, len);
		break;
	default:
		on_other(r, bytes, len, run);
		break;
	}
}

void h2_on_client(struct h2_relay *r, enum h2_event event, const char *bytes, size_t len,
		  struct h2_run *run)
{
	switch (event) {
	case H2_HELLO:
		h2_run_add(r, run, bytes, len);
		break;
	case H2_HEADERS:
		if (frame_of(r)->stream > r->highest_seen)
			on_request(r, bytes, len, run);
		else
			on_trailers(r, bytes, len, run);
		break;
	case H2_FRAME:
	case H2_BEGIN:
		on_frame(r, bytes, len, run);
		break;
	case H2_PAYLOAD:
		if (r->ends[RELAY_DOWN].passing)
			h2_run_add(r, run, bytes, len);
		break;
	case H2_MORE:
		break;
	}
}
