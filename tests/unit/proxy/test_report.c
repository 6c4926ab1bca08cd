/* SPDX-License-Identifier: Apache-2.0 */
/* Records and lines of the summary: their fields, and hostile bytes in all of them. */
#include <arpa/inet.h>
#include <netinet/in.h>
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
#include "json.h"
#include "report.h"
#include "report_desk.h"
#include "sluice/array.h"

static void test_forwarded(void **state)
{
	static const struct header_action watched[] = {
		{ .name = { "X-A", 3 }, .value = { "hush", 4 }, .secret = true },
		{ .kind = HEADER_LOG, .name = { "X-\"B", 4 } },
		{ .kind = HEADER_ADD, .name = { "X-C", 3 }, .value = { "a\377", 2 } },
		{ HEADER_REPLACE, true, { "X-D", 3 }, { "hush", 4 } },
		{ .kind = HEADER_DELETE, .name = { "X-E", 3 }, .value = { "e", 1 } },
	};
	struct verdict v = { .action = VERDICT_ALLOW,
			     .rule = &rule,
			     .actions = { &watched[0], &watched[1], &watched[2], &watched[3],
					  &watched[4] },
			     .n_actions = 5 };
	struct exchange x = { 0 };
	const char *record;
	struct desk d;

	desk_open(&d, "\"k8s:app=web\",\"any:x=\\\"y\"");
	report_request(&d.reporter, &flow, ask_of("GET", "h:8080", "/a?b=c"), &v, &x);
	report_response(&d.reporter, &flow, &x, 204);
	assert_int_equal(desk_read(&d), 0);
	for (int response = 0; response < 2; response++) {
		record = desk_next(&d);
		check(record, "verdict", "FORWARDED");
		check(record, "direction", "egress");
		check(record, "source.ip", "127.0.0.1");
		check(record, "source.port", "40000");
		check(record, "source.labels", "[\"k8s:app=web\",\"any:x=\\\"y\"]");
		check(record, "destination.ip", "192.0.2.7");
		check(record, "destination.port", "8080");
		check(record, "l7.type", response ? "RESPONSE" : "REQUEST");
		check(record, "l7.protocol", "HTTP/1.1");
		check(record, "l7.method", "GET");
		check(record, "l7.url", "http://h:8080/a?b=c");
		check(record, "l7.url_truncated", NULL);
		check(record, "l7.header_mismatches",
		      "[{\"name\":\"X-A\",\"action\":\"LOG\",\"value\":\"[redacted]\"},"
		      "{\"name\":\"X-\\\"B\",\"action\":\"LOG\"},"
		      "{\"name\":\"X-C\",\"action\":\"ADD\",\"value\":\"a\\u00ff\"},"
		      "{\"name\":\"X-D\",\"action\":\"REPLACE\",\"value\":\"[redacted]\"},"
		      "{\"name\":\"X-E\",\"action\":\"DELETE\",\"value\":\"e\"}]");
		assert_null(strstr(record, "hush"));
		check(record, "l7.code", response ? "204" : NULL);
		check(record, "policy.name", "api");
		check(record, "policy.namespace", "shop");
		check(record, "policy.rule", "egress[0].toPorts[0].rules.http[1]");
		check(record, "reason", NULL);
		check(record, "lane", "user");
	}
	assert_non_null(strstr(record, "\"latency_ns\":"));
	assert_null(desk_next(&d));
	assert_int_equal(d.reporter.denials.n, 0);
	kept_free(&d.kept, x.record);
	desk_close(&d);
}

/* Of ingress the labels are the destination's, and the summary says who came. */
static void test_ingress(void **state)
{
	struct flow in = flow;
	const char *record;
	struct desk d;

	in.ingress = true;
	desk_open(&d, "\"any:a=b\"");
	report_close(&d.reporter, &in, CLOSE_TLS);
	assert_int_equal(desk_read(&d), 0);
	record = desk_next(&d);
	check(record, "direction", "ingress");
	check(record, "source.ip", "127.0.0.1");
	check(record, "source.labels", NULL);
	check(record, "destination.port", "8080");
	check(record, "destination.labels", "[\"any:a=b\"]");
	assert_string_equal(d.reporter.denials.entries[0].text,
			    "a connection from 127.0.0.1 to 192.0.2.7:8080: TLS on a port with "
			    "HTTP rules: it cannot be read");
	desk_close(&d);
}

static void test_denied(void **state)
{
	static const struct {
		struct verdict v;
		const char *line, *reason, *policy;
	} cases[] = {
		{ { .action = VERDICT_DENY, .rule = &rule, .failed = FIELD_METHOD },
		  "POST http://h/x: no rule allows it; nearest: rules.http[1] of policy \"api\" "
		  "differs "
		  "in method",
		  "no rule allows it; nearest: rules.http[1] of policy \"api\" differs in method",
		  "api" },
		{ { .action = VERDICT_DENY, .rule = &rule, .failed = FIELD_HEADERS },
		  "POST http://h/x: no rule allows it; nearest: rules.http[1] of policy \"api\" "
		  "differs "
		  "in headers",
		  "no rule allows it; nearest: rules.http[1] of policy \"api\" differs in headers",
		  "api" },
		{ { .action = VERDICT_DENY },
		  "POST http://h/x: no rule allows it",
		  "no rule allows it",
		  NULL },
	};
	struct exchange x = { 0 };
	struct desk d;

	desk_open(&d, "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		report_request(&d.reporter, &flow, ask_of("POST", "h", "/x"), &cases[i].v, &x);
	assert_null(x.record);
	assert_int_equal(desk_read(&d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *record = desk_next(&d);

		check(record, "verdict", "DROPPED");
		check(record, "source.labels", NULL);
		check(record, "l7.type", "REQUEST");
		check(record, "l7.code", "403");
		check(record, "l7.method", "POST");
		check(record, "reason", cases[i].reason);
		check(record, "policy.name", cases[i].policy);
		assert_string_equal(d.reporter.denials.entries[i].text, cases[i].line);
	}
	desk_close(&d);
}

static void test_connect(void **state)
{
	struct verdict v = { .action = VERDICT_DENY };
	struct exchange x = { 0 };
	struct desk d;

	desk_open(&d, "");
	report_request(&d.reporter, &flow, ask_of("CONNECT", "far:443", ""), &v, &x);
	desk_read(&d);
	check(desk_next(&d), "l7.url", "far:443");
	assert_string_equal(d.reporter.denials.entries[0].text,
			    "CONNECT far:443: no rule allows it");
	desk_close(&d);
}

/* Bytes that a parser may let through, and some that none would. */
static void test_hostile_bytes(void **state)
{
	static const char path[] = "/\"\\,\"x\":1}\n{\x1b]0;\x07\xff\xc2\x9b";
	struct rule_ref odd = rule;
	struct verdict v = { .action = VERDICT_ALLOW, .rule = &odd };
	struct exchange x = { 0 };
	char url[64];
	struct desk d;

	odd.policy = "a\"\n\x1b[2Jb";
	snprintf(url, sizeof(url), "http://h\"%s", path);
	desk_open(&d, "");
	report_request(&d.reporter, &flow, ask_of("G\"T", "h\"", path), &v, &x);
	v.action = VERDICT_DENY;
	v.failed = FIELD_PATH;
	report_request(&d.reporter, &flow, ask_of("G\"T", "h\"", path), &v, &x);
	assert_int_equal(desk_read(&d), 0);
	for (int i = 0; i < 2; i++) {
		const char *record = desk_next(&d);

		check(record, "l7.method", "G\"T");
		check(record, "l7.url", url);
		check(record, "policy.name", odd.policy);
	}
	assert_null(desk_next(&d));
	assert_string_equal(
		d.reporter.denials.entries[0].text,
		"G\"T http://h\"/\"\\x5c,\"x\":1}\\x0a{\\x1b]0;\\x07\\xff\\xc2\\x9b: no rule "
		"allows it; nearest: rules.http[1] of policy \"a\"\\x0a\\x1b[2Jb\" differs "
		"in path");
	kept_free(&d.kept, x.record);
	desk_close(&d);
}

/* Whatever the length and the bytes of a URL and of the headers that a rule changes, what is
 * written is JSON, and says when it was cut. */
static void test_long_urls(void **state)
{
	static const char fills[] = { 'a', '"', '\xff' };
	static char path[70000];
	char value[REPORT_RECORD_MAX];
	struct exchange x = { 0 };
	struct header_action long_one = { .kind = HEADER_REPLACE, .name = { path, 9000 } };
	struct verdict v = { .rule = &rule, .n_actions = VERDICT_ACTIONS_MAX };
	struct desk d;
	unsigned cut = 0;

	long_one.value = long_one.name;
	for (size_t i = 0; i < VERDICT_ACTIONS_MAX; i++)
		v.actions[i] = &long_one;
	desk_open(&d, "");
	for (size_t i = 0; i < ARRAY_SIZE(fills); i++) {
		for (size_t len = 600; len < sizeof(path); len = len * 5 / 4 + 7) {
			memset(path, fills[i], len);
			path[0] = '/';
			path[len] = '\0';
			v.action = VERDICT_ALLOW;
			report_request(&d.reporter, &flow, ask_of("GET", "h", path), &v, &x);
			kept_free(&d.kept, x.record);
			x.record = NULL;
			v.action = VERDICT_DENY;
			report_request(&d.reporter, &flow, ask_of("GET", "h", path), &v, &x);
		}
	}
	assert_int_equal(desk_read(&d), 0);
	for (const char *record; (record = desk_next(&d));) {
		bool truncated = json_get(record, "l7.url_truncated", value, sizeof(value));

		cut += truncated;
		assert_true(json_get(record, "l7.url", value, sizeof(value)));
		assert_true(truncated ? strlen(value) >= 600 : true);
		assert_int_equal(strncmp(value, "http://h/", 9), 0);
		if (json_get(record, "l7.header_mismatches", value, sizeof(value)))
			assert_non_null(strstr(value, "...\",\"action\":\"REPLACE\",\"value\":"));
	}
	assert_true(cut > 20);
	for (unsigned i = 0; i < d.reporter.denials.n; i++)
		assert_true(strlen(d.reporter.denials.entries[i].text) <
			    REPORT_URL_MAX + REPORT_LINE_MAX);
	desk_close(&d);
}

/* A name for which there is no room: the record is lost, not broken. */
static void test_long_names(void **state)
{
	static char name[20000];
	struct rule_ref odd = rule;
	struct verdict v = { .action = VERDICT_ALLOW, .rule = &odd };
	struct exchange x = { 0 };
	uint64_t lost, records = 0;
	unsigned reported = 0;
	struct desk d;

	odd.policy = name;
	desk_open(&d, "");
	for (size_t len = 100; len < sizeof(name); len = len * 3 / 2) {
		memset(name, len % 2 ? 'n' : '\x01', len);
		for (int deny = 0; deny < 2; deny++) {
			v.action = deny ? VERDICT_DENY : VERDICT_ALLOW;
			v.failed = FIELD_PATH;
			report_request(&d.reporter, &flow, ask_of("GET", "h", "/"), &v, &x);
			reported++;
		}
		kept_free(&d.kept, x.record);
		x.record = NULL;
	}
	lost = desk_read(&d);
	for (const char *record; (record = desk_next(&d));)
		records += strstr(record, "\"lost\":") == NULL;
	assert_int_equal(records + lost, reported);
	assert_true(records > 0 && lost > 0);
	desk_close(&d);
}

/* Everything at its longest at once, the labels too: nobody makes a record that is lost for it. */
static void test_longest_record(void **state)
{
	static char labels[WORKLOAD_RECORD_MAX - 13], name[REPORT_LINE_MAX - 500], path[9000];
	struct header_action action = { .kind = HEADER_REPLACE, .name = { path, 9000 } };
	struct rule_ref odd = rule;
	struct verdict v = { .action = VERDICT_DENY,
			     .rule = &odd,
			     .failed = FIELD_PATH,
			     .n_actions = VERDICT_ACTIONS_MAX };
	struct workload_info server = { .refs = 2, .line = name }; /* whom the test keeps */
	struct named_endpoint other = { &server, &flow.destination, 1 };
	struct endpoint_names *names = NULL;
	struct exchange x = { 0 };
	struct desk d;

	memset(labels, 'l', sizeof(labels) - 1);
	labels[0] = labels[sizeof(labels) - 2] = '"';
	memset(name, 'n', sizeof(name) - 1);
	memset(path, '/', sizeof(path) - 1);
	odd.policy = name;
	action.value = action.name;
	for (size_t i = 0; i < VERDICT_ACTIONS_MAX; i++)
		v.actions[i] = &action;
	desk_open(&d, labels);
	server.record = d.who;
	assert_int_equal(endpoint_names_new(&other, 1, &names), 0);
	d.reporter.names = &names;
	d.reporter.audit = true; /* so that the reason is there as well */
	report_request(&d.reporter, &flow, ask_of("GET", "h", path), &v, &x);
	report_response(&d.reporter, &flow, &x, 200);
	assert_int_equal(desk_read(&d), 0);
	for (int response = 0; response < 2; response++)
		assert_true(strlen(desk_next(&d)) > REPORT_RECORD_MAX - 3000);
	kept_free(&d.kept, x.record);
	endpoint_names_unref(names);
	desk_close(&d);
}

static void test_refused(void **state)
{
	const char *record;
	struct desk d;

	desk_open(&d, "");
	report_refused(&d.reporter, &flow, 431, "a head over \"the\" limit");
	desk_read(&d);
	record = desk_next(&d);
	check(record, "verdict", "DROPPED");
	check(record, "l7.code", "431");
	check(record, "reason", "a head over \"the\" limit");
	assert_string_equal(d.reporter.denials.entries[0].text,
			    "a request to 192.0.2.7:8080: answered 431: a head over \"the\" limit");
	desk_close(&d);
}

/* Ordinary ends are nobody's business; what the command saw itself is no line of the summary. */
static void test_closes(void **state)
{
	static const struct {
		const char *verdict;
		enum close_reason why;
		bool line;
	} cases[] = {
		{ NULL, CLOSE_DONE, false },
		{ NULL, CLOSE_CLIENT_RESET, false },
		{ NULL, CLOSE_UPSTREAM_RESET, false },
		{ NULL, CLOSE_DENIED, false },
		{ NULL, CLOSE_MALFORMED, false },
		{ NULL, CLOSE_UNFOLLOWED, false },
		{ "ERROR", CLOSE_UPSTREAM_REFUSED, false },
		{ "DROPPED", CLOSE_NOT_HTTP, true },
		{ "DROPPED", CLOSE_TLS, true },
		{ NULL, CLOSE_HTTP2, false }, /* report_broken() has said it */
		{ NULL, CLOSE_HTTP2_LIMIT, false },
		{ NULL, CLOSE_HTTP2_SERVER, false },
		{ "DROPPED", CLOSE_UNSOLICITED, true },
		{ "DROPPED", CLOSE_BAD_UPGRADE, true },
		{ "DROPPED", CLOSE_NOT_ALLOWED, true },
		{ "DROPPED", CLOSE_STALE_BODY, true },
		{ "DROPPED", CLOSE_UNREAD_RESPONSE, true },
		{ "ERROR", CLOSE_LIMIT, true },
		{ "ERROR", CLOSE_OOM, true },
		{ "ERROR", CLOSE_INTERNAL, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *record;
		struct desk d;

		desk_open(&d, "");
		report_close(&d.reporter, &flow, cases[i].why);
		desk_read(&d);
		record = desk_next(&d);
		assert_int_equal(record != NULL, cases[i].verdict != NULL);
		if (record) {
			check(record, "verdict", cases[i].verdict);
			check(record, "destination.ip", "192.0.2.7");
			assert_true(strstr(record, "\"reason\":") && strstr(record, "\"close\":"));
		}
		assert_int_equal(d.reporter.denials.n, cases[i].line);
		desk_close(&d);
	}
}

static void test_events(void **state)
{
	struct steer_event e = { .pid = 7, .protocol = IPPROTO_TCP, .command = "a\"b\n\x1b" };
	struct desk d;

	e.destination = flow.destination;
	memset(e.command + 5, 'x', sizeof(e.command) - 5); /* no NUL: must not be read beyond */
	desk_open(&d, "\"any:a=b\"");
	for (int kind = 0; kind < STEER_EVENT_MAX; kind++) {
		e.kind = (enum steer_event_kind)kind;
		if (kind >= STEER_ACCEPT_REFUSED) /* somebody came */
			e.source = flow.client;
		report_event(&d.reporter, &e);
	}
	e.source.family = 0;
	e.kind = STEER_EVENT_MAX;
	report_event(&d.reporter, &e);
	e.kind = STEER_SOCKET_REFUSED;
	e.protocol = 99;
	e.destination = (struct address){ 0 };
	report_event(&d.reporter, &e);
	assert_int_equal(desk_read(&d), 0);
	for (int kind = 0; kind < STEER_EVENT_MAX + 1; kind++) {
		const char *record = desk_next(&d);

		check(record, "verdict", "DROPPED");
		check(record, "direction",
		      kind >= STEER_ACCEPT_REFUSED && kind < STEER_EVENT_MAX ? "ingress"
									     : "egress");
		check(record, "process.command", "a\"b\n\x1bxxxxxxxxxxx");
		check(record, "process.pid", "7");
		check(record, "lane", "kernel");
		check(record, "l4.protocol", kind < STEER_EVENT_MAX ? "TCP" : "another protocol");
	}
	assert_null(desk_next(&d));
	assert_string_equal(d.reporter.denials.entries[STEER_CONNECT_REFUSED].text,
			    "connect to 192.0.2.7:8080 (TCP): no rule allows it");
	assert_string_equal(d.reporter.denials.entries[STEER_ACCEPT_REFUSED].text,
			    "connection from 127.0.0.1 to 192.0.2.7:8080 (TCP): no rule allows it");
	assert_string_equal(d.reporter.denials.entries[STEER_EVENT_MAX].text,
			    "socket (another protocol): only TCP and UDP can be held to a policy");
	desk_close(&d);
}

/* Without a log there are the lines of the summary and nothing else. */
static void test_without_log(void **state)
{
	struct reporter r = { .log = NULL };
	struct verdict v = { .action = VERDICT_ALLOW, .rule = &rule };
	struct exchange x = { 0 };

	report_request(&r, &flow, ask_of("GET", "h", "/"), &v, &x);
	assert_null(x.record);
	report_response(&r, &flow, &x, 200);
	v.action = VERDICT_DENY;
	report_request(&r, &flow, ask_of("GET", "h", "/"), &v, &x);
	report_refused(&r, &flow, 400, "why");
	report_close(&r, &flow, CLOSE_TLS);
	assert_int_equal(r.denials.n, 3);
	denials_done(&r.denials);
}

static void test_without_memory(void **state)
{
	struct verdict v = { .action = VERDICT_ALLOW, .rule = &rule };
	struct exchange x = { 0 };
	struct desk d;

	desk_open(&d, "");
	fail_alloc_at(1);
	report_request(&d.reporter, &flow, ask_of("GET", "h", "/"), &v, &x);
	assert_true(fail_alloc_happened());
	fail_alloc_at(0);
	assert_null(x.record);
	report_response(&d.reporter, &flow, &x, 200);
	/* Neither of the two records could be made, and both are counted. */
	assert_int_equal(desk_read(&d), 2);
	desk_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forwarded),      cmocka_unit_test(test_ingress),
		cmocka_unit_test(test_denied),	       cmocka_unit_test(test_connect),
		cmocka_unit_test(test_hostile_bytes),  cmocka_unit_test(test_long_urls),
		cmocka_unit_test(test_long_names),     cmocka_unit_test(test_longest_record),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_closes),
		cmocka_unit_test(test_events),	       cmocka_unit_test(test_without_log),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
