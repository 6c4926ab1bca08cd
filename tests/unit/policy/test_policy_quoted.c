// SPDX-License-Identifier: Apache-2.0
/* Single-quoted scalars: what they say, by themselves and through a whole file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "diag.h"
#include "node.h"
#include "quoted.h"
#include "sluice/array.h"

#define DOUBLED_MAX 300 /* quotes next to each other */

/* WRITTEN is what stands between the quotes. */
static const struct {
	const char *written, *says;
} cases[] = {
	{ "", "" },
	{ "a", "a" },
	{ " a\t", " a\t" },
	{ "\\n#: {", "\\n#: {" },
	{ "''", "'" },
	{ "''''", "''" },
	{ "a''''b", "a''b" },
	{ "''a''''b''", "'a''b'" },
	{ "GET|''''''''GET|HEAD", "GET|''''GET|HEAD" },
	{ "/qp''''''''''''''''''''i-[^/?]*~''HE", "/qp''''''''''i-[^/?]*~'HE" },
	{ "\xc3\xa4''''\xe2\x82\xac", "\xc3\xa4''\xe2\x82\xac" },
	/* lines are folded */
	{ "a\n  b", "a b" },
	{ "a \t\n\tb", "a b" },
	{ "a\r\n  b", "a b" },
	{ "a\n\n  b", "a\nb" },
	{ "a\n \t\n\n  b ", "a\n\nb " },
	{ "\n  a", " a" },
	{ "  \n  a", " a" },
	{ "a\n  ", "a " },
	{ "a''''\n  ''b", "a'' 'b" },
	{ "a''''''\n\n\n  b''''c", "a'''\n\nb''c" },
};

static void check_alone(const char *written, const char *says)
{
	struct arena mem = { .blocks = NULL };
	size_t len = strlen(written);
	struct span text = { .len = 0 };

	for (size_t cut = 0; cut <= len + 1; cut++) {
		char *copy = malloc(cut ? cut : 1); /* exact, so that an over-read is seen */

		assert_non_null(copy);
		memcpy(copy, written, cut < len ? cut : len);
		if (cut > len)
			copy[len] = '\'';
		if (cut > len) {
			assert_int_equal(quoted_read(&mem, copy, cut, &text), 0);
			assert_int_equal(text.len, strlen(says));
			assert_string_equal(text.ptr, says);
		} else if (cut == 0 || copy[cut - 1] != '\'') {
			assert_int_equal(quoted_read(&mem, copy, cut, &text), -EINVAL);
		}
		free(copy);
	}
	arena_done(&mem);
}

/* A value and a key, in a file whose strings mean the same in every YAML reader. */
static void check_file(const char *written, const char *says)
{
	struct arena mem = { .blocks = NULL };
	struct diag diag = { .items = NULL };
	struct node_list docs = { .items = NULL };
	char text[4096];
	int len = snprintf(text, sizeof(text), "{list of one: ['%s'], '%s': b}\n", written,
			   strchr(written, '\n') ? "x" : written);

	assert_in_range(len, 1, sizeof(text) - 1);
	assert_int_equal(yaml_read(&mem, "t.yaml", text, (size_t)len, &docs, &diag), 0);
	assert_int_equal(docs.n, 1);
	assert_string_equal(docs.items[0]->items[1]->items[0]->text.ptr, says);
	if (!strchr(written, '\n'))
		assert_string_equal(docs.items[0]->items[2]->text.ptr, says);
	diag_done(&diag);
	arena_done(&mem);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		check_alone(cases[i].written, cases[i].says);
		check_file(cases[i].written, cases[i].says);
	}
}

static void test_many_doubled(void **state)
{
	char written[2 * DOUBLED_MAX + 3] = "a", says[DOUBLED_MAX + 3] = "a";

	for (size_t n = 1; n <= DOUBLED_MAX; n++) {
		memset(written + 1, '\'', 2 * n);
		strcpy(written + 1 + 2 * n, "b");
		memset(says + 1, '\'', n);
		strcpy(says + 1 + n, "b");
		check_file(written, says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_many_doubled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
