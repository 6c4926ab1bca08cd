/* SPDX-License-Identifier: Apache-2.0 */
/* pinned.h - what sluice has pinned on this machine, whoever did it, as far as the mounts of this
 * namespace show it: so that whoever removes it can tell that nothing is left. */
#ifndef SLUICE_PINNED_H
#define SLUICE_PINNED_H

#include <stdbool.h>

struct pinned {
	const char *dir; /* of one run or agent */
	unsigned n;	 /* links, maps */
	bool alive;	 /* it is that of a process that lives */
};

/* Call ON_PINNED for each until it returns other than 0; returns that, 0, or a negative errno.
 * Nobody comes, goes or cleans up meanwhile. */
int pinned_each(int (*on_pinned)(void *ctx, const struct pinned *p), void *ctx);

#endif
