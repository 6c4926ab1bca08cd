/* SPDX-License-Identifier: Apache-2.0 */
/* diag.h - the errors found in policy files, all of them, each with its place, and what is legal
 * but surely not meant: warnings. */
#ifndef SLUICE_DIAG_H
#define SLUICE_DIAG_H

#include <stddef.h>
#include <stdio.h>

/* More errors than this are counted, but not kept; the same for warnings. */
#define DIAG_ITEMS_MAX 100

struct diag_item {
	char *file;
	unsigned line, column; /* counted from 1; 0 where there is none */
	char *message;	       /* what is wrong */
	char *hint;	       /* what was probably meant, or NULL */
};

/* Zero it before first use. */
struct diag {
	struct diag_item *items;
	size_t n;
	int oom;	/* an item was lost for lack of memory: the load must fail all the same */
	size_t dropped; /* errors beyond DIAG_ITEMS_MAX */
	struct diag_item *warnings; /* a load succeeds with them */
	size_t n_warnings, dropped_warnings;
};

/* "file:line:column: what is wrong; what was probably meant", a line each, in order of place;
 * warnings come last, with "warning: " behind the place. Control characters from the files are
 * escaped. */
void diag_print(const struct diag *d, FILE *to);
void diag_done(struct diag *d);

/* How many errors there were, also those that were dropped. */
static inline size_t diag_count(const struct diag *d)
{
	return d->n + d->dropped;
}

/* For those who fill it. Returns the new item, or NULL when it was dropped or memory ran out. */
__attribute__((format(printf, 5, 6))) struct diag_item *
diag_add(struct diag *d, const char *file, unsigned line, unsigned column, const char *format, ...);

/* The same for a warning. */
__attribute__((format(printf, 5, 6))) struct diag_item *diag_warn(struct diag *d, const char *file,
								  unsigned line, unsigned column,
								  const char *format, ...);

/* Give ITEM, which may be NULL, a hint. */
__attribute__((format(printf, 3, 4))) void diag_hint(struct diag *d, struct diag_item *item,
						     const char *format, ...);

/* Put the items from the FROM-th on into the order of their places. */
void diag_sort(struct diag *d, size_t from);

/* All warnings, by file and place. */
void diag_sort_warnings(struct diag *d);

#endif
