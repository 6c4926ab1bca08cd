/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and header blocks; each case whole, cut at every byte, and in small pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "h2_text.h"
#include "h2_trace.h"
#include "h2_write.h"
#include "sluice/array.h"

#define CLIENT	  "PRI\nSETTINGS 0 -\n"
#define GET	  ":method=GET|:scheme=http|:path=/a|:authority=h"
#define POST	  ":method=POST|:scheme=http|:path=/a|:authority=h"
#define AND(rest) CLIENT "HEADERS 1 eh " GET rest "\n"

struct h2_case {
	const char *name;
	enum h2_kind kind;
	const char *input, *trace;
};

static const struct h2_case frames[] = {
#include "h2_frames.inc"
};

/* A request's fields, and what is refused about them; NULL: nothing. */
static const struct {
	const char *name, *fields, *reason;
} requests[] = {
#include "h2_requests.inc"
};

static struct h2_trace whole, cut;

static void check_cuts(const char *name, enum h2_kind kind, const struct bytes *b)
{
	for (size_t at = 1; at < b->len && at < 3000; at++) {
		h2_trace_all(&cut, kind, b->data, b->len, at, 0);
		if (strcmp(cut.text, whole.text) != 0 || cut.released != whole.released)
			fail_msg("%s: cut at %zu: %s", name, at, cut.text);
	}
	for (size_t step = b->len < 3000 ? 1 : 1009; step < 12 && step > 0; step++) {
		h2_trace_all(&cut, kind, b->data, b->len, 0, step);
		if (strcmp(cut.text, whole.text) != 0 || cut.released != whole.released)
			fail_msg("%s: in steps of %zu: %s", name, step, cut.text);
	}
}

static void test_frames(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		struct bytes b = { 0 };

		h2_text_compile(frames[i].input, 1, &b);
		h2_trace_all(&whole, frames[i].kind, b.data, b.len, 0, 0);
		if (strcmp(whole.text, frames[i].trace) != 0)
			fail_msg("%s: %s", frames[i].name, whole.text);
		check_cuts(frames[i].name, frames[i].kind, &b);
		bytes_free(&b);
	}
}

static void test_requests(void **state)
{
	static const char before[] = "PRI|SETTINGS|HEADERS 1 ";
	size_t refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct bytes b = { 0 };
		const char *found;
		char *text;

		assert_true(asprintf(&text, CLIENT "HEADERS 1 eh %s\n", requests[i].fields) > 0);
		h2_text_compile(text, 1, &b);
		free(text);
		h2_trace_all(&whole, H2_CLIENT, b.data, b.len, 0, 0);
		assert_memory_equal(whole.text, before, sizeof(before) - 1);
		found = whole.text + sizeof(before) - 1;
		if (requests[i].reason ? strcmp(found, requests[i].reason) != 0 : found[0] == '?')
			fail_msg("%s: %s", requests[i].name, found);
		refused += requests[i].reason && requests[i].reason[0] == '?';
		check_cuts(requests[i].name, H2_CLIENT, &b);
		bytes_free(&b);
	}
	assert_true(refused >= 40);
}

/* What a block does to a decoder's table, by its opcodes. */
static void test_block_opcodes(void **state)
{
	static const struct {
		const char *items;
		bool mutates;
		int size; /* of the last size update at the begin, -1: none */
	} cases[] = {
		{ "#2", false, -1 },
		{ "a=b|!c=d|#2|#61", false, -1 },
		{ "+a=b", true, -1 },
		{ "a=b|+a=b", true, -1 },
		{ "^0", true, 0 },
		{ "^0|^4096|a=b", true, 4096 },
		{ "^100|#2", true, 100 },
		{ "a={300*x}|#2", false, -1 },
		{ "{200*n}={70000*x}", false, -1 },
		{ "a={300*x}|+b=c", true, -1 },
		{ "$0f|$2f|$0a|\"0123456789", false,
		  -1 }, /* a name of the static table, by number */
		{ "$4f|$10|$00", true, -1 },
		{ "", false, -1 },
		{ "$00|$05|\"abc", true, -1 }, /* cannot be read: careful */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bytes b = { 0 };
		struct span block;
		uint32_t size;
		char *text;

		assert_true(asprintf(&text, "HEADERS 1 - %s\n", cases[i].items) > 0);
		h2_text_compile(text, 1, &b);
		free(text);
		block = (struct span){ b.data + 9, b.len - 9 };
		if (h2_block_mutates(block) != cases[i].mutates)
			fail_msg("%s", cases[i].items);
		assert_int_equal(h2_block_resizes(block, &size), cases[i].size >= 0);
		if (cases[i].size >= 0)
			assert_int_equal(size, cases[i].size);
		bytes_free(&b);
	}
}

/* What sluice writes itself comes back as it was, and leaves no trace in the decoder. */
static void test_written_blocks(void **state)
{
	static struct h2_head head, back;
	static char out[H2_WRITTEN_MAX];
	struct bytes b = { 0 };
	enum h2_event event;
	struct h2 in, decoder;
	size_t n;

	h2_text_compile("SETTINGS 0 -\nHEADERS 1 h +:status=200|!secret=s|+a={200*x}|empty=|"
			"long={40000*y}|#62\n",
			1, &b);
	assert_int_equal(h2_init(&in, H2_SERVER), 0);
	h2_allow_frame_size(&in, H2_FRAME_SIZE_MAX);
	assert_int_equal(h2_feed(&in, b.data, b.len, &head, &event), 9);
	assert_int_equal(h2_feed(&in, b.data + 9, b.len - 9, &head, &event), b.len - 9);
	n = h2_write_resize(out, 0);
	n += h2_write_block(out + n, &head);
	assert_true(h2_block_mutates((struct span){ out, n }));
	assert_false(h2_block_mutates((struct span){ out + 1, n - 1 }));

	assert_int_equal(h2_init(&decoder, H2_SERVER), 0);
	back.block = (struct span){ out, n };
	assert_int_equal(h2_inflate(&decoder, &back), 0);
	assert_int_equal(nghttp2_hd_inflate_get_dynamic_table_size(decoder.inflater), 0);
	assert_int_equal(back.n_fields, head.n_fields);
	for (size_t i = 0; i < head.n_fields; i++) {
		assert_true(span_eq(back.fields[i].name, head.fields[i].name));
		assert_true(span_eq(back.fields[i].value, head.fields[i].value));
		assert_int_equal(back.never[i], head.never[i]);
	}
	h2_done(&decoder);
	h2_done(&in);
	bytes_free(&b);
}

/* Feed the block that ITEMS describe; it is remembered as block number N. Returns as which one it
 * was known, or 0. */
static unsigned known_as(struct h2 *p, const char *items, uint16_t n)
{
	static struct h2_head head;
	struct h2_facts facts = { .status = n };
	struct bytes b = { 0 };
	enum h2_event event;
	unsigned found;
	char *text;

	assert_true(asprintf(&text, "HEADERS 1 h %s\n", items) > 0);
	h2_text_compile(text, 1, &b);
	free(text);
	assert_int_equal(h2_feed(p, b.data, b.len, &head, &event), b.len);
	assert_int_equal(event, H2_HEADERS);
	found = head.known ? head.known->status : 0;
	assert_int_equal(head.n_fields == 0, found > 0);
	h2_remember(p, &head, &facts);
	bytes_free(&b);
	return found;
}

static void begin_server(struct h2 *p)
{
	static struct h2_head head;
	enum h2_event event;

	assert_int_equal(h2_init(p, H2_SERVER), 0);
	assert_int_equal(h2_feed(p, "\0\0\0\4\0\0\0\0\0", 9, &head, &event), 9);
}

/* A block is known as long as nothing changes the table. */
static void test_known_blocks(void **state)
{
	static const struct {
		const char *items;
		unsigned known_as; /* counted from 1; 0: it is read */
	} steps[] = {
		{ "#8", 0 },	      { "#8", 1 },
		{ "#8|a=b", 0 },      { "!c=d", 0 },
		{ "#8|a=b", 3 },      { "!c=d", 4 },
		{ "#8", 1 },	      { "+a=b", 0 }, /* enters the table */
		{ "#8", 0 },	      { "#62", 0 },
		{ "#62", 10 },	      { "+c=d", 0 },
		{ "#62", 0 }, /* another field now */
		{ "#62", 13 },	      { "+c=d", 0 },
		{ "^0|#8", 0 }, /* a size update */
		{ "^0|#8", 0 },	      { "#8", 0 },
		{ "+a={5000*b}", 0 },			  /* empties the table */
		{ "#8", 0 },	      { "a={200*b}", 0 }, /* too long to be kept */
		{ "a={200*b}", 0 },   { "#8", 20 },
	};
	struct h2 p;

	begin_server(&p);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		unsigned found = known_as(&p, steps[i].items, (uint16_t)(i + 1));

		if (found != steps[i].known_as)
			fail_msg("step %zu, %s: %u", i + 1, steps[i].items, found);
	}
	h2_known_off(&p.known);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(known_as(&p, "#8", (uint16_t)i), 0);
	h2_done(&p);
}

/* However many there are: none is taken for another one, and the latest is known. */
static void test_many_known_blocks(void **state)
{
	unsigned again = 0;
	struct h2 p;

	begin_server(&p);
	for (unsigned n = 1; n <= 2000; n++) {
		unsigned which = n % 2 ? n : 1 + n * 7919 % 40, found;
		char items[32];

		snprintf(items, sizeof(items), "a=%u", which);
		found = known_as(&p, items, (uint16_t)which);
		assert_true(found == 0 || found == which);
		assert_int_equal(known_as(&p, items, (uint16_t)which), which);
		again += found > 0;
	}
	assert_true(again > 0);
	h2_done(&p);
}

/* The largest block is written within what the header promises. */
static void test_largest_written_block(void **state)
{
	static struct h2_head head;
	static char value[H2_LIST_MAX];
	char *out = malloc(H2_WRITTEN_MAX);
	size_t each = H2_LIST_MAX / H2_FIELDS_MAX;

	assert_non_null(out);
	head.n_fields = H2_FIELDS_MAX;
	for (size_t i = 0; i < H2_FIELDS_MAX; i++)
		head.fields[i] = (struct header){ { value, each / 2 }, { value, each / 2 } };
	assert_true(h2_write_block(out, &head) <= H2_WRITTEN_MAX - H2_RESIZE_MAX);
	head.n_fields = 1;
	head.fields[0] = (struct header){ { value, 0 }, { value, H2_LIST_MAX } };
	assert_true(h2_write_block(out, &head) <= H2_LIST_MAX + H2_FIELD_OVERHEAD);
	free(out);
}

static void test_written_frames(void **state)
{
	struct bytes b = { 0 };
	char out[64];
	size_t n;

	h2_text_compile("RST 5 - %7\nWINDOW 0 - %100000\nGOAWAY 0 - %9|%11\nHEADERS 3 eh ~70000\n",
			1, &b);
	n = h2_write_rst(out, 5, 7);
	n += h2_write_window_update(out + n, 0, 100000);
	n += h2_write_goaway(out + n, 9, 11);
	n += h2_write_frame_header(out + n, 70000, NGHTTP2_HEADERS, 5, 3);
	assert_int_equal(n, b.len);
	assert_memory_equal(out, b.data, n);
	bytes_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_block_opcodes),
		cmocka_unit_test(test_written_blocks),
		cmocka_unit_test(test_known_blocks),
		cmocka_unit_test(test_many_known_blocks),
		cmocka_unit_test(test_largest_written_block),
		cmocka_unit_test(test_written_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
