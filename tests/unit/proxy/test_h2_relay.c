/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations over HTTP/2: whole, cut at every byte, in small pieces, and with full sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "h2_talk.h"
#include "sluice/array.h"

static const struct h2_talk plain[] = {
#include "h2_talks_plain.inc"
};
static const struct h2_talk denials[] = {
#include "h2_talks_denials.inc"
};
static const struct h2_talk abuses[] = {
#include "h2_talks_abuses.inc"
};

/* What audit makes of them. */
static const struct h2_talk audits[] = {
#include "h2_talks_audit.inc"
};

static const char up_hello[] = "PRI\nSETTINGS 0 - @2:0\n", down_hello[] = "SETTINGS 0 -\n";

static char *expected(const struct h2_talk *t, const char *hello, const char *lines)
{
	char *text;

	assert_true(asprintf(&text, "%s%s", t->bare ? "" : hello, lines) >= 0);
	return text;
}

static void check_side(const struct h2_talk *t, const char *what, const char *hello,
		       const char *lines, struct h2_stage_side *side)
{
	char *want, *all, *got;

	if (!lines)
		return;
	all = expected(t, hello, lines);
	want = h2_talk_normal(all);
	got = h2_talk_normal(h2_reader_text(&side->reader));
	if (strcmp(got, want) != 0)
		fail_msg("%s: %s: wanted\n%sgot\n%s", t->name, what, want, got);
	if (side->reader.rest.len > 0)
		fail_msg("%s: %s: half a frame", t->name, what);
	free(all);
	free(want);
	free(got);
}

/* In audit each end gets all that the other one says. */
static void check_all_passed(const struct h2_talk *t, const struct h2_stage *s)
{
	for (int i = 0; i < 2; i++)
		if (s->sides[i].wire.len > 0 || s->sides[!i].sent.len != s->sides[i].taken.len)
			fail_msg("%s: %zu of %zu bytes have passed", t->name, s->sides[!i].sent.len,
				 s->sides[i].taken.len);
}

static void play(const struct h2_talk *t, const struct talk_cut *cut)
{
	struct h2_stage stage;
	char end[64];

	h2_talk_play(t, cut, &stage);
	h2_stage_describe_end(&stage, end, sizeof(end));
	if (cut->audit)
		check_all_passed(t, &stage);
	h2_relay_done(&stage.relay); /* what is still open is over now */
	if (strcmp(stage.log.data, t->log) != 0)
		fail_msg("%s: cut %zu/%zu step %zu: log %s", t->name, cut->at[0], cut->at[1],
			 cut->step, stage.log.data);
	if (strcmp(end, t->end) != 0)
		fail_msg("%s: cut %zu/%zu step %zu: %s", t->name, cut->at[0], cut->at[1], cut->step,
			 end);
	check_side(t, "up", up_hello, t->up, &stage.sides[RELAY_UP]);
	check_side(t, "down", down_hello, t->down, &stage.sides[RELAY_DOWN]);
	h2_stage_done(&stage);
}

static size_t length_of(const struct h2_talk *t, char from)
{
	struct bytes b = { 0 };
	size_t len;

	for (size_t i = 0; i < H2_TALK_STEPS_MAX && t->steps[i]; i++)
		if (t->steps[i][0] == from && t->steps[i][1] != '$')
			h2_text_compile(t->steps[i] + 1, 0, &b);
	len = b.len + (t->bare ? 0 : from == '>' ? 33 : 9);
	bytes_free(&b);
	return len;
}

#define CUTS_MAX 2000 /* longer streams are not cut at each byte */

static void check(const struct h2_talk *talks, size_t n, bool audit)
{
	for (size_t i = 0; i < n; i++) {
		const struct h2_talk *t = &talks[i];
		size_t down = length_of(t, '>'), up = length_of(t, '<');

		play(t, &(struct talk_cut){ .audit = audit });
		play(t, &(struct talk_cut){ .congest = !audit, .audit = audit });
		play(t, &(struct talk_cut){ .up_first = true, .audit = audit });
		if (down > CUTS_MAX || up > CUTS_MAX) {
			play(t,
			     &(struct talk_cut){ .step = 5003, .congest = true, .audit = audit });
			continue;
		}
		for (size_t at = 1; at < down; at++)
			play(t, &(struct talk_cut){ .at = { [RELAY_DOWN] = at }, .audit = audit });
		for (size_t at = 1; at < up; at++)
			play(t, &(struct talk_cut){ .at = { [RELAY_UP] = at }, .audit = audit });
		for (size_t step = 1; step < 12; step++)
			play(t, &(struct talk_cut){
					.step = step, .congest = step % 2, .audit = audit });
	}
}

static void test_plain(void **state)
{
	check(plain, ARRAY_SIZE(plain), false);
}

static void test_denials(void **state)
{
	check(denials, ARRAY_SIZE(denials), false);
}

/* None reaches the server as a request, and none breaks the relay's contract. */
static void test_abuses(void **state)
{
	assert_true(ARRAY_SIZE(abuses) >= 40);
	check(abuses, ARRAY_SIZE(abuses), false);
}

static void test_audits(void **state)
{
	check(audits, ARRAY_SIZE(audits), true);
}

/* The talks of the other tables: whatever they are, all of it passes. */
static void pass(const struct h2_talk *talks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t step = 0; step < 6; step++) {
			struct talk_cut cut = { .step = step, .congest = step % 2, .audit = true };
			struct h2_stage stage;

			if (step > 1 && length_of(&talks[i], '>') > CUTS_MAX)
				break;
			h2_talk_play(&talks[i], &cut, &stage);
			check_all_passed(&talks[i], &stage);
			/* What an enforcing relay ends, it cannot read; but a server that was asked
			 * may answer. */
			if (strncmp(talks[i].end, "end", 3) == 0 && stage.n_denied == 0 &&
			    stage.relay.state != H2_RELAY_BLIND)
				fail_msg("%s: still read, log %s", talks[i].name, stage.log.data);
			h2_stage_done(&stage);
		}
	}
}

static void test_all_passes_in_audit(void **state)
{
	pass(plain, ARRAY_SIZE(plain));
	pass(denials, ARRAY_SIZE(denials));
	pass(abuses, ARRAY_SIZE(abuses));
}

/* Requests of few bytes, which are much longer where they are written anew, while the server does
 * not read: what waits for it stays little. */
static void test_written_anew_is_bounded(void **state)
{
	struct bytes first = { 0 }, more = { 0 };
	struct h2_stage stage;

	h2_text_compile(HELLO "HEADERS 1 eh " FIELDS("GET", "/deny") "|+a={600*x}\n", 0, &first);
	for (uint32_t id = 3; id < 6003; id += 2)
		h2_text_compile("HEADERS $ eh #2|#6|:path=/a|:authority=h|#62|#62|#62|#62\n", id,
				&more);
	h2_stage_begin(&stage);
	h2_stage_put(&stage, RELAY_DOWN, first.data, first.len);
	h2_stage_put(&stage, RELAY_UP, "\0\0\0\4\0\0\0\0\0", 9);
	stage.congest = true;
	h2_stage_put(&stage, RELAY_DOWN, more.data, more.len);
	assert_true(stage.most_at_once > 2400 && stage.most_at_once < 300000);
	assert_int_equal(stage.n_allowed, 3000);
	h2_stage_done(&stage);
	bytes_free(&first);
	bytes_free(&more);
}

static void say(struct h2_stage *s, enum relay_side from, const char *frames)
{
	struct bytes b = { 0 };

	h2_text_compile(frames, 0, &b);
	h2_stage_put(s, from, b.data, b.len);
	bytes_free(&b);
}

static void check_log(const struct h2_stage *s, unsigned n_again, const char *log)
{
	assert_string_equal(s->log.data, log);
	assert_int_equal(s->n_again, n_again);
}

static void begin_known(struct h2_stage *s)
{
	h2_stage_begin(s);
	say(s, RELAY_DOWN, HELLO GET(1, "/a"));
	say(s, RELAY_UP, "SETTINGS 0 -\n");
}

/* A request that was judged before passes unread, and is a stream like any other. */
static void test_known_requests(void **state)
{
	struct h2_stage s;

	begin_known(&s);
	say(&s, RELAY_DOWN, GET(3, "/a") GET(5, "/deny") GET(7, "/a") GET(9, "/deny"));
	check_log(&s, 2, "+1 +3 -5 +7 -9"); /* what is denied never is known */
	say(&s, RELAY_UP, OK_LAST(1) OK_LAST(3) "HEADERS 7 eh :status=404\n");
	check_log(&s, 2, "+1 +3 -5 +7 -9 =1:200 .1 =3:200 .3 =7:404 .7");
	h2_relay_rejudge(&s.relay); /* another policy may say something else */
	say(&s, RELAY_DOWN, GET(11, "/a"));
	assert_int_equal(s.n_again, 2);
	say(&s, RELAY_DOWN, GROWING(13, "/a") GET(15, "/a"));
	assert_int_equal(s.n_again, 2);
	say(&s, RELAY_DOWN, GET(17, "/a") GET(19, "/later") GET(21, "/later"));
	assert_int_equal(s.n_again, 4);
	assert_non_null(strstr(h2_reader_text(&s.sides[RELAY_UP].reader), GET(17, "/a")));
	h2_relay_rejudge(&s.relay); /* also those that share a copy */
	h2_stage_settle(&s);
	assert_non_null(strstr(s.log.data, ".19:8"));
	assert_non_null(strstr(s.log.data, ".21:8"));
	h2_stage_done(&s);
}

/* What depends on more than the bytes is looked at each time. */
static void test_known_requests_that_are_wrong(void **state)
{
	struct h2_stage s;

	h2_stage_begin(&s);
	say(&s, RELAY_UP, "SETTINGS 0 -\n");
	say(&s, RELAY_DOWN,
	    HELLO POST_LENGTH(1, "/a", "5") "DATA 1 e \"hello\n" POST_LENGTH(
		    3, "/a", "5") "DATA 3 e \"hello\n");
	check_log(&s, 1, "+1 +3");
	say(&s, RELAY_DOWN, POST_LENGTH(5, "/a", "5") "DATA 5 - \"hello!\n");
	check_log(&s, 2, "+1 +3 +5 !0 .5:1"); /* longer than it said */
	say(&s, RELAY_DOWN, "HEADERS 7 eh " FIELDS("POST", "/a") "|content-length=5\n");
	check_log(&s, 2, "+1 +3 +5 !0 .5:1 !400");
	say(&s, RELAY_DOWN, POST_LENGTH(1, "/a", "5")); /* of a stream that is not new */
	check_log(&s, 2, "+1 +3 +5 !0 .5:1 !400 *down");
	assert_true(s.ended);
	h2_stage_done(&s);
}

/* Once blocks are written anew their fields are needed, each time. */
static void test_known_requests_behind_a_denial(void **state)
{
	struct h2_stage s;
	char *got;

	begin_known(&s);
	say(&s, RELAY_DOWN, GET(3, "/a") GROWING(5, "/deny") GET(7, "/a") GET(9, "/a"));
	check_log(&s, 1, "+1 +3 -5 +7 +9");
	got = h2_talk_normal(h2_reader_text(&s.sides[RELAY_UP].reader));
	assert_non_null(strstr(got, GET(7, "/a") GET(9, "/a")));
	free(got);
	h2_stage_done(&s);
}

/* The same for what a server says: heads, and the end of a call. */
static void test_known_responses(void **state)
{
	static const char call[] = CALL(1, "/d.M/Get") CALL(3, "/d.M/Get");
	static const char *const answers[] = {
		"HEADERS 1 h :status=200\nHEADERS 1 eh grpc-status=5\n",
		"HEADERS 3 h :status=200\nHEADERS 3 eh grpc-status=5\n",
	};
	struct h2_stage s;

	h2_stage_begin(&s);
	say(&s, RELAY_UP, "SETTINGS 0 -\n");
	say(&s, RELAY_DOWN, HELLO);
	say(&s, RELAY_DOWN, call);
	say(&s, RELAY_DOWN, "DATA 1 e \nDATA 3 e \n");
	say(&s, RELAY_UP, answers[0]);
	say(&s, RELAY_UP, answers[1]);
	check_log(&s, 1, "+1 +3 =1:200 .1/5 =3:200 .3/5");
	/* The same words about a request that is no call say nothing. */
	say(&s, RELAY_DOWN, GET(5, "/a"));
	say(&s, RELAY_UP, "HEADERS 5 h :status=200\nHEADERS 5 eh grpc-status=5\n");
	check_log(&s, 1, "+1 +3 =1:200 .1/5 =3:200 .3/5 +5 =5:200 .5");
	h2_stage_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_denials),
		cmocka_unit_test(test_abuses),
		cmocka_unit_test(test_audits),
		cmocka_unit_test(test_all_passes_in_audit),
		cmocka_unit_test(test_written_anew_is_bounded),
		cmocka_unit_test(test_known_requests),
		cmocka_unit_test(test_known_requests_that_are_wrong),
		cmocka_unit_test(test_known_requests_behind_a_denial),
		cmocka_unit_test(test_known_responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
