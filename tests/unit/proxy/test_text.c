/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and times are written as the C library writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>
#include "sluice/array.h"
#include "text.h"

static void test_numbers_as_text(void **state)
{
	static const uint64_t numbers[] = { 0, 9, 10, 65535, UINT32_MAX, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char buf[32], expected[32];
		struct text t = TEXT_INIT(buf);

		text_add_number(&t, numbers[i]);
		assert_int_equal(t.len, snprintf(expected, sizeof(expected), "%llu",
						 (unsigned long long)numbers[i]));
		assert_memory_equal(buf, expected, t.len);
	}
}

/* Every day of more than 400 years, as the C library writes it. */
static void test_times_as_text(void **state)
{
	for (time_t day = 0; day < 150000; day++) {
		time_t when = day * 86400 + day * 7919 % 86400;
		char buf[64], expected[64];
		struct text t = TEXT_INIT(buf);
		struct tm tm;
		size_t n;

		gmtime_r(&when, &tm);
		n = strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000042Z", &tm);
		text_add_time(&t, (uint64_t)when, 42);
		assert_int_equal(t.len, n);
		assert_memory_equal(buf, expected, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_as_text),
		cmocka_unit_test(test_times_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
