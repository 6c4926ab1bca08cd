/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - builds a line of text in a buffer of the caller. What does not fit is cut off, at the
 * end of a character or an escape, and CUT says so. Bytes that come from outside are always
 * escaped. */
#ifndef SLUICE_TEXT_H
#define SLUICE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sluice/address.h"
#include "sluice/span.h"

struct text {
	char *buf;
	size_t size, len;
	bool cut;
};

#define TEXT_INIT(array) ((struct text){ .buf = (array), .size = sizeof(array) })

void text_add_span(struct text *t, struct span s);
/* Here, so that the compiler counts what is written in the source. */
static inline void text_add(struct text *t, const char *s)
{
	text_add_span(t, span_of(s));
}
/* In decimal. */
void text_add_number(struct text *t, uint64_t value);
/* A time since 1970 in UTC, as "2026-01-31T12:00:00.000000000Z". */
void text_add_time(struct text *t, uint64_t seconds, unsigned nanoseconds);
__attribute__((format(printf, 2, 3))) void text_addf(struct text *t, const char *format, ...);
/* The inside of a JSON string. Bytes that are not ASCII are written as \u00XX. */
void text_add_json(struct text *t, struct span s);
/* For a terminal: control characters, backslashes and bytes that are not ASCII as \xXX. */
void text_add_escaped(struct text *t, struct span s);
/* "192.0.2.1" or "2001:db8::1", with the scope behind a '%' if there is one. */
void text_add_ip(struct text *t, const struct address *a);
/* "192.0.2.1:80" or "[2001:db8::1]:80" */
void text_add_address(struct text *t, const struct address *a);

#endif
