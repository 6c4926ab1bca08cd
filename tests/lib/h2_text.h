/* SPDX-License-Identifier: Apache-2.0 */
/* h2_text.h - HTTP/2 frames as lines of text, both ways, for tests and fuzzers.
 *
 * A line is "TYPE STREAM FLAGS ITEM|ITEM|...", or "PRI" for the preface. TYPE is DATA, HEADERS,
 * PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT, or X and two hexadecimal digits. FLAGS
 * are letters: e END_STREAM, a ACK, h END_HEADERS, p PADDED, r PRIORITY; "-" for none. Items are
 *	name=value	a literal that is not indexed (a name may begin with a colon)
 *	+name=value	a literal that enters the dynamic table
 *	!name=value	a literal that is never indexed
 *	#62		a field of a table
 *	^4096		a size update
 *	@3:100		a setting
 *	%7		four bytes, big-endian
 *	$0aff		bytes
 *	"text		bytes
 *	*100		so many times 'x'
 *	~9		the length in the frame's header, if it is not to be the true one
 * In values and texts, {0d} stands for the byte 0x0d and {300*ab} for 300 times "ab". */
#ifndef SLUICE_TEST_H2_TEXT_H
#define SLUICE_TEST_H2_TEXT_H

#include <nghttp2/nghttp2.h>
#include <stddef.h>
#include <stdint.h>
#include "bytes.h"

/* Append the frames that TEXT describes; a '$' in place of a stream is STREAM. */
void h2_text_compile(const char *text, uint32_t stream, struct bytes *to);

/* Reads frames back into lines, with a decoder of its own. Header blocks come out as plain
 * "name=value" items whatever they were encoded as, DATA as a text, or as {N*x} where it is long.
 * Bars and braces in names, values and texts are escaped like control characters. */
struct h2_reader {
	nghttp2_hd_inflater *inflater;
	struct bytes rest; /* of an incomplete frame, or header block */
	struct bytes lines;
	unsigned faults; /* blocks that could not be decoded, or were interrupted */
};

void h2_reader_begin(struct h2_reader *r);
void h2_reader_done(struct h2_reader *r);
void h2_reader_feed(struct h2_reader *r, const void *bytes, size_t len);
/* What was read so far, NUL-terminated, valid until the next feed. */
const char *h2_reader_text(struct h2_reader *r);

#endif
