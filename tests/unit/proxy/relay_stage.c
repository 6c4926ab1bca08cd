/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_stage.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "h1_edit.h"
#include "require.h"
#include "sluice/array.h"

static const char *const reason_names[CLOSE_REASON_MAX] = {
#define X(upper, lower, text) [CLOSE_##upper] = #lower,
	CLOSE_REASONS(X)
#undef X
};

static void note(struct stage *s, const char *text, size_t len)
{
	if (s->log.len > 0)
		bytes_add(&s->log, " ", 1);
	bytes_add(&s->log, text, len);
}

static void note_number(struct stage *s, char mark, unsigned n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%c%u", mark, n);

	note(s, text, (size_t)len);
}

/* --- what the relay asks of its host --- */

static bool is_offered(const struct stage *s, const char *buf)
{
	uintptr_t at = (uintptr_t)buf, begin = (uintptr_t)s->offer.buf;

	return s->offer.buf && at >= begin && at < begin + s->offer.len;
}

static void check_passed(struct stage *s, enum relay_side to, const char *buf, size_t len)
{
	size_t at = (size_t)(buf - s->offer.buf);

	REQUIRE(to != s->offer.from);
	REQUIRE(at + len <= s->offer.len);
	/* Requests can be left out, nothing of a response can. */
	REQUIRE(to == RELAY_UP ? at >= s->offer.passed : at == s->offer.passed);
	s->offer.passed = at + len;
	if (s->watch && s->watch->passed)
		s->watch->passed(s->watch_ctx, to, buf, len);
}

/* The head in place of the one that was judged last: once, and behind all that came before it. */
static void check_edited(struct stage *s, enum relay_side to, const char *buf, size_t len)
{
	size_t behind = (size_t)(s->edited.behind - s->offer.buf);

	REQUIRE(to == RELAY_UP && s->offer.buf && s->offer.from == RELAY_DOWN);
	REQUIRE(s->edited.due && buf == s->edited.bytes && len == s->edited.len);
	REQUIRE(behind > s->offer.passed && behind <= s->offer.len);
	s->offer.passed = behind;
	s->edited.due = false;
	if (s->watch && s->watch->passed)
		s->watch->passed(s->watch_ctx, to, buf, len);
}

/* In audit the next of all the bytes that were read, and nothing else. */
static void check_next(struct stage *s, enum relay_side to, const char *buf, size_t len)
{
	const struct bytes *taken = &s->sides[to == RELAY_UP ? RELAY_DOWN : RELAY_UP].taken;
	size_t at = s->sides[to].sent.len;

	REQUIRE(is_offered(s, buf) && len <= taken->len - at);
	REQUIRE(memcmp(buf, taken->data + at, len) == 0);
}

static void check_all_gone(const struct stage *s, enum relay_side from)
{
	REQUIRE(s->sides[from == RELAY_UP ? RELAY_DOWN : RELAY_UP].sent.len ==
		s->sides[from].taken.len);
	REQUIRE(!s->closed && !s->ended);
}

static void host_send(void *ctx, enum relay_side to, const char *buf, size_t len)
{
	struct stage *s = ctx;
	struct stage_side *side = &s->sides[to];

	REQUIRE(!s->closed && !s->ended && !side->finished);
	if (len == 0)
		return;
	if (s->env.audit) {
		check_next(s, to, buf, len);
	} else if (is_offered(s, buf)) {
		check_passed(s, to, buf, len);
	} else if (s->edited.bytes && buf == s->edited.bytes) {
		check_edited(s, to, buf, len);
	} else {
		REQUIRE(to == RELAY_DOWN);
		if (s->watch && s->watch->answer)
			s->watch->answer(s->watch_ctx, buf, len);
	}
	bytes_add(&side->sent, buf, len);
	side->congested = s->congest;
}

static bool host_congested(void *ctx, enum relay_side to)
{
	struct stage *s = ctx;

	return s->sides[to].congested || s->sides[to].stuck;
}

/* Edit the head into exactly as many bytes as it takes. */
static bool edit(struct stage *s, const struct h1_head *head, struct span *edited)
{
	size_t n;
	const struct header_action *const *actions = stage_actions(head->req.path, &n);
	ssize_t len;
	char *room;

	if (!h1_edit_needed(actions, n))
		return true;
	room = malloc(H1_EDIT_MAX);
	REQUIRE(room);
	len = h1_edit(head, actions, n, room);
	if (len > 0) {
		s->edited.len = (size_t)len;
		s->edited.bytes = malloc(s->edited.len);
		REQUIRE(s->edited.bytes);
		memcpy(s->edited.bytes, room, s->edited.len);
		s->edited.behind = head->raw.ptr + head->raw.len;
		s->edited.due = !s->env.audit; /* there it goes unused */
		*edited = (struct span){ s->edited.bytes, s->edited.len };
	}
	free(room);
	return len > 0;
}

static void drop_edited(struct stage *s)
{
	REQUIRE(!s->edited.due);
	free(s->edited.bytes);
	s->edited.bytes = NULL;
}

static enum judged host_judge(void *ctx, struct h1_head *head, struct exchange *x,
			      struct span *edited)
{
	static const char marks[] = {
		[JUDGED_ALLOW] = '+',	  [JUDGED_DENY] = '-',	[JUDGED_MALFORMED] = '?',
		[JUDGED_TOO_LARGE] = '*', [JUDGED_CLOSE] = '#',
	};
	struct stage *s = ctx;
	enum judged verdict = stage_verdict(&head->req, head->connect);
	struct span what = head->connect ? head->req.authority : head->req.path;

	REQUIRE(!s->closed && !s->ended);
	REQUIRE(edited->len == 0 && head->raw.ptr >= s->offer.buf);
	drop_edited(s);
	if (verdict == JUDGED_ALLOW && !edit(s, head, edited))
		verdict = JUDGED_TOO_LARGE;
	note(s, &marks[verdict], 1);
	bytes_add(&s->log, what.ptr, what.len);
	if (s->watch && s->watch->judged)
		s->watch->judged(s->watch_ctx, head, verdict);
	if (verdict == JUDGED_CLOSE && s->env.audit)
		return JUDGED_DENY; /* a host that audits closes nothing */
	if (verdict == JUDGED_CLOSE) {
		s->closed = true;
		s->why = CLOSE_NOT_ALLOWED;
	}
	return verdict;
}

static void host_answered(void *ctx, const struct exchange *x, unsigned status)
{
	note_number(ctx, '=', status);
}

static void host_refused(void *ctx, unsigned status, const char *why)
{
	struct stage *s = ctx;

	REQUIRE(why && why[0]);
	note_number(s, '!', status);
	if (s->watch && s->watch->refused)
		s->watch->refused(s->watch_ctx, status);
}

static void host_audited(void *ctx, enum close_reason why)
{
	struct stage *s = ctx;

	REQUIRE(s->env.audit);
	note(s, "~", 1);
	bytes_add(&s->log, reason_names[why], strlen(reason_names[why]));
}

static void host_finish(void *ctx, enum relay_side to)
{
	struct stage *s = ctx;

	REQUIRE(!s->closed && !s->ended && !s->sides[to].finished);
	s->sides[to].finished = true;
}

static void host_end(void *ctx, enum close_reason why, bool reset)
{
	struct stage *s = ctx;

	REQUIRE(!s->closed && !s->ended);
	s->ended = true;
	s->why = why;
	s->reset = reset;
}

static void host_close(void *ctx, enum close_reason why)
{
	struct stage *s = ctx;

	REQUIRE(!s->closed);
	s->closed = true;
	s->why = why;
}

/* Audit closes nothing: let it be out of memory, and look on. */
static bool host_http2(void *ctx)
{
	struct stage *s = ctx;

	if (s->env.audit)
		return false;
	s->closed = true;
	s->why = CLOSE_HTTP2;
	return true;
}

static const struct relay_host stage_host = {
	.http2 = host_http2,
	.send = host_send,
	.congested = host_congested,
	.judge = host_judge,
	.answered = host_answered,
	.refused = host_refused,
	.audited = host_audited,
	.finish = host_finish,
	.end = host_end,
	.close = host_close,
};

/* --- progress, as in a connection --- */

static size_t offer(struct stage *s, enum relay_side from)
{
	struct stage_side *side = &s->sides[from];
	uint64_t sure = h1_relay_sure(&s->relay, from);
	size_t len = side->unused.len, used;
	char *copy = malloc(len);

	REQUIRE(copy);
	memcpy(copy, side->unused.data, len);
	s->offer.buf = copy;
	s->offer.len = len;
	s->offer.from = from;
	s->offer.passed = 0;
	used = h1_relay_feed(&s->relay, from, copy, len);
	s->offer.buf = NULL;
	free(copy);
	REQUIRE(!s->edited.due);
	if (s->env.audit)
		check_all_gone(s, from);
	REQUIRE(used <= len && s->offer.passed <= used);
	REQUIRE(used == len || used >= sure || s->closed);
	REQUIRE(len - used <= STAGE_BUFFER_MAX || s->closed);
	REQUIRE(s->env.audit || from == RELAY_DOWN || s->closed || s->ended ||
		s->offer.passed == used);
	REQUIRE(s->relay.n_exchanges <= s->env.limits->pipeline + 1);
	bytes_drop(&side->unused, used);
	return used;
}

/* What will never be whole. */
static void offer_rest(struct stage *s, enum relay_side from)
{
	struct bytes *rest = &s->sides[from].unused;

	if (rest->len == 0)
		return;
	s->offer.buf = rest->data;
	s->offer.len = rest->len;
	s->offer.from = from;
	s->offer.passed = 0;
	h1_relay_rest(&s->relay, from, rest->data, rest->len);
	s->offer.buf = NULL;
	bytes_drop(rest, rest->len);
}

static bool may_read(struct stage *s, enum relay_side from)
{
	const struct stage_side *side = &s->sides[from];

	if (s->closed || (s->ended && from == RELAY_UP) || side->eof)
		return false;
	return !host_congested(s, from == RELAY_DOWN ? RELAY_UP : RELAY_DOWN) &&
	       h1_relay_wants(&s->relay, from, side->unused.len);
}

/* How much a connection reads at most, beside what is unused. */
static size_t read_size(struct stage *s, enum relay_side from)
{
	const struct stage_side *side = &s->sides[from];
	uint64_t sure = h1_relay_sure(&s->relay, from);

	if (side->unused.len > 0)
		return STAGE_BUFFER_MAX - side->unused.len;
	return STAGE_BUFFER_MAX + (sure < STAGE_SURE_MAX ? (size_t)sure : STAGE_SURE_MAX);
}

/* Returns whether anything was read. */
static bool take_from_wire(struct stage *s, enum relay_side from)
{
	struct stage_side *side = &s->sides[from];
	size_t n = side->wire.len;

	if (!may_read(s, from))
		return false;
	if (n == 0) {
		side->eof = side->hung_up;
		return side->eof;
	}
	/* Whoever wants more has used what it had, or has room for it. */
	REQUIRE(side->unused.len < STAGE_BUFFER_MAX);
	if (n > read_size(s, from))
		n = read_size(s, from);
	bytes_add(&side->unused, side->wire.data, n);
	if (s->env.audit)
		bytes_add(&side->taken, side->wire.data, n);
	bytes_drop(&side->wire, n);
	return true;
}

/* Not for want of bytes were those of this side not used. */
static bool waits(struct stage *s, enum relay_side from)
{
	enum relay_side other = from == RELAY_DOWN ? RELAY_UP : RELAY_DOWN;

	return host_congested(s, other) ||
	       !h1_relay_wants(&s->relay, from, s->sides[from].unused.len);
}

/* Offer what was read, then the end. Returns whether anything moved. */
static bool pump(struct stage *s, enum relay_side from)
{
	enum relay_side other = from == RELAY_DOWN ? RELAY_UP : RELAY_DOWN;
	struct stage_side *side = &s->sides[from];
	size_t used = 0;

	if (s->closed || (s->ended && from == RELAY_UP))
		return false;
	if (side->unused.len > 0 && !host_congested(s, other))
		used = offer(s, from);
	if (s->closed || used > 0 || !side->eof || side->eof_passed)
		return !s->closed && used > 0;
	if (side->unused.len > 0 && waits(s, from))
		return false;
	offer_rest(s, from);
	side->eof_passed = true;
	h1_relay_eof(&s->relay, from);
	return true;
}

static bool progress(struct stage *s)
{
	enum relay_side first = s->up_first ? RELAY_UP : RELAY_DOWN;
	enum relay_side second = s->up_first ? RELAY_DOWN : RELAY_UP;

	return pump(s, first) || pump(s, second) || take_from_wire(s, first) ||
	       take_from_wire(s, second);
}

void stage_settle(struct stage *s)
{
	bool drained;

	do {
		while (progress(s))
			;
		drained = s->sides[RELAY_DOWN].congested || s->sides[RELAY_UP].congested;
		s->sides[RELAY_DOWN].congested = s->sides[RELAY_UP].congested = false;
	} while (drained);
}

void stage_put(struct stage *s, enum relay_side from, const char *buf, size_t len)
{
	REQUIRE(!s->sides[from].hung_up);
	bytes_add(&s->sides[from].wire, buf, len);
	stage_settle(s);
}

void stage_hang_up(struct stage *s, enum relay_side from)
{
	s->sides[from].hung_up = true;
	stage_settle(s);
}

void stage_head_timeout(struct stage *s)
{
	if (!s->closed && !s->ended)
		h1_relay_head_timeout(&s->relay);
	stage_settle(s);
}

/* --- begin and end --- */

void stage_begin(struct stage *s)
{
	static const struct limits limits = LIMITS_DEFAULT;

	*s = (struct stage){ 0 };
	h1_relay_env_init(&s->env, &stage_host, &s->exchanges, &s->head, &limits);
	h1_relay_init(&s->relay, &s->env, s);
}

void stage_begin_audit(struct stage *s)
{
	stage_begin(s);
	s->env.audit = true;
}

void stage_done(struct stage *s)
{
	h1_relay_done(&s->relay);
	REQUIRE(s->exchanges.n_lent == 0);
	exchange_pool_done(&s->exchanges);
	for (int i = 0; i < 2; i++) {
		free(s->sides[i].wire.data);
		free(s->sides[i].unused.data);
		free(s->sides[i].sent.data);
		free(s->sides[i].taken.data);
	}
	drop_edited(s);
	free(s->log.data);
}

void stage_describe_end(const struct stage *s, char *buf, size_t size)
{
	bool up = s->sides[RELAY_UP].finished, down = s->sides[RELAY_DOWN].finished;

	if (s->closed)
		snprintf(buf, size, "close %s", reason_names[s->why]);
	else if (s->ended)
		snprintf(buf, size, "end %s%s", reason_names[s->why], s->reset ? " reset" : "");
	else if (up || down)
		snprintf(buf, size, "finish%s%s", up ? " up" : "", down ? " down" : "");
	else
		snprintf(buf, size, "open");
}
