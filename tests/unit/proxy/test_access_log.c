/* SPDX-License-Identifier: Apache-2.0 */
/* The log: whole records in order, and nobody ever waits for its reader. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "access_log.h"
#include "json.h"

#define QUEUE ((size_t)1024 * 1024)

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A file that is gone when it is closed, by a name that can be opened. */
static int temporary(char name[static 64])
{
	char path[] = "/tmp/test_access_log.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	snprintf(name, 64, "/dev/fd/%d", fd);
	return fd;
}

static char *read_all(int fd, size_t *len)
{
	struct stat st;
	char *text;

	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	text = calloc(1, *len + 1);
	assert_non_null(text);
	assert_int_equal(pread(fd, text, *len, 0), (ssize_t)*len);
	return text;
}

/* Records of many lengths: "{"w":W,"n":N,"x":"xxx"}". */
static size_t make_record(char *buf, size_t size, unsigned writer, unsigned n)
{
	int len = snprintf(buf, size, "{\"w\":%u,\"n\":%u,\"x\":\"%.*s\"}\n", writer, n,
			   (int)(n * 7 % 97),
			   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");

	assert_true(len > 0 && (size_t)len < size);
	return (size_t)len;
}

struct seen {
	unsigned next[4]; /* the number expected next of each writer; later ones may follow lost */
	uint64_t records, lost;
};

/* One whole line of a log, which is made NUL-terminated. */
static void see_line(struct seen *s, const char *line)
{
	char value[64];
	unsigned writer, n;

	if (!json_valid(line, strlen(line)))
		fail_msg("not JSON: %s", line);
	if (json_get(line, "lost", value, sizeof(value))) {
		s->lost += strtoull(value, NULL, 10);
		assert_true(json_get(line, "time", value, sizeof(value)));
		return;
	}
	assert_true(json_get(line, "w", value, sizeof(value)));
	writer = (unsigned)strtoul(value, NULL, 10);
	assert_true(writer < 4);
	assert_true(json_get(line, "n", value, sizeof(value)));
	n = (unsigned)strtoul(value, NULL, 10);
	assert_true(n >= s->next[writer]);
	s->next[writer] = n + 1;
	s->records++;
}

/* Returns what is left behind the last whole line. */
static size_t see_lines(struct seen *s, char *text, size_t len)
{
	char *at = text, *end = text + len, *newline;

	while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
		*newline = '\0';
		see_line(s, at);
		at = newline + 1;
	}
	memmove(text, at, (size_t)(end - at));
	return (size_t)(end - at);
}

struct pusher {
	struct log_writer *writer;
	unsigned number, n_records;
};

static void *push_many(void *arg)
{
	const struct pusher *p = arg;
	char record[256];

	for (unsigned n = 0; n < p->n_records; n++)
		log_push(p->writer, record, make_record(record, sizeof(record), p->number, n));
	return NULL;
}

/* Several writers at once; the rings go round more than once. */
static void test_whole_and_in_order(void **state)
{
	struct error err = { "" };
	struct seen seen = { { 0 }, 0, 0 };
	struct pusher pushers[3];
	pthread_t threads[3];
	struct access_log *log;
	char name[64], *text;
	int fd = temporary(name);
	uint64_t lost;
	size_t len;

	assert_int_equal(access_log_open(name, 3, QUEUE, &log, &err), 0);
	for (unsigned i = 0; i < 3; i++) {
		pushers[i] = (struct pusher){ access_log_writer(log, i), i, 40000 };
		assert_int_equal(pthread_create(&threads[i], NULL, push_many, &pushers[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	lost = access_log_close(log);
	text = read_all(fd, &len);
	assert_int_equal(see_lines(&seen, text, len), 0);
	assert_int_equal(seen.lost, lost);
	assert_int_equal(seen.records + lost, 120000);
	assert_true(seen.records > 0);
	free(text);
	close(fd);
}

static void test_appends(void **state)
{
	struct error err = { "" };
	struct access_log *log;
	char name[64], *text;
	int fd = temporary(name);
	size_t len;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(access_log_open(name, 1, QUEUE, &log, &err), 0);
		log_push(access_log_writer(log, 0), "{}\n", 3);
		assert_int_equal(access_log_close(log), 0);
	}
	text = read_all(fd, &len);
	assert_string_equal(text, "{}\n{}\n");
	free(text);
	close(fd);
	assert_int_equal(access_log_close(NULL), 0);
}

static void open_on_pipe(int pipe_fds[2], struct access_log **log)
{
	struct error err = { "" };
	char name[64];

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_true(fcntl(pipe_fds[1], F_SETPIPE_SZ, 4096) >= 4096);
	snprintf(name, sizeof(name), "/dev/fd/%d", pipe_fds[1]);
	assert_int_equal(access_log_open(name, 1, QUEUE, log, &err), 0);
	close(pipe_fds[1]);
}

/* Read until SEEN knows of WANTED records, written or lost. */
static void read_until(int fd, struct seen *seen, uint64_t wanted)
{
	static char text[256 * 1024];
	size_t len = 0;

	while (seen->records + seen->lost < wanted) {
		ssize_t n = read(fd, text + len, sizeof(text) - len);

		assert_true(n > 0);
		len = see_lines(seen, text, len + (size_t)n);
	}
	assert_int_equal(len, 0);
}

/* Twice the ring is pushed while nobody reads; then somebody does, and is told how many are
 * missing; then everything is as before. */
static void test_slow_reader(void **state)
{
	struct seen seen = { { 0 }, 0, 0 };
	struct access_log *log;
	struct log_writer *w;
	char record[256];
	size_t pushed = 0;
	uint64_t begun, lost;
	unsigned n = 0;
	int fds[2];

	open_on_pipe(fds, &log);
	w = access_log_writer(log, 0);
	begun = now_ms();
	while (pushed < (size_t)2 * QUEUE) {
		size_t len = make_record(record, sizeof(record), 0, n++);

		log_push(w, record, len);
		pushed += len;
	}
	log_lose(w);
	assert_true(now_ms() - begun < 1500); /* none of them waited */
	read_until(fds[0], &seen, n + 1);
	assert_true(seen.lost > 1000);
	assert_true(seen.records > 5000);
	lost = seen.lost;
	for (unsigned i = 0; i < 100; i++, n++)
		log_push(w, record, make_record(record, sizeof(record), 0, n));
	read_until(fds[0], &seen, n + 1);
	assert_int_equal(seen.lost, lost);
	assert_int_equal(seen.next[0], n);
	assert_int_equal(access_log_close(log), lost);
	close(fds[0]);
}

/* Records that come one after the other share a write, and none of them waits for another. */
static void test_soon(void **state)
{
	struct seen seen = { { 0 }, 0, 0 };
	uint64_t begun = now_ms();
	struct access_log *log;
	char record[256];
	int fds[2];

	open_on_pipe(fds, &log);
	for (unsigned n = 0; n < 20; n++) {
		log_push(access_log_writer(log, 0), record,
			 make_record(record, sizeof(record), 0, n));
		read_until(fds[0], &seen, n + 1);
	}
	assert_true(now_ms() - begun < 2000); /* 20 times 10 ms */
	assert_int_equal(access_log_close(log), 0);
	close(fds[0]);
}

/* Push eight times what a ring holds, half of it and a little at a time. Returns the part of the
 * records that was lost, in per cent. */
static unsigned push_halves(void)
{
	const size_t ring = (size_t)16 * 1024;
	struct timespec moment = { .tv_nsec = 1000000 };
	struct error err = { "" };
	struct access_log *log;
	char name[64], record[256];
	size_t pushed = 0, halves = 0;
	int fd = temporary(name);
	unsigned n = 0;
	uint64_t lost;

	assert_int_equal(access_log_open(name, 1, ring, &log, &err), 0);
	while (pushed < 8 * ring) {
		size_t len = make_record(record, sizeof(record), 0, n++);

		log_push(access_log_writer(log, 0), record, len);
		pushed += len;
		if (pushed / (ring / 2 + 1024) > halves) {
			halves++;
			nanosleep(&moment, NULL);
		}
	}
	lost = access_log_close(log);
	close(fd);
	return (unsigned)(100 * lost / n);
}

/* A ring that fills is emptied at once. Without that most would be lost, whenever it is tried; a
 * busy machine may let the log's thread come late, but not always. */
static void test_burst(void **state)
{
	unsigned lost = 100;

	for (int i = 0; i < 10 && lost > 25; i++)
		lost = push_halves();
	assert_in_range(lost, 0, 25);
}

/* Closing does not wait for ever, and what did not arrive is counted. */
static void test_close_without_reader(void **state)
{
	struct seen seen = { { 0 }, 0, 0 };
	struct access_log *log;
	char record[256], text[8192];
	uint64_t begun, lost;
	ssize_t n;
	int fds[2];

	open_on_pipe(fds, &log);
	for (unsigned i = 0; i < 5000; i++)
		log_push(access_log_writer(log, 0), record,
			 make_record(record, sizeof(record), 0, i));
	begun = now_ms();
	lost = access_log_close(log);
	assert_true(now_ms() - begun < 3 * ACCESS_LOG_GRACE_MS);
	n = read(fds[0], text, sizeof(text));
	assert_true(n > 0);
	see_lines(&seen, text, (size_t)n);
	/* A record that was cut by the pipe's end counts as one or the other. */
	assert_in_range(seen.records + lost, 4999, 5001);
	close(fds[0]);
}

/* The reader goes away: no signal, no waiting, all is counted. */
static void test_reader_gone(void **state)
{
	struct access_log *log;
	uint64_t begun = now_ms();
	char record[256];
	int fds[2];

	open_on_pipe(fds, &log);
	close(fds[0]);
	for (unsigned i = 0; i < 1000; i++)
		log_push(access_log_writer(log, 0), record,
			 make_record(record, sizeof(record), 0, i));
	assert_int_equal(access_log_close(log), 1000);
	assert_true(now_ms() - begun < 1500);
}

static void test_cannot_open(void **state)
{
	struct error err = { "" };
	struct access_log *log = NULL;

	assert_int_equal(access_log_open("/dev/null/x", 1, QUEUE, &log, &err), -ENOTDIR);
	assert_null(log);
	assert_string_equal(err.text, "cannot open the log /dev/null/x: Not a directory");
}

static void test_time(void **state)
{
	char text[ACCESS_LOG_TIME_MAX];
	const char *form = "dddd-dd-ddTdd:dd:dd.dddddddddZ";

	assert_int_equal(access_log_time(text), strlen(form));
	for (size_t i = 0; form[i]; i++)
		if (form[i] == 'd')
			assert_in_range(text[i], '0', '9');
		else
			assert_int_equal(text[i], form[i]);
	assert_int_equal(text[strlen(form)], '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_and_in_order),
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_soon),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_close_without_reader),
		cmocka_unit_test(test_reader_gone),
		cmocka_unit_test(test_cannot_open),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
