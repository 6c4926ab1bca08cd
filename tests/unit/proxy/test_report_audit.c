/* SPDX-License-Identifier: Apache-2.0 */
/* What is said in audit: the words of a denial, and that it was none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "report_desk.h"

/* In audit what is denied is recorded with the same reason, and so is what became of it. */
static void test_audit(void **state)
{
	static const char reason[] = "no rule allows it; nearest: rules.http[1] of policy \"api\" "
				     "differs in method";
	struct verdict v = { .action = VERDICT_DENY, .rule = &rule, .failed = FIELD_METHOD };
	struct steer_event e = { .kind = STEER_CONNECT_REFUSED, .audit = true };
	struct exchange x = { 0 };
	const char *record;
	struct desk d;

	desk_open(&d, "");
	d.reporter.audit = true;
	report_request(&d.reporter, &flow, ask_of("GET", "h", "/x"), &v, &x);
	report_response(&d.reporter, &flow, &x, 204);
	report_refused(&d.reporter, &flow, 400, "why");
	report_audited(&d.reporter, &flow, CLOSE_TLS);
	report_event(&d.reporter, &e);
	e.audit = false; /* what the kernel could not let pass */
	report_event(&d.reporter, &e);
	report_close(&d.reporter, &flow, CLOSE_LIMIT);
	assert_int_equal(desk_read(&d), 0);
	for (int i = 0; i < 2; i++) {
		record = desk_next(&d);
		check(record, "verdict", "AUDIT");
		check(record, "l7.type", i ? "RESPONSE" : "REQUEST");
		check(record, "l7.code", i ? "204" : NULL);
		check(record, "reason", reason);
		check(record, "policy.name", "api");
	}
	record = desk_next(&d);
	check(record, "verdict", "AUDIT");
	check(record, "l7.code", NULL);
	check(record, "reason", "why");
	record = desk_next(&d);
	check(record, "verdict", "AUDIT");
	check(record, "close", "tls");
	check(desk_next(&d), "verdict", "AUDIT");
	check(desk_next(&d), "verdict", "DROPPED");
	check(desk_next(&d), "verdict", "ERROR");
	assert_null(desk_next(&d));
	for (unsigned i = 0; i < d.reporter.denials.n; i++)
		assert_int_equal(d.reporter.denials.entries[i].audited, i < 4);
	assert_int_equal(d.reporter.denials.n, 6);
	kept_free(&d.kept, x.record);
	desk_close(&d);
}

/* Without a log there is the line of the summary and nothing else. */
static void test_without_log(void **state)
{
	struct reporter r = { .audit = true };
	struct verdict v = { .action = VERDICT_DENY, .rule = &rule, .failed = FIELD_PATH };
	struct exchange x = { 0 };

	report_request(&r, &flow, ask_of("GET", "h", "/"), &v, &x);
	report_response(&r, &flow, &x, 200);
	assert_null(x.record);
	assert_int_equal(r.denials.n, 1);
	assert_true(r.denials.entries[0].audited);
	denials_done(&r.denials);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_without_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
