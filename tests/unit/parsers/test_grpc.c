/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "grpc.h"
#include "sluice/array.h"

static void test_kinds(void **state)
{
	static const struct {
		const char *type;
		enum grpc_kind kind;
	} cases[] = {
		{ "application/grpc", GRPC_CALL },
		{ "application/grpc+proto", GRPC_CALL },
		{ "application/grpc;charset=x", GRPC_CALL },
		{ "application/grpc ; x=y", GRPC_CALL },
		{ "Application/GRPC+json", GRPC_CALL },
		{ "application/grpc-web", GRPC_WEB },
		{ "application/grpc-web+proto", GRPC_WEB },
		{ "application/grpc-web-text", GRPC_WEB },
		{ "application/grpcx", GRPC_NONE },
		{ "application/grp", GRPC_NONE },
		{ "application/json", GRPC_NONE },
		{ "", GRPC_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (grpc_kind_of(span_of(cases[i].type)) != cases[i].kind)
			fail_msg("%s", cases[i].type);
}

static void test_paths(void **state)
{
	static const struct {
		const char *path, *service, *method;
	} cases[] = {
		{ "/a.B/C", "a.B", "C" }, { "/B/C", "B", "C" },	   { "/a.B/C?x", NULL, NULL },
		{ "/a.B/", NULL, NULL },  { "//C", NULL, NULL },   { "/a.B", NULL, NULL },
		{ "/a/b/c", NULL, NULL }, { "a.B/C", NULL, NULL }, { "/", NULL, NULL },
		{ "", NULL, NULL },	  { "*", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span service, method;
		bool split = grpc_split_path(span_of(cases[i].path), &service, &method);

		if (split != (cases[i].service != NULL))
			fail_msg("%s", cases[i].path);
		if (!split || !cases[i].service || !cases[i].method)
			continue;
		assert_true(span_eq(service, span_of(cases[i].service)));
		assert_true(span_eq(method, span_of(cases[i].method)));
	}
}

static void test_statuses(void **state)
{
	static const struct {
		const char *value;
		int status;
		const char *name;
	} cases[] = {
		{ "0", 0, "OK" },
		{ "7", 7, "PERMISSION_DENIED" },
		{ "16", 16, "UNAUTHENTICATED" },
		{ "17", 17, NULL },
		{ "999", 999, NULL },
		{ "1000", -1, NULL },
		{ "", -1, NULL },
		{ "-1", -1, NULL },
		{ " 7", -1, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = grpc_status(span_of(cases[i].value));
		const char *name = grpc_status_name(status);

		assert_int_equal(status, cases[i].status);
		assert_true((name == NULL) == (cases[i].name == NULL));
		if (name)
			assert_string_equal(name, cases[i].name);
	}
}

static void test_messages(void **state)
{
	static const struct {
		const char *value, *message;
	} cases[] = {
		{ "no such door", "no such door" },
		{ "%C3%a9!", "\xc3\xa9!" },
		{ "100%", "100%" },
		{ "%4", "%4" },
		{ "%zz%41", "%zzA" },
		{ "", "" },
	};
	char buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = grpc_message(span_of(cases[i].value), buf, sizeof(buf));

		assert_true(span_eq((struct span){ buf, n }, span_of(cases[i].message)));
		for (size_t size = 0; size < n; size++)
			assert_int_equal(grpc_message(span_of(cases[i].value), buf, size), size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
