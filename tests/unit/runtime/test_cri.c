/* SPDX-License-Identifier: Apache-2.0 */
/* The pods that a runtime tells of, by a runtime that follows a script: what it says is cut at
 * every byte, it goes away at every byte, every allocation fails. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "cri.h"
#include "fail_alloc.h"
#include "fake_runtime.h"
#include "sluice/array.h"
#include "trace.h"

/* A scene: what was told so far, and our end of the connection. */
struct scene {
	struct cri *cri;
	int server; /* -1: nobody has dialled */
	bool refuses;
	uint64_t now;
	char told[2048];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void note(struct scene *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	trace_add(s->told, sizeof(s->told), &s->len, format, ap);
	va_end(ap);
}

static void on_pod(void *ctx, enum cri_news news, const struct cri_pod *pod)
{
	static const char *const signs[] = { "+", "~", "-" };
	const struct cri_status *s = &pod->status;

	note(ctx, "%s%s(%s %d %zu %zu) ", signs[news], pod->id, pod->labels[0].value, s->pid,
	     s->n_addresses, pod->n_containers);
}

static void on_synced(void *ctx, const char *runtime)
{
	note(ctx, "synced ");
}

static void on_trouble(void *ctx, const char *what)
{
	note(ctx, "trouble ");
}

static int on_connect(void *ctx, const char *path)
{
	struct scene *s = ctx;

	return s->refuses ? -ECONNREFUSED : fake_accept(&s->server);
}

static int begin(struct scene *s)
{
	static const struct cri_watcher watcher = { .on_pod = on_pod,
						    .on_synced = on_synced,
						    .on_trouble = on_trouble };
	struct cri_options options = { .path = "/fake", .connect = on_connect };

	*s = (struct scene){ .server = -1, .now = 1 };
	return cri_new(&options, &watcher, s, &s->cri);
}

static void end(struct scene *s)
{
	cri_free(s->cri);
	if (s->server >= 0)
		close(s->server);
}

static void turn(struct scene *s, uint64_t later)
{
	s->now += later;
	cri_on_time(s->cri, s->now);
	for (int i = 0; i < 3; i++)
		cri_on_ready(s->cri, POLLIN | POLLOUT, s->now);
	cri_on_time(s->cri, s->now);
}

static void say_bytes(struct scene *s, const void *bytes, size_t len)
{
	if (s->server >= 0 && len > 0)
		send(s->server, bytes, len, MSG_NOSIGNAL);
	turn(s, 0);
}

static void say(struct scene *s, uint32_t stream, enum fake_answer what)
{
	struct bytes frames = { 0 };

	fake_say(&frames, stream, what);
	say_bytes(s, frames.data, frames.len);
	bytes_free(&frames);
}

static void expect(struct scene *s, const char *what)
{
	assert_string_equal(s->told, what);
	s->len = 0;
	s->told[0] = '\0';
}

/* The two lists, of which the first is asked for on STREAM. */
static void say_lists(struct scene *s, uint32_t stream, enum fake_answer pods,
		      enum fake_answer containers)
{
	say(s, stream, pods);
	say(s, stream + 2, containers);
}

/* Version and the two lists: streams 1, 3, 5. Then it asks for each pod's details: 7 and 9. */
static void first_round(struct scene *s)
{
	assert_int_equal(begin(s), 0);
	turn(s, 0);
	say(s, 0, FAKE_HELLO);
	say(s, 1, FAKE_VERSION);
	say_lists(s, 3, FAKE_PODS, FAKE_CONTAINERS);
}

#define BOTH "+sandbox-a(a 42 2 1) +sandbox-b(b 42 2 0) synced "

/* Both pods' details as well. */
static void all_told(struct scene *s)
{
	say(s, 7, FAKE_STATUS);
	say(s, 9, FAKE_STATUS);
	expect(s, BOTH);
}

static void test_a_life(void **state)
{
	struct scene s;

	first_round(&s);
	expect(&s, ""); /* without details nobody is told */
	all_told(&s);
	turn(&s, 999);
	say(&s, 11, FAKE_PODS); /* nobody has asked */
	expect(&s, "trouble ");
	end(&s);
}

static void test_polled(void **state)
{
	struct scene s;

	first_round(&s);
	all_told(&s);
	turn(&s, 1000);
	say_lists(&s, 11, FAKE_PODS, FAKE_CONTAINERS);
	expect(&s, ""); /* nothing has changed */
	turn(&s, 1000);
	say_lists(&s, 15, FAKE_PODS, FAKE_NO_PODS);
	expect(&s, "~sandbox-a(a 42 2 0) ");
	turn(&s, 1000);
	say_lists(&s, 19, FAKE_POD_B, FAKE_NO_PODS);
	expect(&s, "-sandbox-a(a 42 2 0) ");
	end(&s);
}

static void test_without_a_process(void **state)
{
	struct scene s;

	first_round(&s);
	say(&s, 7, FAKE_NO_PROCESS);
	say(&s, 9, FAKE_NO_PROCESS);
	expect(&s, "+sandbox-b(b 0 2 0) "); /* it has no container either */
	say(&s, 11, FAKE_CONTAINER);
	expect(&s, "+sandbox-a(a 43 2 1) synced ");
	end(&s);
}

/* A pod about which nothing can be had is told all the same. */
static void test_no_details(void **state)
{
	struct scene s;

	first_round(&s);
	say(&s, 7, FAKE_GONE);
	expect(&s, "+sandbox-a(a 0 0 1) ");
	say(&s, 9, FAKE_BROKEN);
	expect(&s, "+sandbox-b(b 0 0 0) synced ");
	end(&s);
}

static void test_no_answer_about_one(void **state)
{
	struct scene s;

	first_round(&s);
	say(&s, 9, FAKE_STATUS);
	expect(&s, "+sandbox-b(b 42 2 0) ");
	turn(&s, 1000); /* the others go on: the lists are asked for again */
	say_lists(&s, 11, FAKE_POD_B, FAKE_NO_PODS);
	expect(&s, "synced ");
	end(&s);
}

static void test_time_out(void **state)
{
	struct scene s;

	first_round(&s);
	say(&s, 9, FAKE_STATUS);
	turn(&s, 1000);
	say_lists(&s, 11, FAKE_PODS, FAKE_CONTAINERS);
	expect(&s, "+sandbox-b(b 42 2 0) ");
	turn(&s, 9000);
	expect(&s, "trouble +sandbox-a(a 0 0 1) synced ");
	turn(&s, 20000); /* and the lists, which were asked for again, have none either */
	assert_true(strstr(s.told, "trouble ") == s.told);
	end(&s);
}

static void test_back_again(void **state)
{
	struct scene s;

	first_round(&s);
	all_told(&s);
	s.refuses = true;
	close(s.server);
	s.server = -1;
	turn(&s, 0);
	expect(&s, "trouble ");
	assert_int_equal(cri_fd(s.cri), -1);
	turn(&s, 99);
	expect(&s, "");
	turn(&s, 1);
	expect(&s, "trouble ");
	for (int i = 0; i < 10; i++)
		turn(&s, 5000);
	assert_true(cri_deadline(s.cri) <= s.now + 5000);
	s.len = 0;
	s.refuses = false;
	turn(&s, 5000);
	say(&s, 0, FAKE_HELLO);
	say(&s, 1, FAKE_VERSION);
	say_lists(&s, 3, FAKE_POD_B, FAKE_NO_PODS);
	expect(&s, "-sandbox-a(a 42 2 1) synced ");
	end(&s);
}

/* With a stream of events, stream 3, each makes us ask at once. */
static void test_events(void **state)
{
	struct scene s;

	assert_int_equal(begin(&s), 0);
	turn(&s, 0);
	say(&s, 0, FAKE_HELLO);
	say(&s, 1, FAKE_VERSION_2);
	say_lists(&s, 5, FAKE_NO_PODS, FAKE_NO_PODS);
	expect(&s, "synced ");
	turn(&s, 1000);
	assert_true(cri_deadline(s.cri) == s.now + 9000);
	say(&s, 3, FAKE_EVENT);
	say_lists(&s, 9, FAKE_POD_B, FAKE_NO_PODS);
	say(&s, 13, FAKE_STATUS);
	expect(&s, "+sandbox-b(b 42 2 0) ");
	end(&s);
}

static void script(struct bytes *all)
{
	fake_say(all, 0, FAKE_HELLO);
	fake_say(all, 1, FAKE_VERSION);
	fake_say(all, 3, FAKE_PODS);
	fake_say(all, 5, FAKE_CONTAINERS);
	fake_say(all, 7, FAKE_STATUS);
	fake_say(all, 9, FAKE_STATUS);
}

/* Answers must not come before their calls: what is said is handed over frame by frame. */
static void say_frames(struct scene *s, const struct bytes *all, size_t len)
{
	for (size_t at = 0; at < len;) {
		const uint8_t *head = (const uint8_t *)all->data + at;
		size_t frame = 9 + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);

		if (frame > len - at)
			frame = len - at;
		say_bytes(s, head, frame);
		at += frame;
	}
}

static void test_cut_and_ended_anywhere(void **state)
{
	struct bytes all = { 0 };

	script(&all);
	for (size_t cut = 0; cut <= all.len; cut++) {
		struct scene s;

		assert_int_equal(begin(&s), 0);
		turn(&s, 0);
		say_frames(&s, &all, cut);
		if (cut < all.len) { /* ends here, and nothing is told that was not said */
			close(s.server);
			s.server = -1;
			s.refuses = true;
			turn(&s, 0);
			assert_null(strstr(s.told, "synced"));
			assert_non_null(strstr(s.told, "trouble"));
		} else {
			expect(&s, BOTH);
		}
		end(&s);
	}
	bytes_free(&all);
}

static void test_no_memory(void **state)
{
	struct bytes all = { 0 };
	bool happened = true;
	unsigned n;

	script(&all);
	for (n = 1; happened && n < 5000; n++) {
		struct scene s;

		fail_alloc_at(n);
		if (begin(&s) == 0) {
			turn(&s, 0);
			say_frames(&s, &all, all.len);
			happened = fail_alloc_happened();
			fail_alloc_at(0);
			if (!happened)
				expect(&s, BOTH);
			end(&s);
		}
		fail_alloc_at(0);
	}
	assert_true(n > 50 && n < 5000);
	bytes_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_life),
		cmocka_unit_test(test_polled),
		cmocka_unit_test(test_without_a_process),
		cmocka_unit_test(test_no_details),
		cmocka_unit_test(test_no_answer_about_one),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_back_again),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_cut_and_ended_anywhere),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
