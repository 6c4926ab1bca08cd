/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - whether bytes are text. */
#ifndef SLUICE_UTF8_H
#define SLUICE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* NULL if TEXT is UTF-8 without control characters other than tab, LF and CR. Else what is wrong,
 * and the place, counted from 1. */
const char *utf8_check(const char *text, size_t len, unsigned *line, unsigned *column);

/* How many bytes the code point at TEXT takes, stored in *CODE; 0 if it is not valid UTF-8. */
size_t utf8_decode(const char *text, size_t len, uint32_t *code);

/* Write CODE, at most 0x10ffff, to OUT and return how many bytes it took. */
size_t utf8_encode(uint32_t code, char out[4]);

#endif
