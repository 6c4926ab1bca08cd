/* SPDX-License-Identifier: Apache-2.0 */
/* failing_malloc.c - for LD_PRELOAD: allocations of one program fail when a test says so.
 *
 *	FAILING_MALLOC_PROGRAM  only this executable suffers, and none of its children
 *	FAILING_MALLOC_CONTROL  a file with a struct control, which the test maps as well
 *	FAILING_MALLOC_TRACE    set: say on standard error where each failure was
 *
 * Counted are malloc, calloc, realloc, aligned memory and mmap, of the program and its libraries;
 * what glibc needs for itself is not. The real functions are glibc's own, which it exports under
 * these names. */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* See tests/lib/memory.py. All fields are of 4 bytes. */
struct control {
	atomic_uint armed;  /* count and fail; the test sets it last */
	unsigned nth;	    /* which one fails; 0: none */
	unsigned again;	    /* 1: each that many later as well */
	atomic_uint seen;   /* allocations while armed */
	atomic_uint failed; /* how many were made to fail */
};

static struct {
	struct control *control; /* NULL: this is another program */
	pid_t pid;
	bool trace;
} self;

static void *map(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, at, len, protection, flags, fd, offset);
}

__attribute__((constructor)) static void begin(void)
{
	const char *program = getenv("FAILING_MALLOC_PROGRAM");
	const char *path = getenv("FAILING_MALLOC_CONTROL");
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	void *frames[1], *control;
	int fd;

	if (!program || !path || n < 0)
		return;
	exe[n] = '\0';
	if (strcmp(exe, program) != 0)
		return;
	backtrace(frames, 1); /* loads what it needs */
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		abort();
	control = map(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (control == MAP_FAILED)
		abort();
	self.trace = getenv("FAILING_MALLOC_TRACE");
	self.pid = getpid();
	self.control = control;
}

static bool fails(void)
{
	struct control *c = self.control;
	unsigned number;

	if (!c || !atomic_load(&c->armed) || getpid() != self.pid)
		return false;
	number = atomic_fetch_add(&c->seen, 1) + 1;
	if (!c->nth || (c->again ? number % c->nth != 0 : number != c->nth))
		return false;
	atomic_fetch_add(&c->failed, 1);
	if (self.trace) {
		void *frames[12];

		backtrace_symbols_fd(frames, backtrace(frames, 12), STDERR_FILENO);
	}
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *p = memalign(alignment, size);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : map(at, len, protection, flags, fd, offset);
}
