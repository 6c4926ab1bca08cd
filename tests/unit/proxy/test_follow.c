/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is followed: when it is loaded, and how often. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "follow.h"

/* Who follows it. */
struct reader {
	struct follow follow;
	uv_loop_t loop;
	char path[40];
	char text[16];	 /* as it was loaded last */
	uv_mutex_t held; /* LOAD waits for it */
	int watch_result;
	unsigned watched, loads, loaded, refused;
};

static int watch_it(void *ctx, struct watch *w)
{
	struct reader *r = ctx;
	const char *const files[] = { r->path };

	r->watched++;
	return r->watch_result ? r->watch_result : watch_set(w, files, 1, NULL);
}

static void refused(void *ctx)
{
	((struct reader *)ctx)->refused++;
}

static void load(void *ctx)
{
	struct reader *r = ctx;
	FILE *f;

	uv_mutex_lock(&r->held);
	uv_mutex_unlock(&r->held);
	f = fopen(r->path, "re");
	memset(r->text, 0, sizeof(r->text));
	if (f) {
		(void)!fread(r->text, 1, sizeof(r->text) - 1, f);
		fclose(f);
	}
	r->loads++;
}

static void loaded(void *ctx, int error)
{
	struct reader *r = ctx;

	assert_int_equal(error, 0);
	r->loaded++;
	follow_idle(&r->follow);
}

static const struct follow_host host = {
	.watch = watch_it,
	.refused = refused,
	.load = load,
	.loaded = loaded,
};

static void write_it(const struct reader *r, const char *text)
{
	FILE *f = fopen(r->path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void begin(struct reader *r)
{
	int fd;

	memset(r, 0, sizeof(*r));
	strcpy(r->path, "/tmp/test_follow.XXXXXX");
	fd = mkstemp(r->path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(uv_mutex_init(&r->held), 0);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	assert_int_equal(follow_init(&r->follow, &host, r), 0);
	assert_int_equal(follow_watch(&r->follow), 0);
	follow_begin(&r->follow, &r->loop);
}

static void end(struct reader *r)
{
	follow_end(&r->follow);
	follow_end(&r->follow); /* once is enough */
	uv_run(&r->loop, UV_RUN_DEFAULT);
	follow_done(&r->follow);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	uv_mutex_destroy(&r->held);
	unlink(r->path);
}

static void run_for(struct reader *r, uint64_t ms)
{
	uint64_t until = uv_hrtime() + ms * 1000000;

	while (uv_hrtime() < until) {
		uv_run(&r->loop, UV_RUN_NOWAIT);
		uv_sleep(1);
	}
}

static void wait_loaded(struct reader *r, unsigned n)
{
	for (int i = 0; r->loaded < n; i++) {
		assert_true(i < 20000);
		run_for(r, 1);
	}
}

/* A change is loaded once; so is a file that is replaced; who asks need not wait for one. */
static void test_changes(void **state)
{
	struct reader r;

	begin(&r);
	run_for(&r, 2 * FOLLOW_SETTLED_MS);
	assert_int_equal(r.loads, 0);
	write_it(&r, "one");
	wait_loaded(&r, 1);
	assert_string_equal(r.text, "one");
	unlink(r.path);
	write_it(&r, "two");
	do
		run_for(&r, 5);
	while (strcmp(r.text, "two") != 0);
	run_for(&r, FOLLOW_LATEST_MS + 100);
	r.loads = r.loaded = 0;
	follow_now(&r.follow);
	wait_loaded(&r, 1);
	run_for(&r, 4 * FOLLOW_SETTLED_MS);
	assert_int_equal(r.loads, 1);
	assert_false(r.follow.busy);
	end(&r);
}

/* What changes while it is loaded is loaded afterwards, however often it does: once more. */
static void test_busy(void **state)
{
	struct reader r;

	begin(&r);
	uv_mutex_lock(&r.held);
	follow_now(&r.follow);
	assert_true(r.follow.busy);
	for (int i = 0; i < 5; i++)
		follow_now(&r.follow);
	run_for(&r, 20);
	assert_int_equal(r.loaded, 0);
	write_it(&r, "new");
	uv_mutex_unlock(&r.held);
	wait_loaded(&r, 2);
	assert_string_equal(r.text, "new");
	assert_true(r.loads <= 3); /* with the news of the file */
	end(&r);
}

/* Who follows it may say no. */
static void test_refused(void **state)
{
	struct reader r;

	begin(&r);
	r.watch_result = 1;
	write_it(&r, "bad");
	for (int i = 0; r.refused == 0; i++) {
		assert_true(i < 20000);
		run_for(&r, 1);
	}
	assert_int_equal(r.loads, 0);
	assert_false(r.follow.busy);
	r.watch_result = 0;
	follow_now(&r.follow);
	wait_loaded(&r, 1);
	assert_string_equal(r.text, "bad");
	end(&r);
}

/* What cannot be watched is loaded from time to time, until it can be. */
static void test_blind(void **state)
{
	struct reader r;

	begin(&r);
	r.watch_result = -ENOSPC;
	r.follow.said_blind = true;
	follow_now(&r.follow);
	wait_loaded(&r, 1);
	assert_true(r.follow.blind);
	r.watch_result = 0;
	wait_loaded(&r, 2);
	assert_false(r.follow.blind);
	run_for(&r, FOLLOW_BLIND_MS / 10);
	assert_int_equal(r.loads, 2);
	end(&r);
}

/* A load that goes on is waited for, and nobody is told of it. */
static void test_ended_while_loading(void **state)
{
	struct reader r;

	begin(&r);
	follow_now(&r.follow);
	end(&r);
	assert_int_equal(r.loads, 1);
	assert_int_equal(r.loaded, 0);
}

static void test_without_memory(void **state)
{
	struct follow f;
	unsigned n = 0;

	while (fail_alloc_at(n + 1), follow_init(&f, &host, NULL) < 0)
		n++;
	fail_alloc_at(0);
	assert_true(n > 0);
	follow_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_ended_while_loading),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
