/* SPDX-License-Identifier: Apache-2.0 */
/* mounts.h - where cgroup2 and bpffs are, and the directory /run/sluice in which all that sluice
 * leaves in the file system can be found. */
#ifndef SLUICE_MOUNTS_H
#define SLUICE_MOUNTS_H

#include <stddef.h>

#define MOUNTS_RUN_DIR "/run/sluice"

struct mount_entry {
	char type[32];
	char root[4096];  /* what of the file system is shown */
	char point[4096]; /* where */
	int read_only;
};

/* Call ON_ENTRY for each mount of this namespace until it returns other than 0; returns that, or 0,
 * or a negative errno. */
int mounts_each(int (*on_entry)(void *ctx, const struct mount_entry *m), void *ctx);

/* Make MOUNTS_RUN_DIR, for root only. */
int mounts_make_run_dir(void);

/* Find a writable bpffs; where there is none, mount one. */
int mounts_bpffs(char *path, size_t size);

/* Mount a file system of TYPE on POINT and remember that we did; mounts_undo() unmounts what was so
 * mounted, if nothing is left in it. Call both under the global lock of run_state. */
int mounts_make(const char *type, const char *point);
void mounts_undo(void);

#endif
