/* SPDX-License-Identifier: Apache-2.0 */
/* h1_trace.h - what h1_feed() says about a stream, as one line of text, however the stream is cut.
 *
 * "[GET / a len=5]+5." is a head, five bytes of body, the end of the message. "!-71" is an error,
 * "$" an end of the connection where it may be, "$!" where it may not. */
#ifndef SLUICE_H1_TRACE_H
#define SLUICE_H1_TRACE_H

#include "h1.h"

struct h1_trace {
	struct h1 parser;
	struct h1_head head;
	bool answers_head, answers_connect; /* given to h1_expect() before every response */
	size_t released;		    /* bytes consumed */
	size_t body;			    /* bytes of the open body so far */
	size_t len;
	char text[8192];
};

void h1_trace_begin(struct h1_trace *t, enum h1_kind kind, bool answers_head, bool answers_connect);

/* Feed the N bytes at BUF, of which *USED were consumed before, until nothing more is complete.
 * Each call into the parser sees an exact-size copy, so that a sanitizer notices an over-read.
 * Returns false after an error. */
bool h1_trace_feed(struct h1_trace *t, const char *buf, size_t n, size_t *used);

/* The connection ends. */
void h1_trace_end(struct h1_trace *t);

/* All of it: BUF cut into pieces that end at CUT, then at every STEP bytes (0: one piece). */
void h1_trace_all(struct h1_trace *t, enum h1_kind kind, unsigned expect, const char *buf,
		  size_t len, size_t cut, size_t step);

#define ANSWERS_HEAD	1u
#define ANSWERS_CONNECT 2u

#endif
