/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that must be read, and how; each whole, cut at every byte, and byte by byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdarg.h>
#include <cmocka.h>
#include "sluice/array.h"
#include "h1_trace.h"

struct message {
	const char *name, *input;
	size_t len;
	unsigned expect;
	const char *trace;
};

#define GOOD(name, expect, input, trace) { name, input, sizeof(input) - 1, expect, trace },
static const struct message requests[] = {
#include "h1_good.inc"
};
static const struct message responses[] = {
#include "h1_good_response.inc"
};
#undef GOOD

struct fault {
	const char *name, *input;
	size_t len;
	const char *reason;
};

#define BAD(name, input, reason) { name, input, sizeof(input) - 1, reason },
static const struct fault bad_requests[] = {
#include "h1_bad.inc"
};
static const struct fault bad_responses[] = {
#include "h1_bad_response.inc"
};
#undef BAD

static struct h1_trace whole, cut;

/* The same events, bytes and errors wherever the network cuts. */
static void check_cuts(enum h1_kind kind, unsigned expect, const char *name, const char *input,
		       size_t len)
{
	for (size_t at = 1; at < len; at++) {
		h1_trace_all(&cut, kind, expect, input, len, at, 0);
		if (strcmp(cut.text, whole.text) != 0 || cut.released != whole.released)
			fail_msg("%s: cut at %zu: %s", name, at, cut.text);
	}
	for (size_t step = 1; step < 8; step++) {
		h1_trace_all(&cut, kind, expect, input, len, 0, step);
		if (strcmp(cut.text, whole.text) != 0 || cut.released != whole.released)
			fail_msg("%s: in steps of %zu: %s", name, step, cut.text);
	}
}

static void check_good(enum h1_kind kind, const struct message *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct message *m = &cases[i];

		h1_trace_all(&whole, kind, m->expect, m->input, m->len, 0, 0);
		if (strcmp(whole.text, m->trace) != 0)
			fail_msg("%s: %s %s", m->name, whole.text, h1_reason(&whole.parser));
		check_cuts(kind, m->expect, m->name, m->input, m->len);
	}
}

static void test_requests(void **state)
{
	check_good(H1_REQUEST, requests, ARRAY_SIZE(requests));
}

static void test_responses(void **state)
{
	check_good(H1_RESPONSE, responses, ARRAY_SIZE(responses));
}

static void check_bad(enum h1_kind kind, const struct fault *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct fault *f = &cases[i];

		h1_trace_all(&whole, kind, 0, f->input, f->len, 0, 0);
		if (whole.parser.error != -EPROTO)
			fail_msg("%s: not refused: %s", f->name, whole.text);
		if (strcmp(h1_reason(&whole.parser), f->reason) != 0)
			fail_msg("%s: %s", f->name, h1_reason(&whole.parser));
		check_cuts(kind, 0, f->name, f->input, f->len);
	}
}

static void test_bad_requests(void **state)
{
	assert_true(ARRAY_SIZE(bad_requests) >= 80);
	check_bad(H1_REQUEST, bad_requests, ARRAY_SIZE(bad_requests));
}

static void test_bad_responses(void **state)
{
	check_bad(H1_RESPONSE, bad_responses, ARRAY_SIZE(bad_responses));
}

/* Behind a good request in the same packet, a bad one is refused alike, after the good one. */
static void test_bad_after_good(void **state)
{
	static const char good[] = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";

	for (size_t i = 0; i < ARRAY_SIZE(bad_requests); i++) {
		const struct fault *f = &bad_requests[i];
		size_t len = sizeof(good) - 1 + f->len;
		char *both = malloc(len);

		assert_non_null(both);
		memcpy(both, good, sizeof(good) - 1);
		memcpy(both + sizeof(good) - 1, f->input, f->len);
		h1_trace_all(&whole, H1_REQUEST, 0, both, len, 0, 0);
		assert_memory_equal(whole.text, "[GET /first a].", 15);
		assert_int_equal(whole.parser.error, -EPROTO);
		assert_string_equal(h1_reason(&whole.parser), f->reason);
		free(both);
	}
}

/* A head of exactly LEN bytes, and its error. */
static int head_of(size_t len)
{
	static const char begin[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
	char *input = malloc(len);
	int r;

	assert_non_null(input);
	memset(input, 'x', len);
	memcpy(input, begin, sizeof(begin) - 1);
	memcpy(input + len - 4, "\r\n\r\n", 4);
	h1_trace_all(&whole, H1_REQUEST, 0, input, len, 0, 0);
	h1_trace_all(&cut, H1_REQUEST, 0, input, len, 0, 1001);
	assert_string_equal(whole.text, cut.text);
	r = whole.parser.error;
	free(input);
	return r;
}

static void test_head_limit(void **state)
{
	assert_int_equal(head_of(H1_HEAD_MAX), 0);
	assert_int_equal(head_of(H1_HEAD_MAX + 1), -EMSGSIZE);
	assert_int_equal(head_of(H1_HEAD_MAX * 2), -EMSGSIZE);
}

/* N fields, Host included. */
static int head_with(size_t n)
{
	char *input = malloc(64 + n * 8), *at = input;

	assert_non_null(input);
	at += sprintf(at, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (size_t i = 1; i < n; i++)
		at += sprintf(at, "X: %zu\r\n", i % 10);
	at += sprintf(at, "\r\n");
	h1_trace_all(&whole, H1_REQUEST, 0, input, (size_t)(at - input), 0, 0);
	free(input);
	return whole.parser.error;
}

static void test_field_limit(void **state)
{
	assert_int_equal(head_with(H1_FIELDS_MAX), 0);
	assert_int_equal(whole.head.req.n_headers, H1_FIELDS_MAX);
	assert_int_equal(head_with(H1_FIELDS_MAX + 1), -EMSGSIZE);
}

/* A chunk line and a trailer section of LEN bytes each, then the error. */
static int chunked_with(size_t line, size_t trailer)
{
	static const char begin[] =
		"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n";
	size_t len = sizeof(begin) - 1 + line + trailer;
	char *input = malloc(len), *at = input;
	int r;

	assert_non_null(input);
	memset(input, 'x', len);
	memcpy(at, begin, sizeof(begin) - 1);
	at += sizeof(begin) - 1;
	memcpy(at, line > 3 ? "0;" : "0", line > 3 ? 2 : 1);
	memcpy(at + line - 2, "\r\n", 2);
	at += line;
	memcpy(at, trailer > 2 ? "X:" : "\r\n", 2);
	if (trailer > 2)
		memcpy(at + trailer - 4, "\r\n\r\n", 4);
	h1_trace_all(&whole, H1_REQUEST, 0, input, len, 0, 0);
	h1_trace_all(&cut, H1_REQUEST, 0, input, len, 0, 1001);
	assert_string_equal(whole.text, cut.text);
	r = whole.parser.error;
	free(input);
	return r;
}

static void test_chunk_limits(void **state)
{
	assert_int_equal(chunked_with(3, 2), 0);
	assert_int_equal(chunked_with(H1_CHUNK_LINE_MAX, 2), 0);
	assert_int_equal(chunked_with(H1_CHUNK_LINE_MAX + 1, 2), -EMSGSIZE);
	assert_int_equal(chunked_with(3, H1_HEAD_MAX), 0);
	assert_int_equal(chunked_with(3, H1_HEAD_MAX + 1), -EMSGSIZE);
}

/* Lower limits, as the caller sets them in its scratch; higher ones are those that there are. */
static void test_lower_limits(void **state)
{
	const struct h1_limits low = { .head_size = 300, .fields = 5 },
			       high = { .head_size = UINT32_MAX, .fields = UINT32_MAX };

	whole.head.limits = cut.head.limits = low;
	assert_int_equal(head_of(300), 0);
	assert_int_equal(head_of(301), -EMSGSIZE);
	assert_int_equal(head_of(H1_HEAD_MAX + 1), -EMSGSIZE);
	assert_int_equal(head_with(5), 0);
	assert_int_equal(head_with(6), -EMSGSIZE);
	assert_int_equal(chunked_with(3, 300), 0);
	assert_int_equal(chunked_with(3, 301), -EMSGSIZE);
	whole.head.limits = cut.head.limits = high;
	test_head_limit(state);
	test_field_limit(state);
	whole.head.limits = cut.head.limits = (struct h1_limits){ 0 };
}

/* A body of 1 TiB in a few calls: nothing is counted in less than 64 bits. */
static void test_large_body(void **state)
{
	static const char begin[] =
		"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1099511627777\r\n\r\n";
	size_t piece = (size_t)1 << 36;
	enum h1_event event;
	struct h1 p;

	h1_init(&p, H1_REQUEST);
	assert_int_equal(h1_feed(&p, begin, sizeof(begin) - 1, &whole.head, &event),
			 sizeof(begin) - 1);
	/* Bytes of a body of known length are counted, not looked at. */
	for (int i = 0; i < 16; i++) {
		assert_true(h1_feed(&p, begin, piece, &whole.head, &event) == (ssize_t)piece);
		assert_int_equal(event, H1_BODY);
	}
	assert_int_equal(h1_feed(&p, begin, sizeof(begin), &whole.head, &event), 1);
	assert_int_equal(event, H1_END);
}

/* A sender that can no longer be right is not waited for. */
static void test_early_refusal(void **state)
{
	static const char *const begins[] = {
		"GET / HTTP/1.1\n",
		"GET / HTTP/1.1\r\nX: \001",
		"GET / HTTP/1.1\rX",
		"\r",
		"\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: y\177",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nax",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
	};

	static const char *const banners[] = { "SSH-2.0-x\r\n", "HTTQ", "HTTP/2 200", "h" };

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++) {
		h1_trace_all(&whole, H1_REQUEST, 0, begins[i], strlen(begins[i]), 0, 0);
		if (whole.parser.error != -EPROTO)
			fail_msg("not refused: %s", begins[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(banners); i++) {
		h1_trace_all(&whole, H1_RESPONSE, 0, banners[i], strlen(banners[i]), 0, 0);
		if (whole.parser.error != -EPROTO)
			fail_msg("not refused: %s", banners[i]);
	}
}

/* The interim response leaves what h1_expect() said in force for the final one; the final one
 * ends it. */
static void test_expectation(void **state)
{
	static const char answers[] = "HTTP/1.1 100 Continue\r\n\r\n"
				      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
				      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	static const struct {
		enum h1_event event;
		ssize_t n;
	} want[] = { { H1_HEAD, 25 }, { H1_END, 0 },   { H1_HEAD, 38 },
		     { H1_END, 0 },   { H1_HEAD, 38 }, { H1_END, 5 } };
	const char *at = answers, *end = answers + sizeof(answers) - 1;
	enum h1_event event;
	struct h1 p;

	h1_init(&p, H1_RESPONSE);
	h1_expect(&p, true, false);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(h1_feed(&p, at, (size_t)(end - at), &whole.head, &event),
				 want[i].n);
		assert_int_equal(event, want[i].event);
		at += want[i].n;
	}
}

static void test_size(void **state)
{
	assert_true(sizeof(struct h1) <= 192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),       cmocka_unit_test(test_responses),
		cmocka_unit_test(test_bad_requests),   cmocka_unit_test(test_bad_responses),
		cmocka_unit_test(test_bad_after_good), cmocka_unit_test(test_head_limit),
		cmocka_unit_test(test_field_limit),    cmocka_unit_test(test_chunk_limits),
		cmocka_unit_test(test_lower_limits),   cmocka_unit_test(test_large_body),
		cmocka_unit_test(test_early_refusal),  cmocka_unit_test(test_expectation),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
