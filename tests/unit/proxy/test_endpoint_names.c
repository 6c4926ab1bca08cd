/* SPDX-License-Identifier: Apache-2.0 */
/* How others are called, by their addresses; and that records say so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "endpoint_names.h"
#include "fail_alloc.h"
#include "report_desk.h"
#include "sluice/array.h"

static const struct address db[] = {
	{ .family = AF_INET, .ip = { 192, 0, 2, 7 } },
	{ .family = AF_INET6, .ip = { 0xfd, [15] = 7 } },
};
static const struct address web[] = {
	{ .family = AF_INET, .ip = { 192, 0, 2, 7 } }, /* also the one before's */
	{ .family = AF_INET6,
	  .ip = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1 } }, /* mapped */
};

static struct workload_info *info_of(const char *name)
{
	struct workload_names names = { .name = name, .namespace_ = "shop" };
	struct workload_info *info = NULL;
	struct error err = { "" };

	assert_int_equal(workload_info_new(&names, &info, &err), 0);
	return info;
}

static struct endpoint_names *make(void)
{
	struct named_endpoint from[] = {
		{ info_of("db"), db, ARRAY_SIZE(db) },
		{ info_of("nobody"), NULL, 0 },
		{ info_of("web"), web, ARRAY_SIZE(web) },
	};
	struct endpoint_names *e = NULL;

	assert_int_equal(endpoint_names_new(from, ARRAY_SIZE(from), &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		workload_info_unref(from[i].info);
	return e;
}

static const struct {
	struct address address;
	const char *line; /* NULL: nobody */
} found[] = {
	{ { .family = AF_INET, .ip = { 192, 0, 2, 7 } }, "shop/db: " },
	{ { .family = AF_INET, .port = 80, .ip = { 192, 0, 2, 7 } }, "shop/db: " },
	{ { .family = AF_INET6, .scope = 3, .ip = { 0xfd, [15] = 7 } }, "shop/db: " },
	{ { .family = AF_INET, .ip = { 10, 0, 0, 1 } }, "shop/web: " },
	{ { .family = AF_INET6, .ip = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1 } },
	  "shop/web: " },
	{ { .family = AF_INET, .ip = { 192, 0, 2, 8 } }, NULL },
	{ { .family = AF_INET6, .ip = { 192, 0, 2, 7 } }, NULL },
	{ { .family = AF_INET }, NULL },
};

static void test_found(void **state)
{
	struct endpoint_names *e = make();

	for (size_t i = 0; i < ARRAY_SIZE(found); i++) {
		const struct workload_info *info = endpoint_names_find(e, &found[i].address);

		assert_int_equal(!info, !found[i].line);
		if (info)
			assert_string_equal(info->line, found[i].line);
		assert_null(endpoint_names_find(NULL, &found[i].address));
	}
	endpoint_names_unref(endpoint_names_ref(e));
	endpoint_names_unref(e);
	endpoint_names_unref(NULL);
}

/* The workload at its own end, whoever has the address at the other. */
static void test_recorded(void **state)
{
	struct endpoint_names *names = make();
	struct exchange x = { 0 };
	struct verdict v = { .action = VERDICT_DENY };
	struct flow in = flow;
	struct desk d;
	const char *record;

	desk_open(&d, "\"app=me\"");
	d.reporter.names = &names;
	report_request(&d.reporter, &flow, ask_of("GET", "h", "/"), &v, &x);
	in.ingress = true;
	in.client = flow.destination;
	in.destination = flow.client;
	report_request(&d.reporter, &in, ask_of("GET", "h", "/"), &v, &x);
	assert_int_equal(desk_read(&d), 0);
	record = desk_next(&d);
	check(record, "destination.workload", "db");
	check(record, "destination.namespace", "shop");
	check(record, "source.workload", NULL);
	record = desk_next(&d);
	check(record, "source.workload", "db");
	check(record, "destination.workload", NULL);
	desk_close(&d);
	endpoint_names_unref(names);
}

static void test_without_memory(void **state)
{
	struct named_endpoint from = { info_of("db"), db, ARRAY_SIZE(db) };
	struct endpoint_names *e = NULL;
	unsigned n = 0;
	int r;

	do {
		fail_alloc_at(++n);
		r = endpoint_names_new(&from, 1, &e);
		assert_int_equal(r, fail_alloc_happened() ? -ENOMEM : 0);
	} while (fail_alloc_happened());
	fail_alloc_at(0);
	assert_int_equal(n, 3);
	endpoint_names_unref(e);
	workload_info_unref(from.info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
