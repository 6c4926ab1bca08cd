/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_known.h"
#include <stdlib.h>
#include <string.h>

static unsigned set_of(struct span block)
{
	uint64_t word, hash = block.len;
	size_t at = 0;

	for (; block.len - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, block.ptr + at, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, block.ptr + at, block.len - at);
	hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
	return (unsigned)(hash >> 61) % H2_KNOWN_SETS;
}

const struct h2_facts *h2_known_find(const struct h2_known *k, struct span block)
{
	const struct h2_known_block *b;

	if (!k->set || block.len == 0 || block.len > H2_KNOWN_LEN)
		return NULL;
	b = k->set->blocks[set_of(block)];
	for (unsigned i = 0; i < H2_KNOWN_WAYS; i++)
		if (b[i].len == block.len && memcmp(b[i].bytes, block.ptr, block.len) == 0)
			return &b[i].facts;
	return NULL;
}

static void release(const struct h2_known *k, struct h2_known_block *b)
{
	if (b->facts.kept)
		k->release(k->ctx, b->facts.kept);
	b->facts.kept = NULL;
}

bool h2_known_add(struct h2_known *k, struct span block, const struct h2_facts *facts)
{
	struct h2_known_block *b;
	unsigned set;

	if (k->off || block.len == 0 || block.len > H2_KNOWN_LEN || h2_known_find(k, block))
		return false;
	if (!k->set)
		k->set = calloc(1, sizeof(*k->set));
	if (!k->set)
		return false;
	set = set_of(block);
	b = &k->set->blocks[set][k->set->next[set]];
	k->set->next[set] = (uint8_t)((k->set->next[set] + 1) % H2_KNOWN_WAYS);
	release(k, b);
	b->facts = *facts;
	b->len = (uint8_t)block.len;
	memcpy(b->bytes, block.ptr, block.len);
	return true;
}

void h2_known_forget(struct h2_known *k)
{
	for (unsigned i = 0; k->set && i < H2_KNOWN_SETS; i++)
		for (unsigned j = 0; j < H2_KNOWN_WAYS; j++)
			release(k, &k->set->blocks[i][j]);
	free(k->set);
	k->set = NULL;
}

void h2_known_off(struct h2_known *k)
{
	h2_known_forget(k);
	k->off = true;
}
