/* SPDX-License-Identifier: Apache-2.0 */
/* diag.h - the errors found in policy files, all of them, each with its place. */
#ifndef SLUICE_DIAG_H
#define SLUICE_DIAG_H

#include <stddef.h>
#include <stdio.h>

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
	int oom; /* an item was lost for lack of memory: the load must fail all the same */
};

/* "file:line:column: what is wrong; what was probably meant", a line each, in order of place.
 * Control characters from the files are escaped. */
void diag_print(const struct diag *d, FILE *to);
void diag_done(struct diag *d);

#endif
