// SPDX-License-Identifier: Apache-2.0
#include "matcher.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static void bitmap_set(uint64_t *bits, size_t at)
{
	bits[at / 64] |= UINT64_C(1) << (at % 64);
}

static bool bitmap_has(const uint64_t *bits, size_t at)
{
	return bits[at / 64] >> (at % 64) & 1;
}

/* So that a string and a prefix of the same text have different hashes. */
#define PREFIX_MARK UINT64_C(0x5bd1e995)

void hits_done(struct hits *h)
{
	free(h->ids);
	free(h->stamps);
}

int hits_init(struct hits *h, size_t highest)
{
	if (highest < h->size)
		return 0;
	hits_done(h);
	h->n = 0;
	h->size = highest + 1;
	h->ids = calloc(h->size, sizeof(*h->ids));
	h->stamps = calloc(h->size, sizeof(*h->stamps));
	h->round = 1;
	return h->ids && h->stamps ? 0 : -ENOMEM;
}

void hits_clear(struct hits *h)
{
	h->n = 0;
	if (++h->round == 0) {
		memset(h->stamps, 0, h->size * sizeof(*h->stamps));
		h->round = 1;
	}
}

void hits_stamp(struct hits *h)
{
	for (size_t i = h->n == HITS_FEW + 1 ? 0 : h->n - 1; i < h->n; i++)
		h->stamps[h->ids[i]] = h->round;
}

static uint64_t pattern_hash(const struct pattern *pat)
{
	return hash_final(hash_bytes(HASH_START, &pat->id, sizeof(pat->id)));
}

uint32_t matcher_number(const struct matcher *m, const struct pattern *pat)
{
	size_t at = 0;
	uint32_t i;

	if (!pat)
		return 0;
	while ((i = hash_table_next(&m->local, pattern_hash(pat), &at)) != HASH_NONE)
		if (m->patterns[i] == pat)
			return i;
	return 0;
}

uint32_t matcher_add(struct matcher *m, struct arena *keep, const struct pattern *pat)
{
	uint32_t i = matcher_number(m, pat);
	const struct pattern **patterns;

	if (!pat || i)
		return i;
	patterns = arena_extend(keep, m->patterns, m->n ? m->n + 1 : 0, sizeof(*patterns));
	if (!patterns)
		return UINT32_MAX;
	m->patterns = patterns;
	if (hash_table_add(&m->local, keep, pattern_hash(pat), (uint32_t)m->n + 1) < 0)
		return UINT32_MAX;
	m->patterns[++m->n] = pat;
	return (uint32_t)m->n;
}

static uint64_t entry_hash(uint64_t running, bool prefix)
{
	return hash_final(prefix ? running ^ PREFIX_MARK : running);
}

static struct matcher_entry *find_entry(const struct matcher *m, uint64_t running, struct span text,
					bool prefix)
{
	uint64_t hash = entry_hash(running, prefix);
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&m->table, hash, &at)) != HASH_NONE) {
		struct matcher_entry *e = &m->entries[i];

		if (e->prefix == prefix && span_eq((struct span){ e->text, e->len }, text))
			return e;
	}
	return NULL;
}

static struct matcher_entry *new_entry(struct matcher *m, struct arena *keep, uint64_t running,
				       struct span text, bool prefix)
{
	struct matcher_entry *entries, *e;

	if (text.len > UINT32_MAX)
		return NULL;
	entries = arena_extend(keep, m->entries, m->n_entries, sizeof(*entries));
	if (!entries)
		return NULL;
	m->entries = entries;
	if (hash_table_add(&m->table, keep, entry_hash(running, prefix), (uint32_t)m->n_entries) <
	    0)
		return NULL;
	e = &m->entries[m->n_entries++];
	*e = (struct matcher_entry){ .text = text.ptr,
				     .len = (uint32_t)text.len,
				     .prefix = prefix };
	if (prefix && text.len > m->longest)
		m->longest = text.len;
	return e;
}

static struct matcher_entry *get_entry(struct matcher *m, struct arena *keep, struct span text,
				       bool prefix)
{
	uint64_t running = hash_bytes(HASH_START, text.ptr, text.len);
	struct matcher_entry *e = find_entry(m, running, text, prefix);

	return e ? e : new_entry(m, keep, running, text, prefix);
}

static int add_further(struct matcher_entry *e, struct arena *keep, uint32_t id)
{
	uint32_t *list = e->n_ids > 1 ? e->ids : NULL, first = e->id;

	if (!list) {
		list = arena_extend(keep, NULL, 0, sizeof(*list));
		if (!list)
			return -ENOMEM;
		list[0] = first;
	}
	list = arena_extend(keep, list, e->n_ids, sizeof(*list));
	if (!list)
		return -ENOMEM;
	list[e->n_ids++] = id;
	e->ids = list;
	return 0;
}

static int add_literal(struct matcher *m, struct arena *keep, const struct regex_literal *lit,
		       uint32_t id)
{
	struct matcher_entry *e = get_entry(m, keep, lit->text, lit->prefix);

	if (!e)
		return -ENOMEM;
	if (e->n_ids == 0) {
		e->id = id;
		e->n_ids = 1;
		return 0;
	}
	return add_further(e, keep, id);
}

static int note_prefixes(struct matcher *m, struct arena *keep)
{
	m->lengths = arena_alloc(keep, (m->longest / 64 + 1) * sizeof(*m->lengths));
	if (!m->lengths)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_entries; i++) {
		const struct matcher_entry *e = &m->entries[i];

		if (!e->prefix)
			continue;
		bitmap_set(m->lengths, e->len);
		if (e->len > 0)
			bitmap_set(m->ends, (unsigned char)e->text[e->len - 1]);
	}
	return 0;
}

struct matcher_entry *matcher_prefix_entry(struct matcher *m, struct arena *keep,
					   struct span prefix)
{
	return get_entry(m, keep, prefix, true);
}

int matcher_build(struct matcher *m, struct arena *keep, struct automata *automata,
		  const char **why)
{
	int r;

	for (size_t i = 1; i <= m->n; i++)
		for (size_t j = 0; j < m->patterns[i]->n_literals; j++)
			if (add_literal(m, keep, &m->patterns[i]->literals[j], (uint32_t)i) < 0)
				return -ENOMEM;
	r = matcher_fill_buckets(m, keep, automata, why);
	return r < 0 ? r : note_prefixes(m, keep);
}

struct search {
	struct span value;
	hs_scratch_t *scratch;
	struct hits *hits;
	const struct matcher_bucket *bucket; /* that is scanned */
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
		    void *arg)
{
	const struct search *s = arg;

	hits_add(s->hits, s->bucket->ids[id]);
	return 0;
}

/* When libhs fails, what it would have found is missing: nothing is allowed by it. */
static void scan(struct search *s, const struct matcher_bucket *bucket)
{
	s->bucket = bucket;
	if (s->value.len <= UINT_MAX)
		(void)hs_scan(automaton_database(bucket->automaton),
			      s->value.len ? s->value.ptr : "", (unsigned)s->value.len, 0,
			      s->scratch, on_match, s);
}

static void add_entry_hits(const struct matcher_entry *e, struct hits *hits)
{
	if (e && e->n_ids == 1)
		hits_add(hits, e->id);
	for (size_t i = 0; e && e->n_ids > 1 && i < e->n_ids; i++)
		hits_add(hits, e->ids[i]);
}

/* Is there a prefix of that length that ends like the first LEN bytes of VALUE? Most are told apart
 * by this, without a look at the table. */
static bool may_be_prefix(const struct matcher *m, struct span value, size_t len)
{
	return bitmap_has(m->lengths, len) &&
	       (len == 0 || bitmap_has(m->ends, (unsigned char)value.ptr[len - 1]));
}

static void find_entries(const struct matcher *m, struct search *s)
{
	struct span value = s->value;
	/* "." does not match a newline: a prefix counts only if no newline is behind it. */
	const char *newline = value.len ? memrchr(value.ptr, '\n', value.len) : NULL;
	size_t from = newline ? (size_t)(newline - value.ptr) + 1 : 0;
	size_t last = value.len < m->longest ? value.len : m->longest;
	uint64_t running = HASH_START;

	for (size_t len = 0; len <= last; len++) {
		const struct matcher_entry *e = NULL;

		if (len > 0)
			running = hash_byte(running, (unsigned char)value.ptr[len - 1]);

		if (may_be_prefix(m, value, len))
			e = find_entry(m, running, (struct span){ value.ptr, len }, true);
		if (e && len >= from)
			add_entry_hits(e, s->hits);
		if (e && e->bucket)
			scan(s, e->bucket);
	}
	if (last < value.len)
		running = hash_bytes(running, value.ptr + last, value.len - last);
	add_entry_hits(find_entry(m, running, value, false), s->hits);
}

void matcher_find(const struct matcher *m, struct span value, hs_scratch_t *scratch,
		  struct hits *hits)
{
	struct search s = { .value = value, .scratch = scratch, .hits = hits };

	hits_clear(hits);
	if (m->n_entries)
		find_entries(m, &s);
}

int matcher_scratch(const struct matcher *m, hs_scratch_t **scratch)
{
	for (size_t i = 0; i < m->n_buckets; i++)
		if (hs_alloc_scratch(automaton_database(m->buckets[i]->automaton), scratch) !=
		    HS_SUCCESS)
			return -ENOMEM;
	return 0;
}
