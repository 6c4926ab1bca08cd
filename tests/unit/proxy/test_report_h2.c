/* SPDX-License-Identifier: Apache-2.0 */
/* Records of what HTTP/2 has and HTTP/1 has not: streams, and how a call or a connection ended. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "report.h"
#include "report_desk.h"
#include "sluice/array.h"

static const struct request req = { .method = SPAN_LITERAL("POST"),
				    .path = SPAN_LITERAL("/d.M/Get"),
				    .authority = SPAN_LITERAL("h") };
static const struct report_ask call = {
	.req = &req, .protocol = "gRPC", .stream = 7, .grpc = true
};
static const struct report_ask plain = { .req = &req, .protocol = "HTTP/2", .stream = 9 };

static void report_all(struct reporter *r)
{
	struct verdict allow = { .action = VERDICT_ALLOW }, deny = { .action = VERDICT_DENY };
	struct exchange x = { 0 }, none = { 0 };

	report_request(r, &flow, &call, &allow, &x);
	report_response(r, &flow, &x, 200);
	report_stream_end(r, &flow, &x, 5, 0);
	report_stream_end(r, &flow, &x, -1, 8);
	report_stream_end(r, &flow, &none, 0, 0); /* it was not kept: nothing */
	kept_free(r->kept, x.record);
	report_request(r, &flow, &call, &deny, &none);
	report_request(r, &flow, &plain, &deny, &none);
	report_refused(r, &flow, 0, "a body that is too long");
	report_broken(r, &flow, CLOSE_HTTP2, "a PUSH_PROMISE");
	report_broken(r, &flow, CLOSE_HTTP2_LIMIT, "too many streams");
	report_broken(r, &flow, CLOSE_HTTP2_SERVER, "a PUSH_PROMISE");
}

/* What the records say, one a row; NULL: not there. */
static const struct {
	const char *verdict, *type, *stream, *code, *status, *reset, *reason, *close;
} rows[] = {
	{ "FORWARDED", "REQUEST", "7", NULL, NULL, NULL, NULL, NULL },
	{ "FORWARDED", "RESPONSE", "7", "200", NULL, NULL, NULL, NULL },
	{ "FORWARDED", "END", "7", NULL, "5", NULL, NULL, NULL },
	{ "FORWARDED", "END", "7", NULL, NULL, "CANCEL", NULL, NULL },
	{ "DROPPED", "REQUEST", "7", "200", "7", NULL, "no rule allows it", NULL },
	{ "DROPPED", "REQUEST", "9", "403", NULL, NULL, "no rule allows it", NULL },
	{ "DROPPED", "REQUEST", NULL, "0", NULL, NULL, "a body that is too long", NULL },
	{ "DROPPED", NULL, NULL, NULL, NULL, NULL, "the client broke HTTP/2: a PUSH_PROMISE",
	  "http2" },
	{ "DROPPED", NULL, NULL, NULL, NULL, NULL, "the client broke HTTP/2: too many streams",
	  "http2_limit" },
	{ "DROPPED", NULL, NULL, NULL, NULL, NULL, "the server broke HTTP/2: a PUSH_PROMISE",
	  "http2_server" },
};

static void check_row(size_t i, const char *record)
{
	check(record, "verdict", rows[i].verdict);
	check(record, "l7.type", rows[i].type);
	check(record, "l7.stream", rows[i].stream);
	check(record, "l7.code", rows[i].code);
	check(record, "l7.grpc_status", rows[i].status);
	check(record, "l7.reset", rows[i].reset);
	check(record, "reason", rows[i].reason);
	check(record, "close", rows[i].close);
}

static void test_records(void **state)
{
	struct desk d;

	desk_open(&d, "");
	report_all(&d.reporter);
	assert_int_equal(desk_read(&d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(i, desk_next(&d));
	assert_null(desk_next(&d));
	desk_close(&d);
}

static void test_summary(void **state)
{
	struct reporter r = { .log = NULL };
	char text[2048] = "";
	FILE *to = fmemopen(text, sizeof(text), "w");

	assert_non_null(to);
	report_all(&r);
	denials_print(&r.denials, to);
	denials_done(&r.denials);
	fclose(to);
	assert_non_null(strstr(text, "denied 2× POST http://h/d.M/Get: no rule allows it\n"));
	assert_non_null(
		strstr(text, "a request to 192.0.2.7:8080: reset: a body that is too long\n"));
	assert_non_null(strstr(text, "192.0.2.7:8080: the server broke HTTP/2: a PUSH_PROMISE\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_summary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
