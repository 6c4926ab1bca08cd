/* SPDX-License-Identifier: Apache-2.0 */
/* bytes.h - bytes on the heap that grow at their end and are used from their beginning. A NUL
 * stands behind them, once any were added. */
#ifndef SLUICE_TEST_BYTES_H
#define SLUICE_TEST_BYTES_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "require.h"

struct bytes {
	char *data;
	size_t len, room;
};

static inline void bytes_add(struct bytes *b, const void *buf, size_t len)
{
	if (!b->data || b->room - b->len < len + 1) {
		b->room = 2 * (b->len + len + 1);
		b->data = realloc(b->data, b->room);
		REQUIRE(b->data);
	}
	if (len > 0)
		memcpy(b->data + b->len, buf, len);
	b->len += len;
	b->data[b->len] = '\0';
}

static inline void bytes_drop(struct bytes *b, size_t n)
{
	REQUIRE(n <= b->len);
	b->len -= n;
	if (b->data)
		memmove(b->data, b->data + n, b->len + 1);
}

static inline void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ 0 };
}

#endif
