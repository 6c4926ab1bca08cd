/* SPDX-License-Identifier: Apache-2.0 */
/* How a workload is called in records and in the summary, with hostile names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "sluice/array.h"
#include "workload_info.h"

static const struct label labels[] = { { "k8s:app", "web" }, { "any:x", "\"y\n" } };

static const struct {
	struct workload_names names;
	const char *record, *line;
} cases[] = {
	{ { NULL, NULL, NULL, 0 }, "", "" },
	{ { NULL, NULL, labels, 1 }, ",\"labels\":[\"k8s:app=web\"]", "" },
	{ { NULL, NULL, labels, 2 }, ",\"labels\":[\"k8s:app=web\",\"any:x=\\\"y\\u000a\"]", "" },
	{ { "web-1", NULL, NULL, 0 }, ",\"workload\":\"web-1\"", "web-1: " },
	{ { "web-1", "shop", labels, 1 },
	  ",\"namespace\":\"shop\",\"workload\":\"web-1\",\"labels\":[\"k8s:app=web\"]",
	  "shop/web-1: " },
	{ { "a\"b\\", "n\n", NULL, 0 },
	  ",\"namespace\":\"n\\u000a\",\"workload\":\"a\\\"b\\\\\"",
	  "n\\x0a/a\"b\\x5c: " },
};

static void test_rendered(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct workload_info *info;
		struct error err = { "" };

		assert_int_equal(workload_info_new(&cases[i].names, &info, &err), 0);
		assert_string_equal(info->record, cases[i].record);
		assert_string_equal(info->line, cases[i].line);
		assert_ptr_equal(workload_info_ref(info), info);
		workload_info_unref(info);
		workload_info_unref(info);
	}
	assert_null(workload_info_ref(NULL));
	workload_info_unref(NULL);
}

/* What fits is whole, and what does not is an error, never a record that is cut. */
static void test_too_long(void **state)
{
	static char name[WORKLOAD_NAME_MAX], value[WORKLOAD_LABELS_MAX];
	const size_t name_room = WORKLOAD_NAME_MAX - strlen(",\"workload\":\"\"");
	const size_t value_room = WORKLOAD_LABELS_MAX - strlen("\"k=\"");
	struct label label = { "k", value };

	for (size_t more = 0; more < 2; more++) {
		struct workload_names by_name = { .name = name };
		struct workload_names by_label = { .labels = &label, .n_labels = 1 };
		struct workload_info *info;
		struct error err = { "" };
		int want = more ? -E2BIG : 0;

		memset(name, '\\', name_room / 2 + 1); /* two bytes each, and four in a line */
		name[name_room / 2 + more] = '\0';
		memset(value, 'v', value_room + 1);
		value[value_room + more] = '\0';
		assert_int_equal(workload_info_new(&by_name, &info, &err), want);
		if (want == 0) {
			assert_string_equal(info->line + strlen(info->line) - 2, ": ");
			workload_info_unref(info);
		}
		assert_int_equal(workload_info_new(&by_label, &info, &err), want);
		if (want == 0)
			workload_info_unref(info);
		assert_int_equal(err.text[0] != '\0', more);
	}
}

static void test_without_memory(void **state)
{
	struct workload_info *info;
	struct error err = { "" };
	unsigned n = 0;
	int r;

	do {
		fail_alloc_at(++n);
		r = workload_info_new(&cases[4].names, &info, &err);
		assert_int_equal(r, fail_alloc_happened() ? -ENOMEM : 0);
	} while (fail_alloc_happened());
	fail_alloc_at(0);
	assert_int_equal(n, 4);
	workload_info_unref(info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rendered),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
