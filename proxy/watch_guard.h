/* SPDX-License-Identifier: Apache-2.0 */
/* watch_guard.h - could a user change a file, or lead the way to it elsewhere? Who can would write
 * the policy that it is held to. By owners, modes and whether there is an ACL. */
#ifndef SLUICE_WATCH_GUARD_H
#define SLUICE_WATCH_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct watch_guard {
	uid_t uid; /* 0 can do everything */
	const gid_t *groups;
	size_t n_groups;
};

/* NULL for G stands for a user who can do nothing. */

/* Could the user replace the entry PATH of the directory DIR, or write to it? What cannot be looked
 * at counts as its; what is not there it could make only in a directory that it can write to. */
bool watch_guard_breaks(const struct watch_guard *g, const char *dir, const char *path);
/* Could the user add files to the directory DIR? */
bool watch_guard_adds(const struct watch_guard *g, const char *dir);

#endif
