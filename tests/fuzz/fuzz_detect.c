/* SPDX-License-Identifier: Apache-2.0 */
/* The first bytes of a connection. Invariants: once told, the answer stays, whatever follows; and
 * 24 bytes are always enough. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum detected before = DETECT_MORE;

	for (size_t len = 0; len <= size && len <= 64; len++) {
		char *copy = malloc(len ? len : 1);
		enum detected now;

		if (!copy)
			abort();
		if (len)
			memcpy(copy, data, len);
		now = detect_protocol(copy, len);
		free(copy);
		if ((before != DETECT_MORE && now != before) || (now == DETECT_MORE && len >= 24)) {
			fprintf(stderr, "%d, then %d at %zu\n", before, now, len);
			abort();
		}
		before = now;
	}
	return 0;
}
