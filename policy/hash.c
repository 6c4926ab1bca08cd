// SPDX-License-Identifier: Apache-2.0
#include "hash.h"

#include <errno.h>

#define FIRST_SLOTS 8

static void place(struct hash_table *t, uint32_t hash, uint32_t value)
{
	size_t at = hash & t->mask;

	while (t->slots[at].value)
		at = (at + 1) & t->mask;
	t->slots[at] = (struct hash_slot){ .hash = hash, .value = value };
}

static int grow(struct hash_table *t, struct arena *mem)
{
	struct hash_table old = *t;
	size_t size = old.slots ? (old.mask + 1) * 2 : FIRST_SLOTS;

	t->slots = arena_alloc(mem, size * sizeof(*t->slots));
	if (!t->slots) {
		*t = old;
		return -ENOMEM;
	}
	t->mask = size - 1;
	for (size_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i].value)
			place(t, old.slots[i].hash, old.slots[i].value);
	return 0;
}

int hash_table_add(struct hash_table *t, struct arena *mem, uint64_t hash, uint32_t value)
{
	if (!t->slots || t->n * 2 > t->mask) {
		int r = grow(t, mem);

		if (r < 0)
			return r;
	}
	place(t, hash_half(hash), value + 1);
	t->n++;
	return 0;
}
