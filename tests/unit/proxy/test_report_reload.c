/* SPDX-License-Identifier: Apache-2.0 */
/* Records and lines of what a new policy ends, with hostile bytes in them. */
#include <arpa/inet.h>
#include <errno.h>
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
#include "sluice/array.h"

static const struct flow flow = {
	.client = { .family = AF_INET, .port = 40000, .ip = { 127, 0, 0, 1 } },
	.destination = { .family = AF_INET, .port = 8080, .ip = { 192, 0, 2, 7 } },
};

static const struct rule_ref rule = { .policy = "a\"p\ni",
				      .namespace_ = "",
				      .path = "egress[0].toPorts[0].rules.http[1]" };

/* What REPORT writes, each line of it JSON; the summary goes to SUMMARY. */
static char *record_of(void (*report)(struct reporter *r), char *summary, size_t size)
{
	char path[] = "/tmp/test_report.XXXXXX", name[64], *text, *line, *rest;
	int fd = mkstemp(path);
	struct reporter r = { .log = NULL };
	FILE *to = fmemopen(summary, size, "w");
	struct error err = { "" };
	struct access_log *log;
	off_t len;

	unlink(path);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	assert_int_equal(access_log_open(name, 1, 1 << 20, &log, &err), 0);
	r.log = access_log_writer(log, 0);
	report(&r);
	assert_int_equal(access_log_close(log), 0);
	r.log = NULL;
	report(&r); /* the summary does not need a log */
	denials_print(&r.denials, to);
	denials_done(&r.denials);
	fclose(to);
	len = lseek(fd, 0, SEEK_END);
	text = calloc(1, (size_t)len + 1);
	assert_int_equal(pread(fd, text, (size_t)len, 0), len);
	for (line = text; *line; line = rest + 1) {
		rest = strchr(line, '\n');
		assert_non_null(rest);
		assert_true(json_valid(line, (size_t)(rest - line)));
	}
	close(fd);
	return text;
}

static void check_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in %s", part, text);
}

static void report_all_revoked(struct reporter *r)
{
	const struct header fields[] = { { SPAN_LITERAL("Cookie"), SPAN_LITERAL("secret") } };
	const struct request req = { .method = SPAN_LITERAL("GET"),
				     .path = SPAN_LITERAL("/\"\n\x80"),
				     .authority = SPAN_LITERAL("h"),
				     .headers = fields,
				     .n_headers = 1 };
	const struct verdict v = { .rule = &rule, .failed = FIELD_PATH }, none = { .rule = NULL };
	struct kept kept = { .max = KEPT_MAX };
	struct kept_request *k = kept_request_new(&kept, &req);

	assert_non_null(k);
	k->version = 11;
	report_revoked(r, &flow, k, &v);
	report_revoked(r, &flow, NULL, &none);
	kept_request_unref(&kept, k);
	assert_int_equal(kept.bytes, 0);
}

static void test_revoked(void **state)
{
	char summary[4096] = "", *text = record_of(report_all_revoked, summary, sizeof(summary));

	check_has(text, "\"verdict\":\"DROPPED\"");
	check_has(text, "\"url\":\"http://h/\\\"\\u000a\\u0080\"");
	check_has(text, "\"name\":\"a\\\"p\\u000ai\"");
	check_has(text, "\"close\":\"revoked\",\"lane\":\"user\"}");
	check_has(text, "\"l7\":{\"type\":\"REQUEST\"},\"policy\":null,\"reason\":\"there was no "
			"room to keep the request\"");
	assert_null(strstr(text, "secret"));
	check_has(summary, "denied 2× GET http://h/\"\\x0a\\x80: ended by a new policy: no rule "
			   "allows it; nearest: rules.http[1] of policy \"a\"p\\x0ai\" differs in "
			   "path\n");
	check_has(summary, "denied 2× a request to 192.0.2.7:8080: ended by a new policy: ");
	free(text);
}

static void report_all_swept(struct reporter *r)
{
	static const int results[] = { 0, -EOPNOTSUPP, -ENOENT, -EPERM };

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		const struct swept e = { .source = flow.client,
					 .destination = flow.destination,
					 .result = results[i] };

		report_swept(r, &e);
	}
}

static void test_swept(void **state)
{
	char summary[4096] = "", *text = record_of(report_all_swept, summary, sizeof(summary));
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, "\"close\":\"revoked\"")); at++)
		n++;
	assert_int_equal(n, 1); /* the others live on, without a voice */
	check_has(text, "\"source\":{\"ip\":\"127.0.0.1\",\"port\":40000}");
	check_has(text, "\"destination\":{\"ip\":\"192.0.2.7\",\"port\":8080}");
	check_has(summary, "a connection to 192.0.2.7:8080: the new policy does not leave it "
			   "alone\n");
	check_has(summary, "alone; nothing passes on it, but this kernel cannot end it\n");
	check_has(summary, "namespace cannot be reached");
	check_has(summary, "could not be ended\n");
	free(text);
}

static void report_all_changes(struct reporter *r)
{
	static char much[100000];
	struct report_change change = { .policies = 2, .rules = 3, .ended = 4 };

	report_reload(r, &change);
	change.error = "f.yaml:1:2: \"quoted\"\nand more";
	report_reload(r, &change);
	memset(much, '"', sizeof(much) - 1);
	change.error = much;
	report_reload(r, &change);
}

static void test_reload(void **state)
{
	char summary[4096] = "", *text = record_of(report_all_changes, summary, sizeof(summary));

	check_has(text, "\"policy_change\":{\"policies\":2,\"rules\":3,\"ended\":4}}\n");
	check_has(text, "\"policy_change\":{\"error\":\"f.yaml:1:2: \\\"quoted\\\"\\u000aand "
			"more\"}}\n");
	check_has(text, "\\\"\\\"\\\"\"}}\n");
	assert_string_equal(summary, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_swept),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
