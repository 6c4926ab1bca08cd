/* SPDX-License-Identifier: Apache-2.0 */
#include "fail_alloc.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned countdown;
static bool happened;

void fail_alloc_at(unsigned n)
{
	countdown = n;
	happened = false;
}

bool fail_alloc_happened(void)
{
	return happened;
}

static bool fails(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	happened = true;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}
