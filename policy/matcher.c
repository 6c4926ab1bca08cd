// SPDX-License-Identifier: Apache-2.0
#include "matcher.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* So that a string and a prefix of the same text have different hashes. */
#define PREFIX_MARK UINT64_C(0x5bd1e995)

int hits_init(struct hits *h, size_t highest)
{
	h->size = highest + 1;
	h->ids = calloc(h->size, sizeof(*h->ids));
	h->stamps = calloc(h->size, sizeof(*h->stamps));
	h->round = 1;
	return h->ids && h->stamps ? 0 : -ENOMEM;
}

void hits_done(struct hits *h)
{
	free(h->ids);
	free(h->stamps);
}

void hits_clear(struct hits *h)
{
	h->n = 0;
	if (++h->round == 0) {
		memset(h->stamps, 0, h->size * sizeof(*h->stamps));
		h->round = 1;
	}
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

		if (e->prefix == prefix && span_eq(e->text, text))
			return e;
	}
	return NULL;
}

static struct matcher_entry *new_entry(struct matcher *m, struct arena *keep, uint64_t running,
				       const struct regex_literal *lit)
{
	struct matcher_entry *entries, *e;

	entries = arena_extend(keep, m->entries, m->n_entries, sizeof(*entries));
	if (!entries)
		return NULL;
	m->entries = entries;
	if (hash_table_add(&m->table, keep, entry_hash(running, lit->prefix),
			   (uint32_t)m->n_entries) < 0)
		return NULL;
	e = &m->entries[m->n_entries++];
	*e = (struct matcher_entry){ .text = lit->text, .prefix = lit->prefix };
	if (lit->prefix && lit->text.len > m->longest)
		m->longest = lit->text.len;
	return e;
}

static int add_literal(struct matcher *m, struct arena *keep, const struct regex_literal *lit,
		       uint32_t id)
{
	uint64_t running = hash_bytes(HASH_START, lit->text.ptr, lit->text.len);
	struct matcher_entry *e = find_entry(m, running, lit->text, lit->prefix);
	uint32_t *ids;

	if (!e)
		e = new_entry(m, keep, running, lit);
	if (!e)
		return -ENOMEM;
	ids = arena_extend(keep, e->ids, e->n_ids, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	e->ids = ids;
	e->ids[e->n_ids++] = id;
	return 0;
}

static int note_lengths(struct matcher *m, struct arena *keep)
{
	m->lengths = arena_alloc(keep, (m->longest / 64 + 1) * sizeof(*m->lengths));
	if (!m->lengths)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_entries; i++) {
		size_t len = m->entries[i].text.len;

		if (m->entries[i].prefix)
			m->lengths[len / 64] |= UINT64_C(1) << (len % 64);
	}
	return 0;
}

static int compile_expressions(struct matcher *m, struct arena *keep, const char **texts,
			       unsigned *ids, unsigned *flags, const char **why)
{
	hs_compile_error_t *err = NULL;
	unsigned n = 0;
	hs_error_t r;

	for (size_t i = 1; i <= m->n; i++) {
		if (!m->patterns[i]->expression)
			continue;
		texts[n] = m->patterns[i]->expression;
		ids[n] = (unsigned)i;
		flags[n++] = PATTERN_HS_FLAGS;
	}
	if (n == 0)
		return 0;
	r = hs_compile_multi(texts, flags, ids, n, HS_MODE_BLOCK, NULL, &m->db, &err);
	if (r == HS_SUCCESS)
		return 0;
	if (r != HS_COMPILER_ERROR || !err)
		return -ENOMEM;
	*why = arena_printf(keep, "the regular expressions cannot be used together: %s",
			    err->message);
	hs_free_compile_error(err);
	return *why ? -EINVAL : -ENOMEM;
}

static int build_expressions(struct matcher *m, struct arena *keep, const char **why)
{
	const char **texts = calloc(m->n + 1, sizeof(*texts));
	unsigned *ids = calloc(m->n + 1, sizeof(*ids));
	unsigned *flags = calloc(m->n + 1, sizeof(*flags));
	int r = -ENOMEM;

	if (texts && ids && flags)
		r = compile_expressions(m, keep, texts, ids, flags, why);
	free(texts);
	free(ids);
	free(flags);
	return r;
}

int matcher_build(struct matcher *m, struct arena *keep, const char **why)
{
	for (size_t i = 1; i <= m->n; i++)
		for (size_t j = 0; j < m->patterns[i]->n_literals; j++)
			if (add_literal(m, keep, &m->patterns[i]->literals[j], (uint32_t)i) < 0)
				return -ENOMEM;
	if (note_lengths(m, keep) < 0)
		return -ENOMEM;
	return build_expressions(m, keep, why);
}

static void add_entry_hits(const struct matcher_entry *e, struct hits *hits)
{
	for (size_t i = 0; e && i < e->n_ids; i++)
		hits_add(hits, e->ids[i]);
}

static void find_literals(const struct matcher *m, struct span value, struct hits *hits)
{
	/* "." does not match a newline: a prefix counts only if no newline is behind it. */
	const char *newline = value.len ? memrchr(value.ptr, '\n', value.len) : NULL;
	size_t from = newline ? (size_t)(newline - value.ptr) + 1 : 0;
	uint64_t running = HASH_START;

	for (size_t len = 0;; len++) {
		if (len <= m->longest && len >= from && m->lengths[len / 64] >> (len % 64) & 1)
			add_entry_hits(find_entry(m, running, (struct span){ value.ptr, len },
						  true),
				       hits);
		if (len == value.len)
			break;
		running = hash_byte(running, (unsigned char)value.ptr[len]);
	}
	add_entry_hits(find_entry(m, running, value, false), hits);
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
		    void *hits)
{
	hits_add(hits, id);
	return 0;
}

void matcher_find(const struct matcher *m, struct span value, hs_scratch_t *scratch,
		  struct hits *hits)
{
	hits_clear(hits);
	if (m->n == 0)
		return;
	if (m->n_entries)
		find_literals(m, value, hits);
	/* When libhs fails, what it would have found is missing: nothing is allowed by it. */
	if (m->db && value.len <= UINT_MAX)
		(void)hs_scan(m->db, value.len ? value.ptr : "", (unsigned)value.len, 0, scratch,
			      on_match, hits);
}

int matcher_scratch(const struct matcher *m, hs_scratch_t **scratch)
{
	return !m->db || hs_alloc_scratch(m->db, scratch) == HS_SUCCESS ? 0 : -ENOMEM;
}

void matcher_done(struct matcher *m)
{
	hs_free_database(m->db);
	m->db = NULL;
}
