/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdarg.h>
#include <cmocka.h>
#include "sluice/array.h"
#include "path.h"

static struct path_scratch scratch;

/* The readings of an exact-size copy, so that a sanitizer notices an over-read. The copy is kept
 * until the next call: the first reading is the copy itself. */
static ssize_t read_path(const char *path, size_t len)
{
	static char *copy;

	free(copy);
	copy = NULL;
	if (!path)
		return 0;
	copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, path, len);
	return path_readings((struct span){ copy, len }, &scratch);
}

static bool has_reading(ssize_t n, const char *text)
{
	for (ssize_t i = 0; i < n; i++)
		if (span_eq(scratch.readings[i], span_of(text)))
			return true;
	return false;
}

static bool below(struct span path, const char *prefix)
{
	return path.len >= strlen(prefix) && memcmp(path.ptr, prefix, strlen(prefix)) == 0;
}

struct escape {
	const char *path, *reading;
};

struct odd {
	const char *path;
	ssize_t n;
};

static const struct escape escapes[] = {
#define ESCAPE(path, reading) { path, reading },
#define ODD(path, n)
#include "path_cases.inc"
#undef ESCAPE
#undef ODD
};

static const struct odd odds[] = {
#define ESCAPE(path, reading)
#define ODD(path, n) { path, n },
#include "path_cases.inc"
#undef ESCAPE
#undef ODD
};

static void test_escapes(void **state)
{
	assert_true(ARRAY_SIZE(escapes) >= 60);
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
		const struct escape *e = &escapes[i];
		ssize_t n = read_path(e->path, strlen(e->path));
		bool out = false;

		if (!e->reading[0]) {
			if (n != -EPROTO)
				fail_msg("%s: not refused", e->path);
			continue;
		}
		if (!has_reading(n, e->reading))
			fail_msg("%s: %zd readings, none is %s", e->path, n, e->reading);
		for (ssize_t k = 0; k < n; k++)
			out = out || !below(scratch.readings[k], "/static/");
		assert_true(out);
	}
}

static void test_odd(void **state)
{
	assert_true(ARRAY_SIZE(odds) >= 60);
	for (size_t i = 0; i < ARRAY_SIZE(odds); i++) {
		const struct odd *o = &odds[i];
		ssize_t n = read_path(o->path, strlen(o->path));

		if (n != o->n)
			fail_msg("%s: %zd readings", o->path, n);
		for (ssize_t k = 0; k < n; k++)
			if (!below(scratch.readings[k], "/files/") &&
			    !span_eq(scratch.readings[k], span_of("/files")))
				fail_msg("%s: %.*s", o->path, (int)scratch.readings[k].len,
					 scratch.readings[k].ptr);
	}
}

/* Whatever is wrong inside an ordinary path is found wherever it stands. */
static void test_anywhere(void **state)
{
	static const char *const parts[] = { "/../", "//",   "/./", "%2e", "%2f", "\\",
					     "%5c",  "/..;", "%00", "%z",  "%0z", "%252f" };
	static const char ordinary[] = "/abc/d%20e/f;g=h/.i/...";

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (size_t at = 1; at <= strlen(ordinary); at++) {
			char path[64];
			int len = snprintf(path, sizeof(path), "%.*s%s%s", (int)at, ordinary,
					   parts[i], ordinary + at);
			ssize_t n = read_path(path, (size_t)len);

			if (n == 1)
				fail_msg("%s: one reading", path);
		}
	}
}

struct special {
	const char *path;
	ssize_t n;
};

static void test_special(void **state)
{
	static const struct special cases[] = {
		{ "", 1 },	  { "*", 1 },  { "/", 1 },   { "/?", 1 }, { "*x", -EPROTO },
		{ "?", -EPROTO }, { "/.", 2 }, { "/..", 2 }, { "//", 2 }, { "/../..", 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ssize_t n = read_path(cases[i].path, strlen(cases[i].path));

		if (n != cases[i].n)
			fail_msg("%s: %zd", cases[i].path, n);
		if (n > 1)
			assert_true(has_reading(n, "/"));
	}
	assert_int_equal(path_readings((struct span){ NULL, 0 }, &scratch), 1);
	assert_int_equal(read_path("/a\0b", 4), -EPROTO);
	assert_int_equal(read_path("/a b", 4), -EPROTO);
	assert_int_equal(read_path("/a\tb", 4), -EPROTO);
}

/* The steps of one path in the order in which the closure finds them: the list itself, once. */
static void test_list(void **state)
{
	static const char *const want[] = {
		"/a/..%2fb//c?d", "/a/../b//c?d", "/a/..%2fb/c?d",
		"/a/../b/c?d",	  "/b//c?d",	  "/b/c?d",
	};
	ssize_t n = read_path(want[0], strlen(want[0]));

	assert_int_equal(n, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_true(has_reading(n, want[i]));
}

static void test_limits(void **state)
{
	char *path = malloc(65536);

	assert_non_null(path);
	memset(path, 'a', 65536);
	path[0] = '/';
	assert_int_equal(read_path(path, 65536), 1); /* long and ordinary */
	path[1] = '/';
	/* Three readings: two of the length, less one, and one of "/". */
	assert_int_equal(read_path(path, PATH_READINGS_BYTES / 2), 3);
	assert_int_equal(read_path(path, PATH_READINGS_BYTES / 2 + 1), -EPROTO);
	path[PATH_READINGS_BYTES / 2] = '?'; /* the query does not count */
	assert_int_equal(read_path(path, 65536), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(scratch.readings[i].ptr[scratch.readings[i].len - 1], 'a');
	assert_int_equal(scratch.readings[2].len, 65536 - PATH_READINGS_BYTES / 2 + 1);
	free(path);
}

static int done(void **state)
{
	read_path(NULL, 0);
	path_scratch_done(&scratch);
	path_scratch_done(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escapes),	 cmocka_unit_test(test_odd),
		cmocka_unit_test(test_anywhere), cmocka_unit_test(test_special),
		cmocka_unit_test(test_list),	 cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
