/* SPDX-License-Identifier: Apache-2.0 */
/* stage_bytes.h - bytes on the heap that grow at their end and are used from their beginning. */
#ifndef SLUICE_TEST_STAGE_BYTES_H
#define SLUICE_TEST_STAGE_BYTES_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "require.h"

struct stage_bytes {
	char *data;
	size_t len, room;
};

static inline void stage_bytes_add(struct stage_bytes *b, const char *buf, size_t len)
{
	if (b->room - b->len < len) {
		b->room = 2 * (b->len + len);
		b->data = realloc(b->data, b->room);
		REQUIRE(b->data);
	}
	if (len > 0)
		memcpy(b->data + b->len, buf, len);
	b->len += len;
}

static inline void stage_bytes_drop(struct stage_bytes *b, size_t n)
{
	REQUIRE(n <= b->len);
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
}

#endif
