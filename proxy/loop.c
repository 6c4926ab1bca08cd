/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include "cmd.h"

/* libuv aborts where this returns NULL. */
static void *grow(void *old, size_t size)
{
	static const char message[] = "sluice: out of memory\n";
	void *ret = realloc(old, size);

	if (!ret && size > 0) {
		if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
			_exit(EXIT_SLUICE);
		_exit(EXIT_SLUICE);
	}
	return ret;
}

static void on_event(uv_poll_t *handle, int status, int events)
{
	(void)handle;
	(void)status;
	(void)events;
}

/* Watching the highest descriptor once makes room for all. */
static int watch_once(uv_loop_t *loop, int fd)
{
	uv_poll_t poll;
	int r = uv_poll_init(loop, &poll, fd);

	if (r < 0)
		return r;
	r = uv_poll_start(&poll, UV_READABLE, on_event);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(loop, UV_RUN_DEFAULT);
	return r;
}

static int reserve(uv_loop_t *loop, unsigned n)
{
	int fd = eventfd(0, EFD_CLOEXEC), high, r;

	if (fd < 0)
		return -errno;
	high = fcntl(fd, F_DUPFD_CLOEXEC, (int)n - 1);
	r = high < 0 ? -errno : watch_once(loop, high);
	if (high >= 0)
		close(high);
	close(fd);
	return r;
}

int loop_open(uv_loop_t *loop, unsigned n)
{
	struct rlimit allowed;
	int r;

	uv_replace_allocator(malloc, grow, calloc, free);
	r = uv_loop_init(loop);
	if (r < 0)
		return r;
	if (getrlimit(RLIMIT_NOFILE, &allowed) == 0 && allowed.rlim_cur < n)
		n = (unsigned)allowed.rlim_cur;
	r = reserve(loop, n);
	if (r < 0)
		uv_loop_close(loop);
	return r;
}
