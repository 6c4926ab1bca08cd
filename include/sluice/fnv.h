/* SPDX-License-Identifier: Apache-2.0 */
/* fnv.h - FNV-1a with 64 bits, which can be taken byte by byte.
 *
 * Not keyed: whoever chooses the bytes can make collisions. For tables whose keys come from the
 * policy, or that are bounded. */
#ifndef SLUICE_FNV_H
#define SLUICE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_byte(uint64_t h, unsigned char c)
{
	return (h ^ c) * UINT64_C(0x100000001b3);
}

static inline uint64_t hash_bytes(uint64_t h, const void *bytes, size_t len)
{
	const unsigned char *b = bytes;

	for (size_t i = 0; i < len; i++)
		h = hash_byte(h, b[i]);
	return h;
}

#endif
