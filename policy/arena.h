/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - memory that is given back all at once.
 *
 * A policy is built in one go and dies in one go, so nothing in it is freed by itself. Zero the
 * struct before first use. Nothing here is thread-safe. */
#ifndef SLUICE_ARENA_H
#define SLUICE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
	bool wipe; /* there are secrets in it: it is cleared before it is given back */
};

/* Zeroed memory, aligned for any type. NULL when out of memory. */
void *arena_alloc(struct arena *a, size_t size);

/* A copy of LEN bytes with a NUL behind them. */
char *arena_copy(struct arena *a, const char *text, size_t len);

__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *a, const char *format, ...);

/* A list that grows by one element at a time: returns LIST, or a longer copy of it, with room for
 * one more than its N elements of SIZE bytes. The list must have been made by this function. */
void *arena_extend(struct arena *a, void *list, size_t n, size_t size);

void arena_done(struct arena *a);

#endif
