// SPDX-License-Identifier: Apache-2.0
#include "grpc.h"
#include <string.h>

void grpc_put(struct h2_end *e, struct h2_stream *s, uint32_t len, bool end)
{
	char *at = h2_end_data(e, s, GRPC_PREFIX + len, end);

	at[0] = 0; /* not compressed */
	h2_put32(at + 1, len);
	memset(at + GRPC_PREFIX, 'x', len);
}

unsigned grpc_read(struct h2_stream *s, const char *bytes, size_t len)
{
	unsigned complete = 0;

	while (len > 0) {
		size_t n;

		if (s->have < GRPC_PREFIX) {
			s->prefix[s->have++] = (uint8_t)*bytes++;
			len--;
			if (s->have < GRPC_PREFIX)
				continue;
			s->left = s->message_len = h2_get32((const char *)s->prefix + 1);
		}
		n = len < s->left ? len : s->left;
		bytes += n;
		len -= n;
		s->left -= (uint32_t)n;
		if (s->left == 0) {
			complete++;
			s->have = 0;
		}
	}
	return complete;
}
