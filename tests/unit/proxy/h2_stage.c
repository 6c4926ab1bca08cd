/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_stage.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "require.h"

static const char *const reason_names[CLOSE_REASON_MAX] = {
#define X(upper, lower, text) [CLOSE_##upper] = #lower,
	CLOSE_REASONS(X)
#undef X
};

static void drop(struct bytes *b, size_t n)
{
	REQUIRE(n <= b->len);
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
}

__attribute__((format(printf, 2, 3))) static void note(struct h2_stage *s, const char *format, ...)
{
	char text[64];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(ap);
	if (s->log.len > 0)
		bytes_add(&s->log, " ", 1);
	bytes_add(&s->log, text, strlen(text));
}

/* --- what the relay asks of its host --- */

static enum relay_side other(enum relay_side side)
{
	return side == RELAY_DOWN ? RELAY_UP : RELAY_DOWN;
}

/* In audit the next of all the bytes that were read, and nothing else. */
static void check_next(struct h2_stage *s, enum relay_side to, const char *buf, size_t len)
{
	const struct bytes *taken = &s->sides[other(to)].taken;
	size_t at = s->sides[to].sent.len;

	REQUIRE(len <= taken->len - at && memcmp(buf, taken->data + at, len) == 0);
}

static void host_send(void *ctx, enum relay_side to, const char *buf, size_t len)
{
	struct h2_stage *s = ctx;
	struct h2_stage_side *side = &s->sides[to];

	REQUIRE(!s->closed && !s->ended && !side->finished && len > 0);
	if (s->env->audit)
		check_next(s, to, buf, len);
	bytes_add(&side->sent, buf, len);
	if (!s->no_readers)
		h2_reader_feed(&side->reader, buf, len);
	if (to == RELAY_UP)
		s->at_once += len;
	if (s->at_once > s->most_at_once)
		s->most_at_once = s->at_once;
	side->congested = s->congest;
}

static bool host_congested(void *ctx, enum relay_side to)
{
	struct h2_stage *s = ctx;

	return s->sides[to].congested || s->sides[to].stuck;
}

static void host_finish(void *ctx, enum relay_side to)
{
	struct h2_stage *s = ctx;

	REQUIRE(!s->closed && !s->ended && !s->sides[to].finished);
	s->sides[to].finished = true;
}

static void host_end(void *ctx, enum close_reason why, bool reset)
{
	struct h2_stage *s = ctx;

	REQUIRE(!s->closed && !s->ended && reset);
	s->ended = true;
	s->why = why;
}

static void host_close(void *ctx, enum close_reason why)
{
	struct h2_stage *s = ctx;

	REQUIRE(!s->closed);
	s->closed = true;
	s->why = why;
}

static enum judged host_judge(void *ctx, struct h2_head *head, uint32_t stream, struct exchange *x,
			      bool *again)
{
	static const char marks[] = {
		[JUDGED_ALLOW] = '+',
		[JUDGED_DENY] = '-',
		[JUDGED_MALFORMED] = '?',
		[JUDGED_CLOSE] = '#',
	};
	struct h2_stage *s = ctx;
	enum judged verdict = s->verdict ? s->verdict(s->verdict_ctx, &head->req, head->connect)
					 : stage_verdict(&head->req, head->connect);

	REQUIRE(!s->closed && !s->ended);
	REQUIRE(head->req.method.len > 0 && head->req.authority.len > 0);
	note(s, "%c%u", marks[verdict], stream);
	if (verdict == JUDGED_CLOSE && s->env->audit)
		verdict = JUDGED_DENY; /* a host that audits closes nothing */
	if (verdict == JUDGED_CLOSE) {
		s->closed = true;
		s->why = CLOSE_NOT_ALLOWED;
	}
	s->n_allowed += verdict == JUDGED_ALLOW;
	s->n_denied += verdict == JUDGED_DENY;
	x->record = kept_malloc(&s->kept, 1); /* to be missed */
	REQUIRE(x->record);
	if (verdict == JUDGED_ALLOW) {
		x->kept = kept_request_new(&s->kept, &head->req);
		REQUIRE(x->kept);
		*again = true;
	}
	return verdict;
}

static void host_passed_again(void *ctx, uint32_t stream)
{
	struct h2_stage *s = ctx;

	REQUIRE(!s->closed && !s->ended);
	note(s, "+%u", stream);
	s->n_allowed++;
	s->n_again++;
}

static bool host_still_allowed(void *ctx, struct h2_stream *stream)
{
	const struct h2_stage *s = ctx;

	/* As in a connection: in audit everything may, also what was denied and has no copy. */
	return s->env->audit || !stage_begins(stream->x.kept->req.path, "/later");
}

static void host_answered(void *ctx, const struct h2_stream *stream)
{
	note(ctx, "=%u:%u", stream->id, stream->status);
}

static void host_over(void *ctx, const struct h2_stream *stream, uint32_t reset)
{
	struct h2_stage *s = ctx;

	s->n_over++;
	if (reset)
		note(s, ".%u:%u", stream->id, reset);
	else if (stream->grpc_status >= 0)
		note(s, ".%u/%d", stream->id, stream->grpc_status);
	else
		note(s, ".%u", stream->id);
}

static void host_refused(void *ctx, unsigned status, const char *why)
{
	REQUIRE(why && why[0]);
	note(ctx, "!%u", status);
}

static void host_broken(void *ctx, enum close_reason close, const char *why)
{
	REQUIRE(why && why[0]);
	note(ctx, "*%s", close == CLOSE_HTTP2_SERVER ? "up" : "down");
}

static void host_audited(void *ctx, enum close_reason why)
{
	struct h2_stage *s = ctx;

	REQUIRE(s->env->audit);
	note(s, "~%s", reason_names[why]);
}

static const struct relay_host host = {
	.audited = host_audited,
	.send = host_send,
	.congested = host_congested,
	.finish = host_finish,
	.end = host_end,
	.close = host_close,
};

static const struct h2_relay_host h2_host = {
	.judge = host_judge,
	.passed_again = host_passed_again,
	.still_allowed = host_still_allowed,
	.answered = host_answered,
	.over = host_over,
	.refused = host_refused,
	.broken = host_broken,
};

/* --- progress, as in a connection --- */

static size_t offer(struct h2_stage *s, enum relay_side from)
{
	struct bytes *unused = &s->sides[from].unused;
	char *copy = malloc(unused->len);
	size_t used;

	REQUIRE(copy);
	memcpy(copy, unused->data, unused->len);
	used = h2_relay_feed(&s->relay, from, copy, unused->len);
	free(copy);
	REQUIRE(used <= unused->len);
	if (s->env->audit)
		REQUIRE(!s->closed && !s->ended &&
			s->sides[other(from)].sent.len == s->sides[from].taken.len);
	REQUIRE(s->relay.streams.n <= H2_STREAMS_MAX + 1);
	REQUIRE(s->relay.ends[RELAY_DOWN].n_notes <= H2_NOTES_MAX + H2_STREAMS_MAX);
	drop(unused, used);
	return used;
}

static bool pump(struct h2_stage *s, enum relay_side from)
{
	struct h2_stage_side *side = &s->sides[from];
	size_t used = 0;

	if (s->closed || (s->ended && from == RELAY_UP))
		return false;
	if (side->unused.len > 0 && !host_congested(s, other(from)))
		used = offer(s, from);
	if (s->closed || used > 0 || !side->eof || side->eof_passed)
		return !s->closed && used > 0;
	if (side->unused.len > 0 &&
	    (host_congested(s, other(from)) || !h2_relay_wants(&s->relay, from, side->unused.len)))
		return false;
	drop(&side->unused, side->unused.len);
	side->eof_passed = true;
	h2_relay_eof(&s->relay, from);
	return true;
}

static bool take_from_wire(struct h2_stage *s, enum relay_side from)
{
	struct h2_stage_side *side = &s->sides[from];
	size_t n = side->wire.len;

	if (s->closed || (s->ended && from == RELAY_UP) || side->eof ||
	    host_congested(s, other(from)) || !h2_relay_wants(&s->relay, from, side->unused.len))
		return false;
	if (n == 0) {
		side->eof = side->hung_up;
		return side->eof;
	}
	REQUIRE(side->unused.len < H2_STAGE_BUFFER_MAX);
	if (n > H2_STAGE_BUFFER_MAX - side->unused.len)
		n = H2_STAGE_BUFFER_MAX - side->unused.len;
	bytes_add(&side->unused, side->wire.data, n);
	if (s->env->audit)
		bytes_add(&side->taken, side->wire.data, n);
	drop(&side->wire, n);
	return true;
}

static bool progress(struct h2_stage *s)
{
	enum relay_side first = s->up_first ? RELAY_UP : RELAY_DOWN;

	if (pump(s, first) || pump(s, other(first)) || take_from_wire(s, first) ||
	    take_from_wire(s, other(first)))
		return true;
	if (!s->relay.paused || s->closed || s->ended)
		return false;
	s->n_turns++;
	h2_relay_resume(&s->relay);
	return true;
}

void h2_stage_settle(struct h2_stage *s)
{
	bool drained;

	do {
		while (progress(s))
			;
		drained = s->sides[RELAY_DOWN].congested || s->sides[RELAY_UP].congested;
		s->sides[RELAY_DOWN].congested = s->sides[RELAY_UP].congested = false;
		s->at_once = 0;
		if (!s->closed && !s->ended)
			h2_relay_step(&s->relay);
	} while (drained);
}

void h2_stage_put(struct h2_stage *s, enum relay_side from, const void *bytes, size_t len)
{
	REQUIRE(!s->sides[from].hung_up);
	bytes_add(&s->sides[from].wire, bytes, len);
	h2_stage_settle(s);
}

void h2_stage_hang_up(struct h2_stage *s, enum relay_side from)
{
	s->sides[from].hung_up = true;
	h2_stage_settle(s);
}

/* --- begin and end --- */

void h2_stage_begin(struct h2_stage *s)
{
	*s = (struct h2_stage){ 0 };
	s->env = calloc(1, sizeof(*s->env));
	REQUIRE(s->env);
	s->env->host = &host;
	s->env->h2 = &h2_host;
	s->env->kept = &s->kept;
	s->kept.max = SIZE_MAX;
	bytes_add(&s->log, "", 0);
	for (int i = 0; i < 2; i++) {
		h2_reader_begin(&s->sides[i].reader);
		bytes_add(&s->sides[i].sent, "", 0);
	}
	REQUIRE(h2_relay_init(&s->relay, s->env, s) == 0);
}

void h2_stage_begin_audit(struct h2_stage *s)
{
	h2_stage_begin(s);
	s->env->audit = s->no_readers = true;
}

void h2_stage_done(struct h2_stage *s)
{
	h2_relay_done(&s->relay);
	REQUIRE(s->kept.bytes == 0 && s->kept.others == 0);
	REQUIRE(s->env->audit || s->n_over == s->n_allowed); /* each allowed stream ends, once */
	free(s->env);
	for (int i = 0; i < 2; i++) {
		bytes_free(&s->sides[i].wire);
		bytes_free(&s->sides[i].unused);
		bytes_free(&s->sides[i].taken);
		bytes_free(&s->sides[i].sent);
		h2_reader_done(&s->sides[i].reader);
	}
	bytes_free(&s->log);
}

void h2_stage_describe_end(const struct h2_stage *s, char *buf, size_t size)
{
	bool down = s->sides[RELAY_DOWN].finished, up = s->sides[RELAY_UP].finished;

	if (s->relay.state == H2_RELAY_BLIND) {
		snprintf(buf, size, "blind ");
		buf += 6;
		size -= 6;
	}
	if (s->closed)
		snprintf(buf, size, "close %s", reason_names[s->why]);
	else if (s->ended)
		snprintf(buf, size, "end %s", reason_names[s->why]);
	else if (up || down)
		snprintf(buf, size, "finish%s%s", up ? " up" : "", down ? " down" : "");
	else
		snprintf(buf, size, "open");
}
