/* SPDX-License-Identifier: Apache-2.0 */
/* h2_trace.h - what h2_feed() makes of bytes, as text that does not depend on where they were cut.
 *
 * "PRI|SETTINGS|HEADERS 1 GET h /a +1|DATA 1 5/9|!1 a PUSH_PROMISE": a request with its number of
 * headers beside Host, DATA with the bytes that count and the length, an error with its code. */
#ifndef SLUICE_TEST_H2_TRACE_H
#define SLUICE_TEST_H2_TRACE_H

#include "h2.h"

struct h2_trace {
	char text[8192];
	size_t len;
	size_t released; /* bytes consumed */
	struct h2 parser;
	bool after_begin;
};

/* Feed exact-size copies of BUF, cut at AT and in pieces of STEP (0: not). */
void h2_trace_all(struct h2_trace *t, enum h2_kind kind, const char *buf, size_t len, size_t at,
		  size_t step);

#endif
