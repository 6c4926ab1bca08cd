/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_HEX_H
#define SLUICE_HEX_H

/* The value of a hexadecimal digit, or -1, also for what is no character at all. */
static inline int hex_value(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c > 0 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

#endif
