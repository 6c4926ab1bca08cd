/* SPDX-License-Identifier: Apache-2.0 */
/* error.h - one sentence for a human: what is wrong, and what to do about it.
 *
 * For start-up and configuration errors, beside the negative errno that the function returns. The
 * sentence has no trailing period or newline. */
#ifndef SLUICE_ERROR_H
#define SLUICE_ERROR_H

#include <stdarg.h>
#include <stdio.h>

struct error {
	char text[512];
};

__attribute__((format(printf, 2, 3))) static inline void error_set(struct error *err,
								   const char *format, ...)
{
	va_list ap;

	if (!err)
		return;
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
}

#endif
