/* SPDX-License-Identifier: Apache-2.0 */
#include "denials.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "sluice/fnv.h"

#define TABLE_SIZE 4096 /* a power of two, well over DENIALS_MAX */

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

static const char *word_for(bool audited)
{
	return audited ? "would have denied" : "denied";
}

static void add(struct denials *d, bool audited, const char *text, size_t len, uint64_t count)
{
	uint64_t hash = hash_bytes(HASH_START, text, len) + audited;
	size_t at = hash % TABLE_SIZE;
	struct denial *entry;
	char *copy;

	if (prepare(d) < 0) {
		add_other(d, audited, count);
		return;
	}
	for (; d->table[at]; at = (at + 1) % TABLE_SIZE) {
		entry = &d->entries[d->table[at] - 1];
		if (entry->hash == hash && entry->audited == audited &&
		    strlen(entry->text) == len && memcmp(entry->text, text, len) == 0) {
			entry->count += count;
			return;
		}
	}
	copy = d->n < DENIALS_MAX ? strndup(text, len) : NULL;
	if (!copy) {
		add_other(d, audited, count);
		return;
	}
	d->entries[d->n] = (struct denial){ count, hash, copy, audited };
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

static void add_prefixed(struct denials *d, const struct denial *from, const char *prefix)
{
	size_t before = strlen(prefix), len = strlen(from->text);
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
	d->n = 0;
}
