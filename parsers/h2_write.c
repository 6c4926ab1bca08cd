/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_write.h"
#include <string.h>

static size_t put32(char *out, uint32_t n)
{
	out[0] = (char)(n >> 24);
	out[1] = (char)(n >> 16);
	out[2] = (char)(n >> 8);
	out[3] = (char)n;
	return 4;
}

size_t h2_write_frame_header(char *out, uint32_t length, uint8_t type, uint8_t flags,
			     uint32_t stream)
{
	put32(out, length << 8 | type);
	out[4] = (char)flags;
	put32(out + 5, stream);
	return H2_FRAME_HEADER_LEN;
}

size_t h2_write_rst(char *out, uint32_t stream, uint32_t code)
{
	size_t n = h2_write_frame_header(out, 4, NGHTTP2_RST_STREAM, 0, stream);

	return n + put32(out + n, code);
}

size_t h2_write_window_update(char *out, uint32_t stream, uint32_t size)
{
	size_t n = h2_write_frame_header(out, 4, NGHTTP2_WINDOW_UPDATE, 0, stream);

	return n + put32(out + n, size);
}

size_t h2_write_goaway(char *out, uint32_t last, uint32_t code)
{
	size_t n = h2_write_frame_header(out, 8, NGHTTP2_GOAWAY, 0, 0);

	n += put32(out + n, last);
	return n + put32(out + n, code);
}

/* An integer with a prefix of BITS behind the bits of OPCODE (RFC 7541, section 5.1). */
static size_t put_integer(char *out, uint8_t opcode, unsigned bits, size_t value)
{
	size_t mask = (1u << bits) - 1, n = 0;

	if (value < mask) {
		out[0] = (char)(opcode | value);
		return 1;
	}
	out[n++] = (char)(opcode | mask);
	for (value -= mask; value >= 0x80; value >>= 7)
		out[n++] = (char)(0x80 | (value & 0x7f));
	out[n++] = (char)value;
	return n;
}

static size_t put_string(char *out, struct span text)
{
	size_t n = put_integer(out, 0, 7, text.len);

	if (text.len > 0)
		memcpy(out + n, text.ptr, text.len);
	return n + text.len;
}

size_t h2_write_resize(char *out, uint32_t size)
{
	return put_integer(out, 0x20, 5, size);
}

size_t h2_write_field(char *out, struct span name, struct span value, bool never)
{
	size_t n = put_integer(out, never ? 0x10 : 0x00, 4, 0);

	n += put_string(out + n, name);
	return n + put_string(out + n, value);
}

size_t h2_write_block(char *out, const struct h2_head *head)
{
	size_t n = 0;

	for (size_t i = 0; i < head->n_fields; i++)
		n += h2_write_field(out + n, head->fields[i].name, head->fields[i].value,
				    head->never[i]);
	return n;
}
