// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK   (4 * 1024) /* doubled up to LARGEST_BLOCK */
#define LARGEST_BLOCK (64 * 1024)
#define ALIGNMENT     16
#define FIRST_ITEMS   4

struct arena_block {
	struct arena_block *next;
	size_t used, size; /* of the bytes behind this struct */
	_Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct arena_block *block_new(size_t size)
{
	struct arena_block *b;

	if (size > SIZE_MAX / 2)
		return NULL;
	b = calloc(1, sizeof(*b) + size);
	if (b)
		b->size = size;
	return b;
}

/* A large object gets a block of its own, behind the one that still has room. */
static struct arena_block *block_add(struct arena *a, size_t size)
{
	size_t usual = FIRST_BLOCK;
	struct arena_block *b;

	if (a->blocks)
		usual = a->blocks->size < LARGEST_BLOCK ? a->blocks->size * 2 : LARGEST_BLOCK;
	b = block_new(size > usual / 4 ? size : usual);
	if (!b)
		return NULL;
	if (a->blocks && size > usual / 4) {
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		b->next = a->blocks;
		a->blocks = b;
	}
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;
	void *ret;

	if (size > SIZE_MAX / 4)
		return NULL;
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!b || b->size - b->used < size)
		b = block_add(a, size);
	if (!b)
		return NULL;
	ret = b->bytes + b->used;
	b->used += size;
	return ret;
}

char *arena_copy(struct arena *a, const char *text, size_t len)
{
	char *ret = arena_alloc(a, len + 1);

	if (ret && len)
		memcpy(ret, text, len);
	return ret;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap, again;
	char *ret = NULL;
	int len;

	va_start(ap, format);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, format, ap);
	if (len >= 0)
		ret = arena_alloc(a, (size_t)len + 1);
	if (ret)
		vsnprintf(ret, (size_t)len + 1, format, again);
	va_end(again);
	va_end(ap);
	return ret;
}

void *arena_extend(struct arena *a, void *list, size_t n, size_t size)
{
	size_t capacity = n ? n * 2 : FIRST_ITEMS;
	void *ret;

	/* The capacity follows from N: FIRST_ITEMS, then doubled whenever N is a power of two. */
	if (n != 0 && (n < FIRST_ITEMS || (n & (n - 1)) != 0))
		return list;
	if (capacity > SIZE_MAX / 4 / size)
		return NULL;
	ret = arena_alloc(a, capacity * size);
	if (ret && n)
		memcpy(ret, list, n * size);
	return ret;
}

void arena_done(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		a->blocks = b->next;
		if (a->wipe)
			explicit_bzero(b->bytes, b->used);
		free(b);
	}
}
