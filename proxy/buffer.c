/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"
#include <assert.h>
#include <stdlib.h>

static const uint32_t sizes[BUFFER_CLASS_MAX] = {
	[BUFFER_4K] = 4 * 1024,
	[BUFFER_16K] = 16 * 1024,
	[BUFFER_64K] = BUFFER_MAX,
};

size_t buffer_size(const struct buffer *b)
{
	return sizes[b->class];
}

void buffer_pool_init(struct buffer_pool *p, size_t limit)
{
	*p = (struct buffer_pool){ .limit = limit };
}

void buffer_pool_done(struct buffer_pool *p)
{
	assert(p->n_lent == 0);
	for (int class = 0; class < BUFFER_CLASS_MAX; class ++) {
		while (p->cached[class]) {
			struct buffer *b = p->cached[class];

			p->cached[class] = b->next;
			free(b);
		}
	}
}

static uint8_t class_for(size_t size)
{
	uint8_t class = BUFFER_4K;

	while (sizes[class] < size)
		class ++;
	return class;
}

struct buffer *buffer_get(struct buffer_pool *p, size_t size)
{
	struct buffer *b;
	uint8_t class;

	assert(size <= BUFFER_MAX);
	class = class_for(size);
	if (p->lent + sizes[class] > p->limit)
		return NULL;
	b = p->cached[class];
	if (b) {
		p->cached[class] = b->next;
		p->n_cached[class]--;
	} else {
		b = malloc(sizeof(*b) + sizes[class]);
		if (!b)
			return NULL;
	}
	b->next = NULL;
	b->start = b->end = 0;
	b->class = class;
	p->lent += sizes[class];
	p->n_lent++;
	return b;
}

void buffer_put(struct buffer_pool *p, struct buffer *b)
{
	if (!b)
		return;
	assert(p->n_lent > 0);
	p->n_lent--;
	p->lent -= sizes[b->class];
	if (p->n_cached[b->class] + 1u > BUFFER_CACHED_MAX) {
		free(b);
		return;
	}
	b->next = p->cached[b->class];
	p->cached[b->class] = b;
	p->n_cached[b->class]++;
}

bool buffer_pool_low(const struct buffer_pool *p)
{
	return p->lent + BUFFER_POOL_RESERVE > p->limit;
}

bool buffer_pool_ample(const struct buffer_pool *p, size_t size)
{
	return p->lent <= p->limit / 16 && p->lent + size + BUFFER_POOL_RESERVE <= p->limit;
}
