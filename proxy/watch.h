/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - notices that the content of some files or directories may have changed, however that is
 * done: written in place, replaced by a rename, by another target of a symlink anywhere on the way
 * to them, removed and made again.
 *
 * Watches the files themselves, and in every directory on the way the one name that matters. What
 * is watched is found anew by watch_set(), which has to be called before the files are read:
 * whatever happens after that call is noticed. One thread. What a file system does not tell the
 * kernel (NFS, changes by other machines) is not noticed. */
#ifndef SLUICE_WATCH_H
#define SLUICE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "watch_guard.h"

struct watch;

/* NULL when out of memory or descriptors; errno says which. */
struct watch *watch_new(void);
void watch_free(struct watch *w); /* accepts NULL */

/* From now on watch_set() also looks whether this user could change what is watched. GUARD has to
 * live as long. */
void watch_guard(struct watch *w, const struct watch_guard *guard);

/* Readable when there is news. */
int watch_fd(const struct watch *w);

/* Watch FILES, each a file or a directory of files, and the tree TREE (NULL: none) for anything in
 * it, and forget what was watched before. What is not there is watched for its coming. Returns 0 or
 * the first negative errno: -ENOSPC when there are no watches left (fs.inotify.max_user_watches),
 * -ENOMEM. Then less is watched. -EPERM: the user of watch_guard() could change it. */
int watch_set(struct watch *w, const char *const *files, size_t n, const char *tree);

enum watch_news {
	WATCH_NOTHING,	 /* that matters */
	WATCH_UNSETTLED, /* something is being written: more will come */
	WATCH_SETTLED,
};

/* Take the news that there are. */
enum watch_news watch_read(struct watch *w);

#endif
