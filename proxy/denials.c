/* SPDX-License-Identifier: Apache-2.0 */
#include "denials.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_SIZE 4096 /* a power of two, well over DENIALS_MAX */
#define ODD	   UINT64_C(0x9e3779b97f4a7c15)

static int prepare(struct denials *d)
{
	if (d->entries)
		return 0;
	d->entries = calloc(DENIALS_MAX, sizeof(*d->entries));
	d->table = calloc(TABLE_SIZE, sizeof(*d->table));
	if (d->entries && d->table)
		return 0;
	denials_done(d);
	return -1;
}

static void add_other(struct denials *d, bool audited, uint64_t count)
{
	if (audited)
		d->others_audited += count;
	else
		d->others += count;
}

/* Eight bytes at a time, since every denial makes its line to find that it is there. */
static uint64_t hash_line(const char *text, size_t len, bool audited)
{
	uint64_t hash = len * 2 + audited, word;

	for (; len > sizeof(word); text += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		hash = (hash ^ word) * ODD;
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, text, len);
	hash = (hash ^ word) * ODD;
	return hash ^ hash >> 32;
}

static const char *word_for(bool audited)
{
	return audited ? "would have denied" : "denied";
}

static void add(struct denials *d, bool audited, const char *text, size_t len, uint64_t count)
{
	uint64_t hash = hash_line(text, len, audited);
	size_t at = hash % TABLE_SIZE;
	struct denial *entry;
	char *copy;

	if (prepare(d) < 0) {
		add_other(d, audited, count);
		return;
	}
	for (; d->table[at]; at = (at + 1) % TABLE_SIZE) {
		entry = &d->entries[d->table[at] - 1];
		if (entry->hash == hash && entry->audited == audited && entry->len == len &&
		    memcmp(entry->text, text, len) == 0) {
			entry->count += count;
			return;
		}
	}
	copy = d->n < DENIALS_MAX ? strndup(text, len) : NULL;
	if (!copy) {
		add_other(d, audited, count);
		return;
	}
	d->entries[d->n] = (struct denial){ count, hash, copy, strlen(copy), audited };
	d->table[at] = (uint16_t)++d->n;
}

void denials_add_audited(struct denials *d, const char *text, size_t len, uint64_t count)
{
	add(d, true, text, len, count);
}

void denials_add(struct denials *d, const char *text, size_t len, uint64_t count)
{
	add(d, false, text, len, count);
}

void denials_merge(struct denials *into, const struct denials *from)
{
	for (unsigned i = 0; i < from->n; i++)
		add(into, from->entries[i].audited, from->entries[i].text, from->entries[i].len,
		    from->entries[i].count);
	into->others += from->others;
	into->others_audited += from->others_audited;
}

static void print_others(bool audited, uint64_t count, FILE *to)
{
	if (count > 0)
		fprintf(to, "%s %" PRIu64 "× others, not listed\n", word_for(audited), count);
}

void denials_print(const struct denials *d, FILE *to)
{
	for (unsigned i = 0; i < d->n; i++)
		fprintf(to, "%s %" PRIu64 "× %s\n", word_for(d->entries[i].audited),
			d->entries[i].count, d->entries[i].text);
	print_others(false, d->others, to);
	print_others(true, d->others_audited, to);
}

void denials_done(struct denials *d)
{
	for (unsigned i = 0; d->entries && i < d->n; i++)
		free(d->entries[i].text);
	free(d->entries);
	free(d->table);
	d->entries = NULL;
	d->table = NULL;
	d->n = 0;
}
