/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - a table of numbers by 64-bit hash.
 *
 * The keys of these tables come from the policy, never from the network, so that a request cannot
 * make a chain longer. */
#ifndef SLUICE_HASH_H
#define SLUICE_HASH_H

#include <stdint.h>
#include "arena.h"
#include "sluice/fnv.h"

/* FNV's low bits depend on few of the input's: spread them before they choose a slot. */
static inline uint64_t hash_final(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* Open addressing, at most half full. Several values may have one hash: the caller
 * compares. A value is an index of his, from 0. Of the hash only the better half is kept, so that a
 * large table takes fewer lines of the cache. */
struct hash_slot {
	uint32_t hash;
	uint32_t value; /* plus 1; 0: the slot is free */
};

struct hash_table {
	struct hash_slot *slots;
	size_t mask, n;
};

static inline uint32_t hash_half(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

/* Add to a table that was zeroed at first; it grows in MEM. 0 or -ENOMEM. */
int hash_table_add(struct hash_table *t, struct arena *mem, uint64_t hash, uint32_t value);

/* The next value of HASH, or HASH_NONE. Begin with *AT 0 and call again with the same AT for more.
 */
#define HASH_NONE UINT32_MAX
static inline uint32_t hash_table_next(const struct hash_table *t, uint64_t hash, size_t *at)
{
	uint32_t half = hash_half(hash);

	if (!t->slots)
		return HASH_NONE;
	for (;;) {
		const struct hash_slot *s = &t->slots[(half + (*at)++) & t->mask];

		if (s->value == 0)
			return HASH_NONE;
		if (s->hash == half)
			return s->value - 1;
	}
}

#endif
