/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>
#include "detect.h"
#include "sluice/array.h"
#include "h1_grammar.h"

/* A record of type handshake (22), version 3.x, whose first message is a ClientHello (1). */
static enum detected detect_tls(const unsigned char *b, size_t len)
{
	static const struct {
		unsigned char min, max;
	} header[] = { { 22, 22 }, { 3, 3 }, { 0, 4 }, { 0, 0x40 }, { 0, 255 }, { 1, 1 } };

	for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++) {
		if (i == len)
			return DETECT_MORE;
		if (b[i] < header[i].min || b[i] > header[i].max)
			return DETECT_UNKNOWN;
	}
	return DETECT_TLS;
}

enum detected detect_protocol(const char *buf, size_t len)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	size_t n = sizeof(preface) - 1;

	if (len == 0)
		return DETECT_MORE;
	if (memcmp(buf, preface, len < n ? len : n) == 0)
		return len < n ? DETECT_MORE : DETECT_HTTP2;
	/* An empty line first is HTTP/1 as some clients speak it; it is answered as such (400). */
	if (h1_is(buf[0], H1_TOKEN) || buf[0] == '\r' || buf[0] == '\n')
		return DETECT_HTTP1;
	return detect_tls((const unsigned char *)buf, len);
}

bool detect_http2_greeting(const char *buf, size_t len)
{
	/* The upper byte of the length, the type, no flags, stream 0 (RFC 9113, section 4.1). */
	static const struct {
		size_t at;
		char byte;
	} fixed[] = { { 0, 0 }, { 3, 4 }, { 4, 0 }, { 5, 0 }, { 6, 0 }, { 7, 0 }, { 8, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(fixed) && fixed[i].at < len; i++)
		if (buf[fixed[i].at] != fixed[i].byte)
			return false;
	return true;
}
