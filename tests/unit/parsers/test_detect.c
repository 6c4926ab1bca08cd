/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "sluice/array.h"
#include "detect.h"

/* Before byte AFTER nothing can be told; from then on it is WANT, whatever follows. */
struct stream {
	const char *bytes;
	size_t len, after;
	enum detected want;
};

#define STREAM(bytes, after, want)                    \
	{                                             \
		bytes, sizeof(bytes) - 1, after, want \
	}

static const struct stream streams[] = {
	STREAM("GET / HTTP/1.1\r\n\r\n", 1, DETECT_HTTP1),
	STREAM("POST / HTTP/1.1\r\n\r\n", 2, DETECT_HTTP1),
	STREAM("PROPFIND / HTTP/1.1\r\n", 3, DETECT_HTTP1),
	STREAM("PRIVATE / HTTP/1.1\r\n", 4, DETECT_HTTP1),
	STREAM("PRI /x HTTP/1.1\r\n", 5, DETECT_HTTP1),
	STREAM("PRI * HTTP/1.1\r\n\r\n", 12, DETECT_HTTP1),
	STREAM("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, DETECT_HTTP2),
	STREAM("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 24, DETECT_HTTP2),
	STREAM("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", 24, DETECT_HTTP1),
	STREAM("pri * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1, DETECT_HTTP1),
	STREAM("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 6, DETECT_TLS),
	STREAM("\x16\x03\x03\x00\xa5\x01", 6, DETECT_TLS),
	STREAM("\x16\x03\x03\x00\xa5\x02", 6, DETECT_UNKNOWN),
	STREAM("\x16\x03\x05\x00", 3, DETECT_UNKNOWN),
	STREAM("\x16\x02\x00\x00", 2, DETECT_UNKNOWN),
	STREAM("\x16\x03\x01\x41\x00\x01", 4, DETECT_UNKNOWN),
	STREAM("\x17\x03\x03", 1, DETECT_UNKNOWN),
	STREAM("\x80\x2e\x01", 1, DETECT_UNKNOWN),
	STREAM("\r\nGET / HTTP/1.1\r\n", 1, DETECT_HTTP1),
	STREAM("\nGET / HTTP/1.1\r\n", 1, DETECT_HTTP1),
	STREAM(" GET / HTTP/1.1\r\n", 1, DETECT_UNKNOWN),
	STREAM("\0", 1, DETECT_UNKNOWN),
	STREAM("\xffxyz", 1, DETECT_UNKNOWN),
	STREAM("SSH-2.0-x\r\n", 1, DETECT_HTTP1), /* a token: the parser refuses it */
};

static void test_streams(void **state)
{
	assert_int_equal(detect_protocol(NULL, 0), DETECT_MORE);
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		const struct stream *s = &streams[i];

		for (size_t len = 0; len <= s->len; len++) {
			enum detected want = len < s->after ? DETECT_MORE : s->want;
			char *copy = malloc(len ? len : 1);

			assert_non_null(copy);
			memcpy(copy, s->bytes, len);
			if (detect_protocol(copy, len) != want)
				fail_msg("stream %zu, %zu bytes", i, len);
			free(copy);
		}
	}
}

/* Total: one byte of each value, and what it begins. */
static void test_first_byte(void **state)
{
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		enum detected d = detect_protocol(&byte, 1);

		if (c == 'P' || c == 0x16)
			assert_int_equal(d, DETECT_MORE);
		else if (c == '\r' || c == '\n' ||
			 (c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c)))
			assert_int_equal(d, DETECT_HTTP1);
		else
			assert_int_equal(d, DETECT_UNKNOWN);
	}
}

/* SETTINGS of any length that is allowed, cut anywhere, and what is something else. */
static void test_greetings(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool settings;
	} cases[] = {
		{ "\0\0\0\4\0\0\0\0\0", 9, true },
		{ "\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64", 15, true },
		{ "\0\0\0\4\1\0\0\0\0", 9, false }, /* an acknowledgement */
		{ "\0\0\0\4\0\0\0\0\1", 9, false },
		{ "\0\0\0\7\0\0\0\0\0", 9, false },
		{ "\1\0\0\4\0\0\0\0\0", 9, false },
		{ "220 mail\r\n", 10, false },
		{ "HTTP/1.1 408 x", 14, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(detect_http2_greeting(cases[i].bytes, cases[i].len),
				 cases[i].settings);
		for (size_t len = 0; cases[i].settings && len < cases[i].len; len++)
			assert_true(detect_http2_greeting(cases[i].bytes, len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_first_byte),
		cmocka_unit_test(test_greetings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
