/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - what happened, as a line of text in a buffer of fixed size: what does not fit is cut.
 */
#ifndef SLUICE_TEST_TRACE_H
#define SLUICE_TEST_TRACE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include "require.h"

__attribute__((format(printf, 4, 0))) static inline void
trace_add(char *text, size_t size, size_t *len, const char *format, va_list ap)
{
	size_t room = size - *len;
	int n = vsnprintf(text + *len, room, format, ap);

	REQUIRE(n >= 0);
	*len += (size_t)n < room ? (size_t)n : room - 1;
}

#endif
