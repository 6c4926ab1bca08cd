/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON and what is not, cut at every byte; and what is found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "json_read.h"
#include "sluice/array.h"

static const char *const good[] = {
	"0",
	"-0",
	"12.5e+3",
	"1E-9",
	"true",
	"false",
	"null",
	"\"\"",
	"\"a\\u00e9\\n\\\"\"",
	"[]",
	"{}",
	" [ ] ",
	"[1,2,[3,{}],{\"a\":[]}]",
	"{\"a\":{\"b\":[{\"c\":null}]} , \"d\" : -1}",
	"[[],[],{}]",
	"\"\xc3\xa9\"",
};

static const char *const bad[] = {
	"",	   " ",	       "01",	    "-",	  "1.",	     "1e",
	"+1",	   "tru",      "nul",	    "\"",	  "\"\\x\"", "\"\\u12g4\"",
	"\"\n\"",  "[",	       "]",	    "[1,]",	  "[,1]",    "[1 2]",
	"{\"a\"}", "{\"a\":}", "{a:1}",	    "{\"a\":1,}", "{,}",     "[}",
	"{]",	   "[1}",      "{\"a\":1]", "1 2",	  "[] []",   "{\"a\":1 \"b\":2}",
	"\x01",	   "[1]]",
};

/* In memory of its very size, so that sanitizers see whoever reads on. */
static bool check(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct span value;
	bool ok;

	memcpy(copy, text, len);
	ok = json_check((struct span){ copy, len }, &value);
	free(copy);
	return ok;
}

static void test_texts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		size_t len = strlen(good[i]);

		if (!check(good[i], len))
			fail_msg("refused: %s", good[i]);
		for (size_t cut = 0; cut < len; cut++)
			if (check(good[i], cut) && strchr("[{\"", good[i][0]))
				fail_msg("taken: %.*s", (int)cut, good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (check(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
}

static void test_depth(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 2];

	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_true(check(text, 2 * JSON_DEPTH_MAX));
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_false(check(text, 2 * JSON_DEPTH_MAX + 2));
}

static void test_members(void **state)
{
	struct span value, list, item;
	char text[8];
	int64_t n = 0;

	assert_true(
		json_check(span_of(" {\"x\": {\"pid\": 1}, \"pid\" : 42, \"pid\": 43, \"l\": [1, "
				   "\"two\" ,{\"three\":3}], \"e\": []} "),
			   &value));
	assert_true(json_member(value, "pid", &item) && json_integer(item, &n));
	assert_int_equal(n, 42);
	assert_false(json_member(value, "three", &item));
	assert_false(json_member(item, "pid", &item));
	assert_false(json_member((struct span){ NULL, 0 }, "pid", &item));
	assert_true(json_member(value, "l", &list));
	assert_true(json_next(&list, &item) && json_integer(item, &n) && n == 1);
	assert_true(json_next(&list, &item) && json_text(item, text, sizeof(text)));
	assert_string_equal(text, "two");
	assert_true(json_next(&list, &item) && json_member(item, "three", &item));
	assert_false(json_next(&list, &item));
	assert_true(json_member(value, "e", &list));
	assert_false(json_next(&list, &item));
}

static const struct {
	const char *text, *value;
} strings[] = {
	{ "\"a\\u0041\\t\"", "aA\t" },
	{ "\"\\u00e9\\u20ac\"", "\xc3\xa9\xe2\x82\xac" },
	{ "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" },
	{ "\"1234567\"", "1234567" },
	{ "\"12345678\"", NULL },
	{ "\"\\ud83d\"", NULL },
	{ "\"\\ud83dx\"", NULL },
	{ "\"\\ude00\"", NULL },
	{ "\"\\u0000\"", NULL },
	{ "1", NULL },
	{ "null", NULL },
};

static void test_strings(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		struct span value;
		char text[8];

		assert_true(json_check(span_of(strings[i].text), &value));
		if (!strings[i].value) {
			assert_false(json_text(value, text, sizeof(text)));
		} else {
			assert_true(json_text(value, text, sizeof(text)));
			assert_string_equal(text, strings[i].value);
		}
	}
}

static void test_numbers(void **state)
{
	int64_t n = 7;

	assert_true(json_integer(span_of("9223372036854775807"), &n) && n == INT64_MAX);
	assert_true(json_integer(span_of("-9223372036854775808"), &n) && n == INT64_MIN);
	assert_false(json_integer(span_of("9223372036854775808"), &n));
	assert_false(json_integer(span_of("99999999999999999999"), &n));
	assert_false(json_integer(span_of("1.5"), &n));
	assert_false(json_integer(span_of("\"1\""), &n));
	assert_false(json_integer(span_of(""), &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),	cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members), cmocka_unit_test(test_strings),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
