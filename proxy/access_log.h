/* SPDX-License-Identifier: Apache-2.0 */
/* access_log.h - writes records to a file without ever making traffic wait.
 *
 * Each thread that has records owns one writer: a ring of bytes that only it fills and only the
 * log's own thread empties, so nobody takes a lock. When the ring is full the record is lost and
 * counted, and the count is written as a record of its own ({"time":...,"lost":N}) as soon as there
 * is room.
 *
 * The first record after a pause is written at once, those behind it up to 10 ms later and
 * together; at once again when half the ring is full. Closing waits for none. */
#ifndef SLUICE_ACCESS_LOG_H
#define SLUICE_ACCESS_LOG_H

#include <stddef.h>
#include <stdint.h>
#include "sluice/error.h"

#define ACCESS_LOG_GRACE_MS 2000 /* how long closing waits for a reader that does not read */
#define ACCESS_LOG_TIME_MAX 40

struct access_log;
struct log_writer;

/* Open PATH ("-": standard output) for appending and start the thread. QUEUE: bytes that may wait,
 * for each writer. */
int access_log_open(const char *path, unsigned n_writers, size_t queue, struct access_log **ret,
		    struct error *err);
/* Writer number I, for one thread. */
struct log_writer *access_log_writer(struct access_log *log, unsigned i);
/* One whole record with its newline. Wait-free. */
void log_push(struct log_writer *w, const char *line, size_t len);
/* A record could not be made: count it with those that are lost. */
void log_lose(struct log_writer *w);
/* Write what is queued, as far as the reader takes it, and free everything. No writer may be in use
 * any more. Returns how many records were lost in all. Accepts NULL. */
uint64_t access_log_close(struct access_log *log);

/* The time now as "2026-01-31T12:00:00.000000000Z". Returns its length. */
size_t access_log_time(char buf[static ACCESS_LOG_TIME_MAX]);

#endif
