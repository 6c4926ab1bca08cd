/* SPDX-License-Identifier: Apache-2.0 */
/* A call that was recorded between gRPC's own client and server, with every piece of it cut at
 * every byte, in both directions: what arrives is the same, allowed or denied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "h2_talk.h"
#include "sluice/array.h"

static const struct {
	char from;
	const char *hex;
} recorded[] = {
#include "h2_recorded_call.inc"
};

static void add_hex(struct bytes *to, const char *hex)
{
	for (; *hex; hex += 2) {
		unsigned byte;
		uint8_t b;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		b = (uint8_t)byte;
		bytes_add(to, &b, 1);
	}
}

/* All that one side wrote. What it says of metadata with arbitrary bytes is the only thing that
 * sluice changes. */
static struct bytes written(enum relay_side from, bool changed)
{
	static const char setting[] = { (char)0xfe, 3, 0, 0, 0, 1 };
	struct bytes b = { 0 };
	char *at;

	for (size_t i = 0; i < ARRAY_SIZE(recorded); i++)
		if ((recorded[i].from == '>') == (from == RELAY_DOWN))
			add_hex(&b, recorded[i].hex);
	at = memmem(b.data, b.len, setting, sizeof(setting));
	assert_non_null(at);
	if (changed)
		at[sizeof(setting) - 1] = 0;
	return b;
}

static enum judged deny(void *ctx, const struct request *req, bool connect)
{
	assert_true(span_eq(req->path, SPAN_LITERAL("/doors.Manager/Get")));
	return JUDGED_DENY;
}

static void play(struct h2_stage *s, const struct talk_cut *cut, bool denied)
{
	size_t done[2] = { 0, 0 };

	h2_stage_begin(s);
	s->congest = cut->congest;
	s->verdict = denied ? deny : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(recorded); i++) {
		enum relay_side from = recorded[i].from == '>' ? RELAY_DOWN : RELAY_UP;
		struct bytes b = { 0 };

		if (denied && recorded[i].from == '=')
			continue; /* it was never asked */
		add_hex(&b, recorded[i].hex);
		h2_talk_put(s, from, &b, cut, &done[from]);
		bytes_free(&b);
	}
	assert_false(s->ended || s->closed);
}

static void check_bytes(const struct h2_stage_side *side, enum relay_side from)
{
	struct bytes want = written(from, true);

	assert_int_equal(side->sent.len, want.len);
	assert_memory_equal(side->sent.data, want.data, want.len);
	bytes_free(&want);
}

static void check_allowed(const struct talk_cut *cut)
{
	struct h2_stage s;

	play(&s, cut, false);
	check_bytes(&s.sides[RELAY_UP], RELAY_DOWN);
	check_bytes(&s.sides[RELAY_DOWN], RELAY_UP);
	assert_string_equal(s.log.data, "+1 =1:200 .1/0");
	h2_stage_done(&s);
}

static void check_lines(struct h2_stage_side *side, const char *want)
{
	char *got = h2_talk_normal(h2_reader_text(&side->reader));

	assert_string_equal(got, want);
	free(got);
}

#define PING_BYTES "\"{00}{00}{00}{00}{00}{00}{00}{00}\n"

/* To the server there was no call; what the client sent for it is given back. */
static void check_denied(const struct talk_cut *cut)
{
	struct h2_stage s;

	play(&s, cut, true);
	check_lines(&s.sides[RELAY_UP],
		    "PRI\nSETTINGS 0 - @2:0|@3:0|@4:4194303|@5:4194303|@6:8192|@65027:0\n"
		    "SETTINGS 0 a\nPING 0 a " PING_BYTES "PING 0 - " PING_BYTES
		    "WINDOW 0 - %4128773\n");
	check_lines(
		&s.sides[RELAY_DOWN],
		"SETTINGS 0 - @4:4194303|@5:4194303|@6:8192|@65027:0\nSETTINGS 0 a\n" DENIED_CALL(1)
			NO_ERROR(1) "PING 0 - " PING_BYTES "PING 0 a " PING_BYTES
				    "WINDOW 0 - %4128778\n");
	assert_string_equal(s.log.data, "-1");
	h2_stage_done(&s);
}

static void check_cuts(void (*check)(const struct talk_cut *cut))
{
	struct bytes down = written(RELAY_DOWN, false), up = written(RELAY_UP, false);

	check(&(struct talk_cut){ .step = 0 });
	check(&(struct talk_cut){ .congest = true });
	for (size_t at = 1; at < down.len; at++)
		check(&(struct talk_cut){ .at = { [RELAY_DOWN] = at } });
	for (size_t at = 1; at < up.len; at++)
		check(&(struct talk_cut){ .at = { [RELAY_UP] = at } });
	/* Both at once: with each other's cuts in step. */
	for (size_t at = 1; at < down.len; at++)
		check(&(struct talk_cut){ .at = { at, 1 + at % (up.len - 1) }, .congest = true });
	for (size_t step = 1; step < 40; step++)
		check(&(struct talk_cut){ .step = step, .congest = step % 2 });
	bytes_free(&down);
	bytes_free(&up);
}

static void test_allowed(void **state)
{
	check_cuts(check_allowed);
}

static void test_denied(void **state)
{
	check_cuts(check_denied);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
