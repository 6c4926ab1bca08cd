/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit of HTTP/2 that has a name: as much as it allows passes, one more ends the connection
 * with the code and the reason that are documented. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "h2_talk.h"
#include "sluice/array.h"

#define REQUEST	     FIELDS("GET", "/a")
#define REQUEST_LIST (sizeof(":methodGET:schemehttp:path/a:authorityh") - 1)

static void put(struct h2_stage *s, enum relay_side from, struct bytes *b)
{
	h2_stage_put(s, from, b->data, b->len);
	bytes_free(b);
}

static void say(struct h2_stage *s, enum relay_side from, const char *frames)
{
	struct bytes b = { 0 };

	h2_text_compile(frames, 0, &b);
	put(s, from, &b);
}

static void begin(struct h2_stage *s)
{
	h2_stage_begin(s);
	say(s, RELAY_DOWN, HELLO);
	say(s, RELAY_UP, "SETTINGS 0 -\nSETTINGS 0 a\n");
}

static void repeat(struct h2_stage *s, enum relay_side from, const char *frame, size_t n)
{
	struct bytes one = { 0 }, all = { 0 };

	h2_text_compile(frame, 0, &one);
	for (size_t i = 0; i < n; i++)
		bytes_add(&all, one.data, one.len);
	bytes_free(&one);
	if (n > 0)
		put(s, from, &all);
}

/* The payload of one HEADERS frame with FIELDS and a field "f" of LEN bytes. */
static void block_of(const char *fields, size_t len, struct bytes *to)
{
	char *line;
	struct bytes frame = { 0 };

	assert_true(asprintf(&line, "HEADERS 1 eh %s|f={%zu*x}\n", fields, len) > 0);
	h2_text_compile(line, 0, &frame);
	bytes_add(to, frame.data + H2_FRAME_HEADER_LEN, frame.len - H2_FRAME_HEADER_LEN);
	bytes_free(&frame);
	free(line);
}

static void add_frame(struct bytes *to, uint8_t type, uint8_t flags, const char *at, size_t len)
{
	char header[H2_FRAME_HEADER_LEN];

	h2_write_frame_header(header, (uint32_t)len, type, flags, 1);
	bytes_add(to, header, sizeof(header));
	if (len > 0)
		bytes_add(to, at, len);
}

/* BLOCK in N frames, all of the same size but for the last. */
static void send_block(struct h2_stage *s, const struct bytes *block, size_t n)
{
	size_t each = (block->len + n - 1) / n;
	struct bytes frames = { 0 };

	for (size_t i = 0; i < n; i++) {
		size_t at = i * each < block->len ? i * each : block->len;
		size_t len = block->len - at < each ? block->len - at : each;

		add_frame(&frames, i ? NGHTTP2_CONTINUATION : NGHTTP2_HEADERS,
			  (uint8_t)((i ? 0 : NGHTTP2_FLAG_END_STREAM) |
				    (i == n - 1 ? NGHTTP2_FLAG_END_HEADERS : 0)),
			  block->data + at, len);
	}
	put(s, RELAY_DOWN, &frames);
}

/* --- what is bounded: N of it --- */

static void block_size(struct h2_stage *s, size_t n)
{
	const size_t frames = 5, payload = n - frames * H2_FRAME_HEADER_LEN;
	struct bytes block = { 0 };
	size_t around;

	block_of(REQUEST, 60000, &block);
	around = block.len - 60000;
	bytes_free(&block);
	block_of(REQUEST, payload - around, &block);
	assert_int_equal(block.len, payload);
	send_block(s, &block, frames);
	bytes_free(&block);
}

static void block_frames(struct h2_stage *s, size_t n)
{
	struct bytes block = { 0 };

	block_of(REQUEST, 100, &block);
	send_block(s, &block, n + 1); /* HEADERS is one of them */
	bytes_free(&block);
}

/* A field of 4,001 bytes in the table, fifteen times, and what is missing. */
static void list_size(struct h2_stage *s, size_t n)
{
	struct bytes block = { 0 };
	size_t rest = n - REQUEST_LIST - 16 * (size_t)4001 - 1;

	block_of(REQUEST "|+a={4000*x}|#62|#62|#62|#62|#62|#62|#62|#62|#62|#62|#62|#62|#62|#62|#62",
		 rest, &block);
	assert_true(block.len < 8000);
	send_block(s, &block, 1);
	bytes_free(&block);
}

static void fields(struct h2_stage *s, size_t n)
{
	struct bytes block = { 0 };

	block_of(REQUEST, 1, &block);
	for (size_t i = 5; i < n; i++)
		bytes_add(&block, "\x90", 1); /* accept-encoding */
	send_block(s, &block, 1);
	bytes_free(&block);
}

static void table(struct h2_stage *s, size_t n)
{
	char text[16 + sizeof(REQUEST)];
	struct bytes block = { 0 };

	snprintf(text, sizeof(text), "^%zu|" REQUEST, n);
	block_of(text, 1, &block);
	send_block(s, &block, 1);
	bytes_free(&block);
}

static void settings(struct h2_stage *s, size_t n)
{
	char header[H2_FRAME_HEADER_LEN];
	struct bytes frame = { 0 };

	h2_write_frame_header(header, (uint32_t)(n * H2_SETTING_LEN), NGHTTP2_SETTINGS, 0, 0);
	bytes_add(&frame, header, sizeof(header));
	while (n-- > 0)
		bytes_add(&frame, "\0\x03\0\0\0\x07", H2_SETTING_LEN);
	put(s, RELAY_DOWN, &frame);
}

static void unacked(struct h2_stage *s, size_t n)
{
	repeat(s, RELAY_DOWN, "SETTINGS 0 -\n", n);
}

static void unacked_up(struct h2_stage *s, size_t n)
{
	repeat(s, RELAY_UP, "SETTINGS 0 -\n", n - 1); /* the first is unanswered, too */
}

static void streams(struct h2_stage *s, size_t n)
{
	struct bytes all = { 0 };

	for (uint32_t i = 0; i < n; i++)
		h2_text_compile("HEADERS $ h #2|#6|#4|:authority=h\n", 2 * i + 1, &all);
	put(s, RELAY_DOWN, &all);
	assert_int_equal(s->n_allowed, n < H2_STREAMS_MAX ? n : H2_STREAMS_MAX);
}

static void swallow(struct h2_stage *s, const char *frame, size_t n)
{
	const size_t few = 10;

	say(s, RELAY_DOWN, POST(1, "/deny"));
	repeat(s, RELAY_DOWN, frame, few);
	assert_int_equal(s->relay.swallowed, few);
	h2_relay_tick(&s->relay); /* another second */
	assert_int_equal(s->relay.swallowed, 0);
	s->relay.swallowed = H2_SWALLOWED_PER_TICK - few; /* as if they had come */
	repeat(s, RELAY_DOWN, frame, n - H2_SWALLOWED_PER_TICK + few);
}

static void swallowed_resets(struct h2_stage *s, size_t n)
{
	swallow(s, "RST 1 - %8\n", n);
}

static void swallowed_data(struct h2_stage *s, size_t n)
{
	swallow(s, "DATA 1 - \"x\n", n);
}

static void swallowed_empty_data(struct h2_stage *s, size_t n)
{
	swallow(s, "DATA 1 -\n", n);
}

static void swallowed_trailers(struct h2_stage *s, size_t n)
{
	swallow(s, "HEADERS 1 eh #16\n", n);
}

static void frame_size(struct h2_stage *s, size_t n)
{
	char line[40];

	say(s, RELAY_DOWN, POST(1, "/a"));
	snprintf(line, sizeof(line), "DATA 1 - *%zu\n", n);
	say(s, RELAY_DOWN, line);
}

static void larger_frame_size(struct h2_stage *s, size_t n)
{
	say(s, RELAY_UP, "SETTINGS 0 - @5:40000\n");
	frame_size(s, n);
}

/* The window of the connection that waits to be given back: nearly as much as there can be of it is
 * there already. */
static void credit(struct h2_stage *s, size_t n)
{
	say(s, RELAY_DOWN, POST(1, "/deny"));
	s->sides[RELAY_DOWN].stuck = true;
	s->relay.ends[RELAY_DOWN].credit = INT32_MAX - 100;
	say(s, RELAY_DOWN, "DATA 1 - *90\n");
	assert_int_equal(s->relay.ends[RELAY_DOWN].credit, INT32_MAX - 10);
	repeat(s, RELAY_DOWN, "DATA 1 - \"x\n", 10 + n - INT32_MAX);
}

static const struct {
	const char *name;
	void (*use)(struct h2_stage *s, size_t n);
	size_t most;
	uint32_t code;
	enum close_reason why;
} limits[] = {
	{ "H2_BLOCK_MAX", block_size, H2_BLOCK_MAX, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_CONTINUATIONS_MAX", block_frames, H2_CONTINUATIONS_MAX, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_LIST_MAX", list_size, H2_LIST_MAX, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_FIELDS_MAX", fields, H2_FIELDS_MAX, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_TABLE_MAX", table, H2_TABLE_MAX, 9, CLOSE_HTTP2 },
	{ "H2_SETTINGS_MAX", settings, H2_SETTINGS_MAX, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_UNACKED_MAX", unacked, H2_UNACKED_MAX, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_UNACKED_MAX, the server", unacked_up, H2_UNACKED_MAX, 11, CLOSE_HTTP2_SERVER },
	{ "H2_STREAMS_MAX", streams, H2_STREAMS_MAX, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_SWALLOWED_PER_TICK", swallowed_resets, H2_SWALLOWED_PER_TICK, 11, CLOSE_HTTP2_LIMIT },
	{ "the same, DATA", swallowed_data, H2_SWALLOWED_PER_TICK, 11, CLOSE_HTTP2_LIMIT },
	{ "the same, no DATA", swallowed_empty_data, H2_SWALLOWED_PER_TICK, 11, CLOSE_HTTP2_LIMIT },
	{ "the same, trailers", swallowed_trailers, H2_SWALLOWED_PER_TICK, 11, CLOSE_HTTP2_LIMIT },
	{ "H2_FRAME_SIZE_MIN", frame_size, H2_FRAME_SIZE_MIN, 6, CLOSE_HTTP2 },
	{ "a larger frame size", larger_frame_size, 40000, 6, CLOSE_HTTP2 },
	{ "a window", credit, INT32_MAX, 3, CLOSE_HTTP2 },
};

static void check_limit(size_t i, bool over)
{
	struct h2_stage s;
	char last[32];
	const char *text;

	begin(&s);
	limits[i].use(&s, limits[i].most + over);
	if (s.ended != over || s.closed || (over && s.why != limits[i].why))
		fail_msg("%s%s: ended %d, why %d", limits[i].name, over ? ", one more" : "",
			 s.ended, s.why);
	/* What is refused has been told why, and nothing behind it. */
	snprintf(last, sizeof(last), "|%%%u\n", limits[i].code);
	text = strstr(h2_reader_text(&s.sides[RELAY_DOWN].reader), "GOAWAY");
	if (over ? !text || strcmp(strchr(text, '|'), last) != 0 : text != NULL)
		fail_msg("%s%s: %s", limits[i].name, over ? ", one more" : "", text);
	h2_stage_done(&s);
}

static void test_limits(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		check_limit(i, false);
		check_limit(i, true);
	}
}

/* Answers that cannot go yet: so many wait, and requests behind them. */
static void test_notes_wait(void **state)
{
	struct bytes all = { 0 };
	struct h2_stage s;

	for (uint32_t i = 0; i < H2_NOTES_MAX + 100; i++)
		h2_text_compile("HEADERS $ eh " FIELDS("GET", "/deny") "\n", 2 * i + 1, &all);
	h2_stage_begin(&s);
	say(&s, RELAY_DOWN, HELLO);
	put(&s, RELAY_DOWN, &all);
	assert_int_equal(s.relay.ends[RELAY_DOWN].n_notes, H2_NOTES_MAX);
	assert_int_equal(s.n_denied, H2_NOTES_MAX);
	assert_false(h2_relay_wants(&s.relay, RELAY_DOWN, s.sides[RELAY_DOWN].unused.len));
	say(&s, RELAY_UP, "SETTINGS 0 -\n"); /* now they may */
	assert_int_equal(s.n_denied, H2_NOTES_MAX + 100);
	assert_int_equal(s.relay.ends[RELAY_DOWN].n_notes, 0);
	assert_false(s.ended || s.closed);
	h2_stage_done(&s);
}

/* Of the streams that sluice has reset, the last ones are remembered: what their server still sends
 * goes nowhere, and its window is given back. */
static void test_killed_are_remembered(void **state)
{
	const uint32_t n = H2_KILLED_MAX + 1;
	struct bytes all = { 0 };
	struct h2_stage s;

	for (uint32_t i = 0; i < n; i++)
		h2_text_compile("HEADERS $ h " FIELDS("POST", "/a") "|content-length=1\n"
								    "DATA $ e \"ab\n",
				2 * i + 1, &all);
	begin(&s);
	put(&s, RELAY_DOWN, &all);
	assert_int_equal(s.n_over, n);
	assert_int_equal(s.relay.n_killed, H2_KILLED_MAX);
	assert_int_equal(s.relay.streams.n, H2_KILLED_MAX);
	bytes_drop(&s.sides[RELAY_DOWN].sent, s.sides[RELAY_DOWN].sent.len);
	say(&s, RELAY_UP, "DATA 3 - \"late\n");
	assert_int_equal(s.sides[RELAY_DOWN].sent.len, 0);
	say(&s, RELAY_UP, "DATA 1 - \"late\n"); /* the oldest: its client has heard of the end */
	assert_int_equal(s.sides[RELAY_DOWN].sent.len, H2_FRAME_HEADER_LEN + 4);
	assert_non_null(strstr(h2_reader_text(&s.sides[RELAY_UP].reader), "WINDOW 0 - %4\n"));
	h2_stage_done(&s);
}

/* What all streams of a worker hold together, so that many connections are no way around their own
 * limit. The memory of what went up goes with it. */
static void test_memory_of_streams(void **state)
{
	struct h2_stage s;
	size_t one;

	begin(&s);
	/* Each is read: a known one has no record of its own. */
	say(&s, RELAY_DOWN, POST(1, "/a"));
	one = s.kept.others;
	assert_true(one >= sizeof(struct h2_stream));
	s.kept.others = KEPT_OTHERS_MAX - one;
	say(&s, RELAY_DOWN, POST(3, "/b"));
	assert_false(s.closed);
	assert_int_equal(s.kept.others, KEPT_OTHERS_MAX);
	s.kept.others -= one - 1;
	say(&s, RELAY_DOWN, POST(5, "/c"));
	assert_true(s.closed);
	assert_int_equal(s.why, CLOSE_OOM);
	assert_null(strstr(h2_reader_text(&s.sides[RELAY_UP].reader), "HEADERS 5"));
	s.kept.others = 2 * one;
	h2_relay_done(&s.relay);
	assert_int_equal(s.kept.others, 0);
	s.n_allowed--; /* it had no stream that could end */
	h2_stage_done(&s);
}

/* A few bytes that stand for many: others have their turn in between, and nothing is lost. */
static void test_turns(void **state)
{
	struct bytes all = { 0 };
	struct h2_stage s;

	h2_text_compile("HEADERS 1 eh " FIELDS("GET", "/deny") "|+a={4000*x}\n", 0, &all);
	for (uint32_t i = 1; i < 1000; i++)
		h2_text_compile("HEADERS $ eh " FIELDS("GET", "/deny") "|#62|#62|#62|#62\n",
				2 * i + 1, &all);
	begin(&s);
	put(&s, RELAY_DOWN, &all);
	assert_int_equal(s.n_denied, 1000);
	assert_in_range(s.n_turns, 50, 999 * 16100 / H2_TURN_MAX);
	assert_false(s.relay.head_incomplete);
	h2_stage_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_notes_wait),
		cmocka_unit_test(test_killed_are_remembered),
		cmocka_unit_test(test_memory_of_streams),
		cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
