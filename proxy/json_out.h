/* SPDX-License-Identifier: Apache-2.0 */
/* json_out.h - writes one JSON document into memory that grows, up to a bound.
 *
 * Bytes that come from outside are escaped as in records: what is not ASCII, and control
 * characters, as \u00XX. Nothing here returns an error: one without memory, or over its bound,
 * writes no more, and json_out_take() says so. */
#ifndef SLUICE_JSON_OUT_H
#define SLUICE_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sluice/span.h"

struct json_out {
	char *buf;
	size_t len, size, max;
	bool full, oom, more; /* MORE: the next member has a comma before it */
};

/* At most MAX bytes. */
#define JSON_OUT_INIT(bytes) ((struct json_out){ .max = (bytes) })

/* NAME is NULL in a list and at the top. BRACKET is '{' or '[', and closes the same. */
void json_out_begin(struct json_out *j, const char *name, char bracket);
void json_out_end(struct json_out *j, char bracket);
/* The next member begins a line, for those who read it as it is. */
void json_out_line(struct json_out *j);

void json_out_text(struct json_out *j, const char *name, const char *text); /* NULL: null */
void json_out_span(struct json_out *j, const char *name, struct span text);
void json_out_number(struct json_out *j, const char *name, uint64_t number);
void json_out_bool(struct json_out *j, const char *name, bool value);
/* JSON is one value already. */
void json_out_value(struct json_out *j, const char *name, const char *json);

/* The document with a newline behind it, to be freed by the caller: 0, -ENOMEM, or -EFBIG. In any
 * case J is empty afterwards. */
int json_out_take(struct json_out *j, char **ret, size_t *len);
void json_out_done(struct json_out *j);

#endif
