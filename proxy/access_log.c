/* SPDX-License-Identifier: Apache-2.0 */
#include "access_log.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "text.h"

/* A pipe that polls writable takes this much without blocking (POSIX: PIPE_BUF). */
#define CHUNK 4096
/* A regular file always takes more, and never has to be waited for. */
#define CHUNK_FILE 65536
/* Records that come while others are written wait for more of them, so that a wake-up and a write
 * serve many. Only the first after a pause is written at once. */
#define NAP_MS 10

/* What a record that was pushed has to do. */
enum awake {
	AWAKE,	 /* nothing: it will be seen */
	NAPPING, /* wake the thread if the ring fills */
	ASLEEP,	 /* wake the thread */
};

struct log_writer {
	struct access_log *log;
	_Atomic(uint64_t) head; /* bytes ever pushed; the owner writes it */
	_Atomic(uint64_t) tail; /* bytes ever taken; the log's thread writes it */
	_Atomic(uint64_t) lost; /* records lost and not yet reported */
	uint64_t lost_ever;	/* the owner's */
	char *ring;
};

struct access_log {
	pthread_t thread;
	int fd, wake;
	bool close_fd, is_file;
	_Atomic(enum awake) awake; /* the log's thread sets it, and who wakes it resets it */
	atomic_bool stop;
	bool broken; /* the reader is gone: the rest is dropped */
	uint64_t unwritten;
	unsigned n_writers;
	size_t queue; /* bytes of a ring */
	struct log_writer *writers;
	char *rings;
};

size_t access_log_time(char buf[static ACCESS_LOG_TIME_MAX])
{
	struct text t = { .buf = buf, .size = ACCESS_LOG_TIME_MAX - 1 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	text_add_time(&t, (uint64_t)now.tv_sec, (unsigned)now.tv_nsec);
	buf[t.len] = '\0';
	return t.len;
}

void log_lose(struct log_writer *w)
{
	atomic_fetch_add_explicit(&w->lost, 1, memory_order_relaxed);
	w->lost_ever++;
}

/* Half a ring is left for what comes until the thread runs. */
static bool is_filling(const struct access_log *log, uint64_t head, uint64_t tail)
{
	return head - tail > log->queue / 2;
}

static void wake(struct access_log *log, bool filling)
{
	enum awake was = atomic_load(&log->awake);
	uint64_t one = 1;
	ssize_t n;

	if (was == AWAKE || (was == NAPPING && !filling))
		return;
	if (atomic_exchange(&log->awake, AWAKE) == AWAKE)
		return;
	n = write(log->wake, &one, sizeof(one));
	(void)n; /* a full counter wakes as well */
}

void log_push(struct log_writer *w, const char *line, size_t len)
{
	uint64_t head = atomic_load_explicit(&w->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&w->tail, memory_order_acquire);
	size_t size = w->log->queue, at = head % size;
	size_t first = size - at < len ? size - at : len;

	if (len > size - (head - tail)) {
		log_lose(w);
		return;
	}
	memcpy(w->ring + at, line, first);
	memcpy(w->ring, line + first, len - first);
	atomic_store(&w->head, head + len);
	wake(w->log, is_filling(w->log, head + len, tail));
}

/* Write all of BUF, of which a pipe must take as much at once as it says that it can. Gives up when
 * the log is closing and the reader does not read. Returns false when nothing can be written any
 * more. */
static bool write_chunk(struct access_log *log, const char *buf, size_t len)
{
	int waited = 0;

	while (len > 0 && !log->broken) {
		struct pollfd p = { .fd = log->fd, .events = POLLOUT };
		ssize_t n;

		if (!log->is_file && poll(&p, 1, 100) == 0) {
			waited += 100;
			if (atomic_load(&log->stop) && waited >= ACCESS_LOG_GRACE_MS)
				log->broken = true;
			continue;
		}
		n = write(log->fd, buf, len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			log->broken = true;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return !log->broken;
}

static uint64_t count_lines(const char *buf, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += buf[i] == '\n';
	return n;
}

static void report_lost(struct access_log *log, struct log_writer *w)
{
	uint64_t lost = atomic_exchange(&w->lost, 0);
	char time[ACCESS_LOG_TIME_MAX], line[128];
	int n;

	if (lost == 0)
		return;
	access_log_time(time);
	n = snprintf(line, sizeof(line), "{\"time\":\"%s\",\"lost\":%" PRIu64 "}\n", time, lost);
	write_chunk(log, line, (size_t)n);
}

/* Returns whether there was anything. */
static bool drain(struct access_log *log, struct log_writer *w)
{
	uint64_t tail = atomic_load_explicit(&w->tail, memory_order_relaxed);
	uint64_t head = atomic_load(&w->head);
	const size_t chunk = log->is_file ? CHUNK_FILE : CHUNK;
	bool any = head != tail;

	while (tail != head) {
		size_t at = tail % log->queue;
		size_t n = head - tail;

		if (n > log->queue - at)
			n = log->queue - at;
		if (n > chunk)
			n = chunk;
		if (!write_chunk(log, w->ring + at, n))
			log->unwritten += count_lines(w->ring + at, n);
		tail += n;
		atomic_store_explicit(&w->tail, tail, memory_order_release);
	}
	/* Only between whole records. */
	report_lost(log, w);
	return any;
}

static bool drain_all(struct access_log *log)
{
	bool any = false;

	for (unsigned i = 0; i < log->n_writers; i++)
		any |= drain(log, &log->writers[i]);
	return any;
}

static bool any_filling(const struct access_log *log)
{
	for (unsigned i = 0; i < log->n_writers; i++) {
		const struct log_writer *w = &log->writers[i];

		if (is_filling(log, atomic_load(&w->head), atomic_load(&w->tail)))
			return true;
	}
	return false;
}

/* Until somebody wakes us, or for MS milliseconds (-1: no limit). Returns false when that cannot
 * be. */
static bool wait_for_wake(struct access_log *log, int ms)
{
	struct pollfd p = { .fd = log->wake, .events = POLLIN };
	uint64_t n;
	int r = poll(&p, 1, ms);

	if (r > 0 && read(log->wake, &n, sizeof(n)) < 0)
		r = -1;
	return r >= 0 || errno == EINTR;
}

static bool nap(struct access_log *log)
{
	bool ok = true;

	atomic_store(&log->awake, NAPPING);
	if (!any_filling(log) && !atomic_load(&log->stop))
		ok = wait_for_wake(log, NAP_MS);
	atomic_store(&log->awake, AWAKE);
	return ok;
}

static void *log_main(void *arg)
{
	struct access_log *log = arg;

	for (;;) {
		bool stop = atomic_load(&log->stop);

		if (drain_all(log)) {
			if (!nap(log))
				return NULL;
			continue;
		}
		if (stop)
			return NULL;
		atomic_store(&log->awake, ASLEEP);
		if (drain_all(log) || atomic_load(&log->stop))
			continue;
		if (!wait_for_wake(log, -1))
			return NULL;
	}
}

static int start_thread(struct access_log *log)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&log->thread, NULL, log_main, log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static void log_free(struct access_log *log)
{
	if (log->wake >= 0)
		close(log->wake);
	if (log->close_fd)
		close(log->fd);
	free(log->writers);
	free(log->rings);
	free(log);
}

int access_log_open(const char *path, unsigned n_writers, size_t queue, struct access_log **ret,
		    struct error *err)
{
	struct access_log *log = calloc(1, sizeof(*log));
	struct stat st;
	int r = -ENOMEM;

	if (!log) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	log->wake = -1;
	log->fd = STDOUT_FILENO;
	log->n_writers = n_writers;
	log->queue = queue;
	log->writers = calloc(n_writers, sizeof(*log->writers));
	log->rings = calloc(n_writers, queue);
	if (!log->writers || !log->rings)
		goto fail;
	for (unsigned i = 0; i < n_writers; i++) {
		log->writers[i].log = log;
		log->writers[i].ring = log->rings + i * queue;
	}
	if (strcmp(path, "-") != 0) {
		log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
		r = -errno;
		if (log->fd < 0)
			goto fail;
		log->close_fd = true;
	}
	log->is_file = fstat(log->fd, &st) == 0 && S_ISREG(st.st_mode);
	log->wake = eventfd(0, EFD_CLOEXEC);
	r = -errno;
	if (log->wake < 0)
		goto fail;
	r = start_thread(log);
	if (r < 0)
		goto fail;
	*ret = log;
	return 0;
fail:
	error_set(err, "cannot open the log %s: %s", path, strerror(-r));
	log_free(log);
	return r;
}

struct log_writer *access_log_writer(struct access_log *log, unsigned i)
{
	assert(i < log->n_writers);
	return &log->writers[i];
}

uint64_t access_log_close(struct access_log *log)
{
	uint64_t lost, one = 1;

	if (!log)
		return 0;
	atomic_store(&log->stop, true);
	if (write(log->wake, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes a 1 */
	pthread_join(log->thread, NULL);
	lost = log->unwritten;
	for (unsigned i = 0; i < log->n_writers; i++)
		lost += log->writers[i].lost_ever;
	log_free(log);
	return lost;
}
