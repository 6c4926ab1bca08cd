// SPDX-License-Identifier: Apache-2.0
#include "automaton.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS (HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY)

struct automaton {
	atomic_uint refs;
	hs_database_t *db;
	uint64_t hash;
	size_t key_len;
	char key[]; /* the expressions, each with a NUL behind it */
};

static struct automaton *automaton_new(const char *const *expressions, size_t n)
{
	struct automaton *a;
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += strlen(expressions[i]) + 1;
	a = calloc(1, sizeof(*a) + len);
	if (!a)
		return NULL;
	atomic_init(&a->refs, 1);
	for (size_t i = 0; i < n; i++) {
		size_t one = strlen(expressions[i]) + 1;

		memcpy(a->key + a->key_len, expressions[i], one);
		a->key_len += one;
	}
	a->hash = hash_final(hash_bytes(HASH_START, a->key, a->key_len));
	return a;
}

static void automaton_unref(struct automaton *a)
{
	if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
		return;
	hs_free_database(a->db);
	free(a);
}

const hs_database_t *automaton_database(const struct automaton *a)
{
	return a->db;
}

static int fail(struct automata *all, hs_compile_error_t *err, hs_error_t r, const char **why)
{
	/* That memory ran out is an error of the compiler's as well: only errno tells. */
	*why = err && r == HS_COMPILER_ERROR && errno != ENOMEM
		       ? arena_copy(all->keep, err->message, strlen(err->message))
		       : NULL;
	hs_free_compile_error(err);
	return *why ? -EINVAL : -ENOMEM;
}

static int compile(struct automata *all, struct automaton *a, const char *const *expressions,
		   size_t n, const char **why)
{
	unsigned *ids = calloc(n, sizeof(*ids)), *flags = calloc(n, sizeof(*flags));
	hs_compile_error_t *err = NULL;
	hs_error_t r;

	if (!ids || !flags) {
		free(ids);
		free(flags);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		ids[i] = (unsigned)i;
		flags[i] = FLAGS;
	}
	errno = 0;
	r = hs_compile_multi(expressions, flags, ids, (unsigned)n, HS_MODE_BLOCK, NULL, &a->db,
			     &err);
	free(ids);
	free(flags);
	if (r != HS_SUCCESS)
		return fail(all, err, r, why);
	all->compiled++;
	return 0;
}

static size_t find(const struct automata *all, const struct automaton *like)
{
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&all->index, like->hash, &at)) != HASH_NONE) {
		const struct automaton *a = all->items[i].automaton;

		if (a && a->key_len == like->key_len && memcmp(a->key, like->key, a->key_len) == 0)
			return i;
	}
	return SIZE_MAX;
}

/* A place in the index from which something was dropped, or a new one. SIZE_MAX: no memory. */
static size_t find_place(struct automata *all, uint64_t hash)
{
	struct automata_item *items;
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&all->index, hash, &at)) != HASH_NONE)
		if (!all->items[i].automaton)
			return i;
	items = arena_extend(all->keep, all->items, all->n, sizeof(*items));
	if (!items)
		return SIZE_MAX;
	all->items = items;
	items[all->n].automaton = NULL;
	if (hash_table_add(&all->index, all->keep, hash, (uint32_t)all->n) < 0)
		return SIZE_MAX;
	return all->n++;
}

/* Takes the reference, also when it fails. */
static int add(struct automata *all, struct automaton *a, size_t *at)
{
	*at = find_place(all, a->hash);
	if (*at == SIZE_MAX) {
		automaton_unref(a);
		return -ENOMEM;
	}
	all->items[*at] = (struct automata_item){ .automaton = a };
	return 0;
}

static struct automaton *automaton_ref(struct automaton *a)
{
	atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

int automata_take(struct automata *all, const struct automata *before)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < before->n; i++) {
		struct automaton *a = before->items[i].automaton;
		size_t at;

		if (!a)
			continue;
		r = add(all, automaton_ref(a), &at);
		if (r == 0)
			all->items[at].taken = true;
	}
	return r;
}

static void note_use(struct automata *all, size_t at)
{
	struct automata_item *item = &all->items[at];

	all->reused += item->taken && !item->used;
	item->used = true;
}

struct wanted {
	const char *const *expressions;
	size_t n;
	bool use;
	const char **why;
};

/* Where in ALL that one is which is like A, whose reference is taken: known, from the pool, or
 * compiled. */
static int obtain(struct automata *all, struct automaton *a, const struct wanted *w, size_t *at)
{
	size_t there;
	int r;

	*at = find(all, a);
	if (*at != SIZE_MAX) {
		automaton_unref(a);
		r = 0;
	} else if (all->pool) {
		r = obtain(all->pool, a, w, &there);
		if (r == 0)
			r = add(all, automaton_ref(all->pool->items[there].automaton), at);
	} else {
		r = compile(all, a, w->expressions, w->n, w->why);
		if (r < 0)
			automaton_unref(a);
		else
			r = add(all, a, at);
	}
	if (r == 0 && w->use)
		note_use(all, *at);
	return r;
}

int automata_get(struct automata *all, const char *const *expressions, size_t n, bool use,
		 const struct automaton **ret, const char **why)
{
	const struct wanted w = { .expressions = expressions, .n = n, .use = use, .why = why };
	struct automaton *a = automaton_new(expressions, n);
	size_t at;
	int r;

	if (!a)
		return -ENOMEM;
	r = obtain(all, a, &w, &at);
	if (r == 0)
		*ret = all->items[at].automaton;
	return r;
}

void automata_prune(struct automata *all)
{
	for (size_t i = 0; i < all->n; i++) {
		struct automata_item *item = &all->items[i];

		if (!item->automaton ||
		    (item->used &&
		     atomic_load_explicit(&item->automaton->refs, memory_order_relaxed) > 1))
			continue;
		automaton_unref(item->automaton);
		item->automaton = NULL;
	}
}

void automata_done(struct automata *all)
{
	for (size_t i = 0; i < all->n; i++)
		automaton_unref(all->items[i].automaton);
	all->n = 0;
}
