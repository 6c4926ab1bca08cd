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
		const struct automaton *a = all->items[i];

		if (a && a->key_len == like->key_len && memcmp(a->key, like->key, a->key_len) == 0)
			return i;
	}
	return SIZE_MAX;
}

/* Takes the reference, also when it fails. */
static int add(struct automata *all, struct automaton *a)
{
	struct automaton **items = arena_extend(all->keep, all->items, all->n, sizeof(a));
	bool *used = arena_extend(all->keep, all->used, all->n, sizeof(*used));

	if (items)
		all->items = items;
	if (used)
		all->used = used;
	if (!items || !used ||
	    hash_table_add(&all->index, all->keep, a->hash, (uint32_t)all->n) < 0) {
		automaton_unref(a);
		return -ENOMEM;
	}
	all->used[all->n] = false;
	all->items[all->n++] = a;
	return 0;
}

/* The one that the policy before has, or a new one made of A, whose reference is taken. */
static int obtain(struct automata *all, struct automaton *a, const char *const *expressions,
		  size_t n, const char **why)
{
	size_t at = all->before ? find(all->before, a) : SIZE_MAX;
	int r;

	if (at != SIZE_MAX) {
		automaton_unref(a);
		a = all->before->items[at];
		atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
		all->reused++;
		return add(all, a);
	}
	r = compile(all, a, expressions, n, why);
	if (r == 0)
		return add(all, a);
	automaton_unref(a);
	return r;
}

int automata_get(struct automata *all, const char *const *expressions, size_t n, bool use,
		 const struct automaton **ret, const char **why)
{
	struct automaton *a = automaton_new(expressions, n);
	size_t at;
	int r;

	if (!a)
		return -ENOMEM;
	at = find(all, a);
	if (at != SIZE_MAX) {
		automaton_unref(a);
	} else {
		r = obtain(all, a, expressions, n, why);
		if (r < 0)
			return r;
		at = all->n - 1;
	}
	all->used[at] |= use;
	*ret = all->items[at];
	return 0;
}

void automata_prune(struct automata *all)
{
	for (size_t i = 0; i < all->n; i++) {
		if (all->used[i])
			continue;
		automaton_unref(all->items[i]);
		all->items[i] = NULL;
	}
}

void automata_done(struct automata *all)
{
	for (size_t i = 0; i < all->n; i++)
		automaton_unref(all->items[i]);
	all->n = 0;
}
