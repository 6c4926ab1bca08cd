/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.h - buffers that a connection borrows while bytes are in flight, from a bounded pool.
 *
 * One pool per worker, used by its thread only. An idle connection holds no buffer. A buffer is a
 * stretch of bytes [start, end) in DATA; NEXT chains the buffers of one queue. Sizes are in bytes.
 */
#ifndef SLUICE_BUFFER_H
#define SLUICE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUFFER_MAX	    (64 * 1024)	       /* the largest buffer: a whole request head fits */
#define BUFFER_POOL_RESERVE (4UL * BUFFER_MAX) /* below this, nothing new is read */
#ifdef SLUICE_SANITIZED
#define BUFFER_CACHED_MAX \
	0 /* so that AddressSanitizer sees whoever uses a buffer that was given back */
#else
#define BUFFER_CACHED_MAX 64 /* free buffers kept per size */
#endif

enum buffer_class { BUFFER_4K, BUFFER_16K, BUFFER_64K, BUFFER_CLASS_MAX };

struct buffer {
	struct buffer *next;
	uint32_t start, end;
	uint8_t class;
	char data[];
};

struct buffer_pool {
	struct buffer *cached[BUFFER_CLASS_MAX];
	unsigned n_cached[BUFFER_CLASS_MAX];
	size_t lent; /* bytes */
	unsigned n_lent;
	size_t limit;
};

/* LIMIT: bytes lent out at any time. */
void buffer_pool_init(struct buffer_pool *p, size_t limit);
/* All buffers must have come back. */
void buffer_pool_done(struct buffer_pool *p);

/* Borrow an empty buffer that holds at least SIZE bytes (at most BUFFER_MAX). NULL when the pool's
 * limit is reached or memory is out. */
struct buffer *buffer_get(struct buffer_pool *p, size_t size);
void buffer_put(struct buffer_pool *p, struct buffer *b); /* accepts NULL */

/* True while so little is left that nobody should read more: what has been read could not be kept.
 */
bool buffer_pool_low(const struct buffer_pool *p);

/* Nearly all of the pool is free: SIZE bytes at once are no harm. */
bool buffer_pool_ample(const struct buffer_pool *p, size_t size);

size_t buffer_size(const struct buffer *b);

static inline size_t buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}

static inline size_t buffer_room(const struct buffer *b)
{
	return buffer_size(b) - b->end;
}

#endif
