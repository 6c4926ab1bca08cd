/* SPDX-License-Identifier: Apache-2.0 */
/* Header actions on the fields of HTTP/2, as test_policy_actions has them for the policy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "h2_edit.h"
#include "h2_text.h"
#include "sluice/array.h"

#define ADD(n, v)                                                                     \
	{                                                                             \
		.kind = HEADER_ADD, .name = SPAN_LITERAL(n), .value = SPAN_LITERAL(v) \
	}
#define SECRET(n, v)                                               \
	{                                                          \
		HEADER_ADD, true, SPAN_LITERAL(n), SPAN_LITERAL(v) \
	}
#define REPLACE(n, v)                                                                     \
	{                                                                                 \
		.kind = HEADER_REPLACE, .name = SPAN_LITERAL(n), .value = SPAN_LITERAL(v) \
	}
#define DELETE(n)                                              \
	{                                                      \
		.kind = HEADER_DELETE, .name = SPAN_LITERAL(n) \
	}
#define LOG(n)                                              \
	{                                                   \
		.kind = HEADER_LOG, .name = SPAN_LITERAL(n) \
	}
#define FIRST ":method=GET|:scheme=http|:path=/|:authority=h"

static const struct {
	const char *name, *fields,
		*after; /* behind the pseudo-headers; "!" marks the never indexed */
	struct header_action actions[4];
	size_t n;
} cases[] = {
	{ "add", "a=1", "a=1|x-b=2", { ADD("X-B", "2") }, 1 },
	{ "add beside one of that name", "a=1|b=3", "a=1|b=3|a=2", { ADD("A", "2") }, 1 },
	{ "replace all", "a=1|b=2|a=3", "b=2|a=9", { REPLACE("a", "9") }, 1 },
	{ "replace nothing", "b=2", "b=2|a=9", { REPLACE("a", "9") }, 1 },
	{ "delete", "a=1|!b=2|a=3", "!b=2", { DELETE("A") }, 1 },
	{ "delete all", "a=1", "", { DELETE("a") }, 1 },
	{ "log", "a=1", "a=1", { LOG("a") }, 1 },
	{ "add, then delete", "a=1", "", { ADD("a", "2"), DELETE("a") }, 2 },
	{ "delete, then add", "a=1", "a=2", { DELETE("a"), ADD("a", "2") }, 2 },
	{ "a secret", "a=1", "a=1|!key=s", { SECRET("Key", "s") }, 1 },
	{ "nothing of the pseudo-headers", "a=1", "a=1", { DELETE(":path"), DELETE("path") }, 2 },
	{ "cookies", "cookie=a|cookie=b|z=1", "z=1|cookie=c", { REPLACE("Cookie", "c") }, 1 },
};

static struct h2_head head;

/* Read a request with these fields into HEAD. */
static void read_fields(const char *fields)
{
	struct bytes b = { 0 };
	const char *reason;
	struct h2 decoder;
	char *text;

	assert_true(asprintf(&text, "HEADERS 1 eh " FIRST "%s%s\n", *fields ? "|" : "", fields) >
		    0);
	h2_text_compile(text, 1, &b);
	free(text);
	assert_int_equal(h2_init(&decoder, H2_CLIENT), 0);
	head.block = (struct span){ b.data + 9, b.len - 9 };
	assert_int_equal(h2_inflate(&decoder, &head), 0);
	assert_int_equal(h2_read_request(&head, &reason), 0);
	h2_done(&decoder);
	bytes_free(&b);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct header_action *actions[4];
		char after[256] = "";

		for (size_t k = 0; k < cases[i].n; k++)
			actions[k] = &cases[i].actions[k];
		read_fields(cases[i].fields);
		assert_false(head.edited);
		assert_int_equal(h2_edit(&head, actions, cases[i].n), 0);
		assert_true(head.edited);
		for (size_t k = 4; k < head.n_fields; k++) {
			const struct header *h = &head.fields[k];
			size_t len = strlen(after);

			snprintf(after + len, sizeof(after) - len, "%s%s%.*s=%.*s",
				 k > 4 ? "|" : "", head.never[k] ? "!" : "", (int)h->name.len,
				 h->name.ptr, (int)h->value.len, h->value.ptr);
		}
		if (strcmp(after, cases[i].after) != 0)
			fail_msg("%s: %s", cases[i].name, after);
	}
}

static void test_limits(void **state)
{
	static char large[H2_LIST_MAX];
	struct header_action a = ADD("a", "1");
	const struct header_action *actions[] = { &a };

	memset(large, 'x', sizeof(large));
	read_fields("");
	head.n_fields = H2_FIELDS_MAX - 1;
	assert_int_equal(h2_edit(&head, actions, 1), 0);
	read_fields("");
	head.n_fields = H2_FIELDS_MAX;
	assert_int_equal(h2_edit(&head, actions, 1), -EMSGSIZE);
	read_fields("");
	a.value = (struct span){ large, H2_LIST_MAX };
	assert_int_equal(h2_edit(&head, actions, 1), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
