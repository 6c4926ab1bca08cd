/* SPDX-License-Identifier: Apache-2.0 */
/* denials.h - what was denied, each distinct thing once with its count: the summary at the end of a
 * run.
 *
 * One per thread and workload; merged when the threads have ended. Bounded: beyond DENIALS_MAX
 * distinct lines only their number is kept. Nothing here fails: without memory a denial is counted
 * among the others. */
#ifndef SLUICE_DENIALS_H
#define SLUICE_DENIALS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define DENIALS_MAX 1000

struct denial {
	uint64_t count, hash;
	char *text; /* escaped: safe for a terminal */
	size_t len;
	bool audited; /* it passed, and would have been denied */
};

/* Zero it before first use. */
struct denials {
	struct denial *entries; /* in the order of their first occurrence */
	uint16_t *table;	/* hash table of indices + 1 */
	unsigned n, room;
	uint64_t others, others_audited;
};

/* What would have been denied, in audit, is another line than what was. */
void denials_add_audited(struct denials *d, const char *text, size_t len, uint64_t count);
void denials_add(struct denials *d, const char *text, size_t len, uint64_t count);
/* Each line of FROM with PREFIX in front of it. */
void denials_merge(struct denials *into, const struct denials *from, const char *prefix);
/* "denied 3x <text>" or "would have denied 3x <text>", a line each, then how many others there
 * were. */
void denials_print(const struct denials *d, FILE *to);
void denials_done(struct denials *d);

#endif
