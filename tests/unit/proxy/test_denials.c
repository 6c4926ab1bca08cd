/* SPDX-License-Identifier: Apache-2.0 */
/* What was denied: each distinct thing once, with its count, and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "denials.h"
#include "fail_alloc.h"

static void check_printed(const struct denials *d, const char *want)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	denials_print(d, to);
	fclose(to);
	assert_string_equal(text, want);
	free(text);
}

static void test_denials(void **state)
{
	struct denials a = { 0 }, b = { 0 };

	check_printed(&a, "");
	denials_add(&a, "one|", 3, 1);
	denials_add(&a, "two", 3, 1);
	denials_add(&a, "one", 3, 2);
	denials_add(&a, "on", 2, 1);
	check_printed(&a, "denied 3× one\ndenied 1× two\ndenied 1× on\n");
	denials_add(&b, "two", 3, 5);
	denials_add(&b, "three", 5, 1);
	b.others = 7;
	denials_merge(&a, &b, "");
	check_printed(&a, "denied 3× one\ndenied 6× two\ndenied 1× on\ndenied 1× three\n"
			  "denied 7× others, not listed\n");
	b.others = 0;
	denials_merge(&a, &b, "shop/web: ");
	denials_merge(&a, &b, "shop/web: ");
	check_printed(&a, "denied 3× one\ndenied 6× two\ndenied 1× on\ndenied 1× three\n"
			  "denied 10× shop/web: two\ndenied 2× shop/web: three\n"
			  "denied 7× others, not listed\n");
	fail_alloc_at(1);
	denials_merge(&a, &b, "shop/db: ");
	assert_true(fail_alloc_happened());
	fail_alloc_at(0);
	assert_int_equal(a.others, 7 + 5);
	denials_done(&a);
	denials_done(&b);
}

/* From few to as many as are listed, and beyond; also when memory lacks for a while. */
static void test_many_denials(void **state)
{
	struct denials d = { 0 };
	uint64_t sum = 0;
	char line[32];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < DENIALS_MAX + 10; i++) {
			int len = snprintf(line, sizeof(line), "line %d", i);

			fail_alloc_at(round == 0 && i == 8 ? 1 : 0);
			denials_add(&d, line, (size_t)len, 1);
		}
	}
	fail_alloc_at(0);
	assert_int_equal(d.n, DENIALS_MAX);
	for (unsigned i = 0; i < d.n; i++)
		sum += d.entries[i].count;
	assert_int_equal(d.others, 1 + 9 + 10); /* the ninth; those beyond, in the first round */
	assert_int_equal(sum + d.others, 2 * (DENIALS_MAX + 10));
	denials_done(&d);
	denials_add(&d, "one", 3, 1);
	assert_true(d.room * sizeof(*d.entries) < 1024);
	denials_done(&d);
}

/* What passed in audit has lines of its own, also where it says the same. */
static void test_denials_audited(void **state)
{
	struct denials a = { 0 }, b = { 0 };

	denials_add_audited(&b, "one", 3, 2);
	denials_add(&b, "one", 3, 1);
	denials_add_audited(&a, "one", 3, 1);
	b.others = 4;
	b.others_audited = 5;
	denials_merge(&a, &b, "");
	check_printed(&a, "would have denied 3× one\ndenied 1× one\ndenied 4× others, not listed\n"
			  "would have denied 5× others, not listed\n");
	denials_done(&a);
	denials_done(&b);
}

static void test_denials_bounded(void **state)
{
	struct denials d = { 0 };
	char line[32];

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < DENIALS_MAX + 500; i++) {
			int n = snprintf(line, sizeof(line), "line %d", i);

			denials_add(&d, line, (size_t)n, 1);
		}
	assert_int_equal(d.n, DENIALS_MAX);
	assert_int_equal(d.others, 1000);
	for (unsigned i = 0; i < d.n; i++)
		assert_int_equal(d.entries[i].count, 2);
	denials_done(&d);
}

static void test_denials_without_memory(void **state)
{
	for (unsigned n = 1; n <= 3; n++) {
		struct denials d = { 0 };

		fail_alloc_at(n);
		denials_add(&d, "lost", 4, 3);
		assert_true(fail_alloc_happened());
		fail_alloc_at(0);
		check_printed(&d, "denied 3× others, not listed\n");
		denials_add(&d, "kept", 4, 1);
		check_printed(&d, "denied 1× kept\ndenied 3× others, not listed\n");
		denials_done(&d);
	}
	for (unsigned n = 1; n <= 3; n++) {
		struct denials d = { 0 };

		fail_alloc_at(n);
		denials_add_audited(&d, "lost", 4, 3);
		fail_alloc_at(0);
		check_printed(&d, "would have denied 3× others, not listed\n");
		denials_done(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_denials),
		cmocka_unit_test(test_many_denials),
		cmocka_unit_test(test_denials_audited),
		cmocka_unit_test(test_denials_bounded),
		cmocka_unit_test(test_denials_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
