/* SPDX-License-Identifier: Apache-2.0 */
/* json_read.h - reads values out of a JSON text (RFC 8259), where they stand; allocates nothing.
 *
 * What a runtime tells of a pod beyond its messages comes as JSON, from outside: a text is checked
 * as a whole once, and only then looked into. A value is a span of that text. */
#ifndef SLUICE_JSON_READ_H
#define SLUICE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sluice/span.h"

/* Arrays and objects in each other beyond this are refused. */
#define JSON_DEPTH_MAX 64

/* Is TEXT one JSON value, with blanks around it at most? If so it is stored in *RET. */
bool json_check(struct span text, struct span *ret);
/* The following take values of a text that was checked. */

/* The first member NAME of the object, where NAME stands without escapes; false: there is none, or
 * VALUE is no object. */
bool json_member(struct span value, const char *name, struct span *ret);
/* Goes through an array: *AT is the array at first, and what is left of it afterwards. Stores the
 * next item; false: there is none, or it was no array. */
bool json_next(struct span *at, struct span *item);
/* Copies a string with its escapes resolved (as UTF-8). False: no string, or it does not fit into
 * SIZE with a NUL, or has a NUL of its own, or half a surrogate pair. */
bool json_text(struct span value, char *ret, size_t size);
/* A number without fraction and exponent. */
bool json_integer(struct span value, int64_t *ret);

#endif
