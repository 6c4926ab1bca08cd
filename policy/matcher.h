/* SPDX-License-Identifier: Apache-2.0 */
/* matcher.h - which of many patterns match one value, in a time that follows its length.
 *
 * The patterns of one field (path, method or host) of one ruleset, numbered from 1; 0 stands for
 * "any". Strings and prefixes are in one hash table, whose hash is taken byte by byte, so that one
 * pass over the value asks for every prefix length that occurs, where the byte before it ends one.
 * Expressions are sorted into buckets by the string with which all begins that they match: only the
 * buckets that lie on the value's way are scanned, of which there are at most MATCHER_DEPTH_MAX.
 * Immutable after it is built. */
#ifndef SLUICE_MATCHER_H
#define SLUICE_MATCHER_H

#include <hs/hs.h>
#include "pattern.h"

#define MATCHER_FEW	  16 /* so many expressions are one bucket */
#define MATCHER_DEPTH_MAX 8  /* buckets whose prefixes begin with each other */

struct matcher_bucket {
	const struct automaton *automaton;
	uint32_t *ids; /* what it reports -> number of the pattern */
	size_t n;
};

/* Half a line of the cache: among many rules each request meets others, none of which is there. */
struct matcher_entry {
	const char *text;
	uint32_t len;
	uint32_t prefix : 1, n_ids : 31;
	union {
		uint32_t id; /* if there is one */
		uint32_t *ids;
	};
	const struct matcher_bucket *bucket; /* of what begins with TEXT, or NULL */
};

struct matcher {
	const struct pattern **patterns; /* [0] is unused */
	size_t n;			 /* highest number in use */
	struct hash_table local;	 /* while it is built: pattern id -> number */
	struct matcher_entry *entries;
	size_t n_entries;
	struct hash_table table;
	uint64_t *lengths; /* bitmap of the prefix lengths that occur */
	size_t longest;	   /* the greatest of them */
	uint64_t ends[4];  /* bitmap of the bytes with which prefixes end: mostly a slash */
	struct matcher_bucket **buckets;
	size_t n_buckets;
};

/* The numbers that were found, each once. A few are looked through, which needs no memory but
 * theirs; of more each has a stamp. */
#define HITS_FEW 8
struct hits {
	uint32_t *ids;
	size_t n;
	uint32_t *stamps; /* by number: the round in which it was found last, among many */
	uint32_t round;
	size_t size; /* numbers that fit */
};

/* The number of PAT in M, new or old; 0 for NULL, "any". UINT32_MAX when out of memory. */
uint32_t matcher_add(struct matcher *m, struct arena *keep, const struct pattern *pat);

/* The number of a pattern that is in M; 0 for NULL, and for one that is not. */
uint32_t matcher_number(const struct matcher *m, const struct pattern *pat);

/* Make *SCRATCH, which may be NULL, good for M as well. 0 or -ENOMEM. */
int matcher_scratch(const struct matcher *m, hs_scratch_t **scratch);

/* Make it ready. 0, -ENOMEM, or -EINVAL with *WHY in KEEP: libhs cannot hold all of them. The
 * automata have to outlive it. */
int matcher_build(struct matcher *m, struct arena *keep, struct automata *automata,
		  const char **why);

/* Of matcher_buckets.c, for matcher.c, and the other way round. */
int matcher_fill_buckets(struct matcher *m, struct arena *keep, struct automata *automata,
			 const char **why);
struct matcher_entry *matcher_prefix_entry(struct matcher *m, struct arena *keep,
					   struct span prefix);

void matcher_find(const struct matcher *m, struct span value, hs_scratch_t *scratch,
		  struct hits *hits);

/* H is zeroed, or smaller: what was found is forgotten then. */
int hits_init(struct hits *h, size_t highest);
void hits_done(struct hits *h);
void hits_clear(struct hits *h);
void hits_stamp(struct hits *h); /* what was added last, and what has no stamp yet */

static inline bool hits_has(const struct hits *h, uint32_t id)
{
	if (h->n > HITS_FEW)
		return id < h->size && h->stamps[id] == h->round;
	for (size_t i = 0; i < h->n; i++)
		if (h->ids[i] == id)
			return true;
	return false;
}

static inline void hits_add(struct hits *h, uint32_t id)
{
	if (id >= h->size || hits_has(h, id))
		return;
	h->ids[h->n++] = id;
	if (h->n > HITS_FEW)
		hits_stamp(h);
}

#endif
