/* SPDX-License-Identifier: Apache-2.0 */
#include "watch_guard.h"
#include <errno.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static bool in_group(const struct watch_guard *g, gid_t gid)
{
	for (size_t i = 0; i < g->n_groups; i++)
		if (g->groups[i] == gid)
			return true;
	return false;
}

/* With an ACL the group's bits bound what it gives to anybody. */
static bool may_write(const struct watch_guard *g, const char *path, const struct stat *st)
{
	if (S_ISLNK(st->st_mode))
		return false;
	if (st->st_uid == g->uid || (st->st_mode & S_IWOTH))
		return true;
	return (st->st_mode & S_IWGRP) &&
	       (in_group(g, st->st_gid) || lgetxattr(path, "system.posix_acl_access", NULL, 0) > 0);
}

bool watch_guard_adds(const struct watch_guard *g, const char *dir)
{
	struct stat st;

	return g && (g->uid == 0 || lstat(dir, &st) < 0 || may_write(g, dir, &st));
}

bool watch_guard_breaks(const struct watch_guard *g, const char *dir, const char *path)
{
	struct stat at, entry;

	if (!g)
		return false;
	if (g->uid == 0 || lstat(dir, &at) < 0)
		return true;
	if (lstat(path, &entry) < 0)
		return errno != ENOENT || may_write(g, dir, &at);
	if (S_ISREG(entry.st_mode) && may_write(g, path, &entry))
		return true;
	if (!may_write(g, dir, &at))
		return false;
	/* As in /tmp: what belongs to others stays. */
	return !(at.st_mode & S_ISVTX) || at.st_uid == g->uid || entry.st_uid == g->uid;
}
