/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations through the relay. Each is played whole, cut in two at every byte of either side's
 * stream, in small steps, and with sockets that fill up; the outcome has to be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "relay_talk.h"
#include "sluice/array.h"

static const struct talk plain[] = {
#include "relay_talks_plain.inc"
};
static const struct talk denials[] = {
#include "relay_talks_denials.inc"
};
static const struct talk ends[] = {
#include "relay_talks_ends.inc"
};
static const struct talk edits[] = {
#include "relay_talks_edits.inc"
};
static const struct talk bad[] = {
#include "relay_talks_bad.inc"
};

/* What audit makes of a connection; UP and DOWN are what the ends say. */
static const struct talk audits[] = {
#include "relay_talks_audit.inc"
};

/* Streams up to this are cut at every byte; in longer ones most bytes are like their neighbours. */
#define CUT_ALL 1536
#define STRIDE	1021

static struct stage stage;

/* Each check says what is wrong and returns false; the first failure of a talk ends it, and the
 * next one has its turn. */
static bool check_bytes(const struct talk *t, const char *how, const char *what,
			const struct bytes *got, const char *want)
{
	struct bytes b = talk_expand(want);
	size_t same = 0;
	bool equal;

	while (same < got->len && same < b.len && got->data[same] == b.data[same])
		same++;
	equal = same == got->len && (same == b.len || (same > 0 && t->end[0] == '?'));
	if (!equal)
		print_error("%s, %s: %s: %zu of %zu bytes as wanted (%zu), then: %.*s\n", t->name,
			    how, what, same, got->len, b.len, (int)(got->len - same),
			    got->len ? got->data + same : "");
	free(b.data);
	return equal;
}

/* The words of LOG that begin with '=', or the others: requests and responses each have their
 * order, which of them comes first is for the network to say. */
static struct bytes pick(const struct bytes *log, bool answers)
{
	struct bytes picked = { 0 };
	const char *at = log->data, *end = at + log->len;

	while (at < end) {
		const char *blank = memchr(at, ' ', (size_t)(end - at));
		const char *next = blank ? blank + 1 : end;

		if (next - at > 1 && (*at == '=') == answers) {
			bytes_add(&picked, at, (size_t)((blank ? blank : end) - at));
			bytes_add(&picked, " ", 1);
		}
		at = next;
	}
	bytes_add(&picked, "", 1);
	return picked;
}

static bool check_log(const struct talk *t, const char *how)
{
	struct bytes log = talk_expand(t->log);
	bool equal = true;

	for (int answers = 0; answers < 2; answers++) {
		struct bytes want = pick(&log, answers), got = pick(&stage.log, answers);

		if (strcmp(got.data, want.data) != 0) {
			print_error("%s, %s: log: %s\n", t->name, how, got.data);
			equal = false;
		}
		free(want.data);
		free(got.data);
	}
	free(log.data);
	return equal;
}

static bool check_end(const struct talk *t, const char *how)
{
	char end[64];

	stage_describe_end(&stage, end, sizeof(end));
	if (strcmp(end, t->end + (t->end[0] == '?')) == 0)
		return true;
	print_error("%s, %s: it ends with: %s\n", t->name, how, end);
	return false;
}

/* In audit: is there anything that enforcing would not let be? */
static bool is_objected(const struct bytes *log)
{
	for (size_t i = 0; i < log->len; i++)
		if (strchr("-?*#!~", log->data[i]) && (i == 0 || log->data[i - 1] == ' '))
			return true;
	return false;
}

static bool check_objection(const struct talk *t, const char *how)
{
	struct bytes log = talk_expand(t->log);
	bool ends_badly = strncmp(t->end, "close", 5) == 0 || strstr(t->end, "end ");
	bool want = ends_badly || is_objected(&log), got = is_objected(&stage.log);

	free(log.data);
	bytes_add(&stage.log, "", 1);
	/* Audit waits for nobody, so it can lose sight where enforcing waits. */
	if (got == want || (!want && strstr(stage.log.data, "~unfollowed")))
		return true;
	print_error("%s, %s: log in audit: %s\n", t->name, how, stage.log.data);
	return false;
}

/* A talk of the other tables in audit: each end gets all that the other one says, and its end. */
static bool check_all_passes(const struct talk *t, const char *how)
{
	struct bytes said[2] = { { 0 }, { 0 } };
	bool ended[2] = { false, false }, good = check_objection(t, how);

	for (size_t i = 0; i < TALK_STEPS_MAX && t->steps[i]; i++) {
		enum relay_side from = t->steps[i][0] == '>' ? RELAY_DOWN : RELAY_UP;
		struct bytes b = talk_expand(t->steps[i] + 1);

		if (strcmp(t->steps[i] + 1, "$") == 0)
			ended[from] = true;
		else if (t->steps[i][0] != '!')
			bytes_add(&said[from], b.data, b.len);
		free(b.data);
	}
	for (int from = 0; from < 2; from++) {
		const struct stage_side *to = &stage.sides[!from];

		if (to->sent.len != said[from].len || to->finished != ended[from] ||
		    (said[from].len && memcmp(to->sent.data, said[from].data, to->sent.len) != 0)) {
			print_error("%s, %s: audit: %zu of %zu bytes\n", t->name, how, to->sent.len,
				    said[from].len);
			good = false;
		}
		free(said[from].data);
	}
	return good;
}

static bool check_cut(const struct talk *t, const struct talk_cut *cut)
{
	bool in_audit = cut->audit && !(t >= audits && t < audits + ARRAY_SIZE(audits));
	char how[80];
	bool good;

	snprintf(how, sizeof(how), "cut at %zu,%zu, step %zu%s%s", cut->at[0], cut->at[1],
		 cut->step, cut->congest ? ", congested" : "", cut->up_first ? ", up first" : "");
	talk_play(t, cut, &stage);
	good = in_audit ? check_all_passes(t, how)
			: check_log(t, how) &&
				  check_bytes(t, how, "up", &stage.sides[RELAY_UP].sent, t->up) &&
				  check_bytes(t, how, "down", &stage.sides[RELAY_DOWN].sent,
					      t->down) &&
				  check_end(t, how);
	stage_done(&stage);
	return good;
}

/* How many bytes one side sends in all. */
static size_t stream_len(const struct talk *t, char mark)
{
	size_t len = 0;

	for (size_t i = 0; i < TALK_STEPS_MAX && t->steps[i]; i++) {
		struct bytes b;

		if (t->steps[i][0] != mark || t->steps[i][1] == '$')
			continue;
		b = talk_expand(t->steps[i] + 1);
		len += b.len;
		free(b.data);
	}
	return len;
}

static bool check_two_pieces(const struct talk *t, bool congest, bool audit)
{
	for (int side = 0; side < 2; side++) {
		size_t len = stream_len(t, side == RELAY_DOWN ? '>' : '<');
		struct talk_cut cut = { .congest = congest, .audit = audit };

		for (size_t at = 1; at<len; at += len> CUT_ALL && at > 300 ? STRIDE : 1) {
			cut.at[side] = at;
			if (!check_cut(t, &cut))
				return false;
		}
	}
	return true;
}

static bool check_steps(const struct talk *t, bool audit)
{
	size_t longest = stream_len(t, '>') + stream_len(t, '<');

	for (size_t step = longest > CUT_ALL ? 509 : 1; step < 1024; step = 2 * step + 1)
		for (unsigned how = 0; how < 4; how++)
			if (!check_cut(t, &(struct talk_cut){ .step = step,
							      .congest = how & 1,
							      .up_first = how & 2,
							      .audit = audit }))
				return false;
	return true;
}

static void check_talks(const struct talk *talks, size_t n, bool audit)
{
	unsigned bad_ones = 0;

	for (size_t i = 0; i < n; i++) {
		const struct talk *t = &talks[i];

		if (!check_cut(t, &(struct talk_cut){ .audit = audit }) ||
		    !check_cut(t, &(struct talk_cut){ .up_first = true, .audit = audit }) ||
		    !check_two_pieces(t, false, audit) ||
		    (!audit && !check_two_pieces(t, true, false)) || !check_steps(t, audit))
			bad_ones++;
	}
	assert_int_equal(bad_ones, 0);
}

static void test_plain(void **state)
{
	check_talks(plain, ARRAY_SIZE(plain), false);
}

static void test_denials(void **state)
{
	check_talks(denials, ARRAY_SIZE(denials), false);
}

static void test_ends(void **state)
{
	check_talks(ends, ARRAY_SIZE(ends), false);
}

static void test_edits(void **state)
{
	check_talks(edits, ARRAY_SIZE(edits), false);
}

struct slow_server {
	struct stage stage;
	unsigned judged;
};

static void on_judged(void *ctx, const struct h1_head *head, enum judged verdict)
{
	struct slow_server *s = ctx;

	s->judged++;
	s->stage.sides[RELAY_UP].stuck = true;
}

/* A server that does not read has one head in front of it, however many came in one read: each may
 * be much larger than what was sent. */
static void test_edited_heads_wait(void **state)
{
	static const struct stage_watch watch = { .judged = on_judged };
	static const char requests[] = GET("/long") GET("/long") GET("/long");
	struct slow_server s = { 0 };

	stage_begin(&s.stage);
	s.stage.watch = &watch;
	s.stage.watch_ctx = &s;
	stage_put(&s.stage, RELAY_DOWN, requests, sizeof(requests) - 1);
	for (unsigned n = 1; n <= 3; n++) {
		assert_int_equal(s.judged, n);
		s.stage.sides[RELAY_UP].stuck = false;
		stage_settle(&s.stage);
	}
	assert_int_equal(s.judged, 3);
	stage_done(&s.stage);
}

static void test_bad(void **state)
{
	check_talks(bad, ARRAY_SIZE(bad), false);
}

static void test_audit(void **state)
{
	check_talks(audits, ARRAY_SIZE(audits), true);
}

static void test_audit_of_bad(void **state)
{
	check_talks(bad, ARRAY_SIZE(bad), true);
}

/* Much of these is like what the other tables have: cut in small steps only. */
static void test_audit_of_others(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		assert_true(check_steps(&plain[i], true));
	for (size_t i = 0; i < ARRAY_SIZE(denials); i++)
		assert_true(check_steps(&denials[i], true));
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		assert_true(check_steps(&ends[i], true));
	for (size_t i = 0; i < ARRAY_SIZE(edits); i++)
		assert_true(check_steps(&edits[i], true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_denials),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_audit_of_bad),
		cmocka_unit_test(test_audit_of_others),
		cmocka_unit_test(test_edited_heads_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
