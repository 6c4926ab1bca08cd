/* SPDX-License-Identifier: Apache-2.0 */
#include "denials.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM  8
#define ODD	    UINT64_C(0x9e3779b97f4a7c15)
#define TABLE_SPARE 4 /* places in the table for each entry that there is room for */

/* Room is a power of two, and so is the table. */
static size_t place_of(const struct denials *d, uint64_t hash)
{
	return hash & ((size_t)d->room * TABLE_SPARE - 1);
}

static size_t next_place(const struct denials *d, size_t at)
{
	return (at + 1) & ((size_t)d->room * TABLE_SPARE - 1);
}

static void fill_table(struct denials *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		size_t at = place_of(d, d->entries[i].hash);

		while (d->table[at])
			at = next_place(d, at);
		d->table[at] = (uint16_t)(i + 1);
	}
}

/* Most workloads are denied little: each starts small. */
static bool make_room(struct denials *d)
{
	unsigned room = d->room ? 2 * d->room : FIRST_ROOM;
	struct denial *entries;
	uint16_t *table;

	if (d->n < d->room)
		return true;
	table = calloc((size_t)room * TABLE_SPARE, sizeof(*table));
	entries = table ? realloc(d->entries, room * sizeof(*entries)) : NULL;
	if (!entries) {
		free(table);
		return false;
	}
	free(d->table);
	d->entries = entries;
	d->table = table;
	d->room = room;
	fill_table(d);
	return true;
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

static struct denial *find(const struct denials *d, uint64_t hash, bool audited, const char *text,
			   size_t len)
{
	for (size_t at = place_of(d, hash); d->room && d->table[at]; at = next_place(d, at)) {
		struct denial *entry = &d->entries[d->table[at] - 1];

		if (entry->hash == hash && entry->audited == audited && entry->len == len &&
		    memcmp(entry->text, text, len) == 0)
			return entry;
	}
	return NULL;
}

static bool add_entry(struct denials *d, uint64_t hash, bool audited, const char *text, size_t len,
		      uint64_t count)
{
	char *copy = d->n < DENIALS_MAX && make_room(d) ? strndup(text, len) : NULL;
	size_t at;

	if (!copy)
		return false;
	at = place_of(d, hash);
	while (d->table[at])
		at = next_place(d, at);
	d->entries[d->n] = (struct denial){ count, hash, copy, strlen(copy), audited };
	d->table[at] = (uint16_t)++d->n;
	return true;
}

static void add(struct denials *d, bool audited, const char *text, size_t len, uint64_t count)
{
	uint64_t hash = hash_line(text, len, audited);
	struct denial *entry = find(d, hash, audited, text, len);

	if (entry)
		entry->count += count;
	else if (!add_entry(d, hash, audited, text, len, count))
		add_other(d, audited, count);
}

void denials_add_audited(struct denials *d, const char *text, size_t len, uint64_t count)
{
	add(d, true, text, len, count);
}

void denials_add(struct denials *d, const char *text, size_t len, uint64_t count)
{
	add(d, false, text, len, count);
}

static void add_prefixed(struct denials *d, const struct denial *from, const char *prefix)
{
	size_t before = strlen(prefix), len = from->len;
	char *text;

	if (before == 0) {
		add(d, from->audited, from->text, len, from->count);
		return;
	}
	text = malloc(before + len + 1);
	if (!text) {
		add_other(d, from->audited, from->count);
		return;
	}
	memcpy(text, prefix, before);
	memcpy(text + before, from->text, len + 1);
	add(d, from->audited, text, before + len, from->count);
	free(text);
}

void denials_merge(struct denials *into, const struct denials *from, const char *prefix)
{
	for (unsigned i = 0; i < from->n; i++)
		add_prefixed(into, &from->entries[i], prefix);
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
	d->n = d->room = 0;
}
