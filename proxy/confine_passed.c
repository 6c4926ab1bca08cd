/* SPDX-License-Identifier: Apache-2.0 */
/* Open files that the command gets from whoever started sluice.
 *
 * A directory that was opened in the old mount namespace leads to every file as it is there,
 * cgroupfs writable. So it is opened again in the new one, or closed where its path does not lead
 * to it any more. Files of cgroupfs and bpffs, and rings of io_uring, are closed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "confine_private.h"

#define DIRS_AT_ONCE 8
#define RING	     "anon_inode:[io_uring]"

static bool must_go(int fd, const char *path)
{
	struct statfs fs;

	if (strcmp(path, RING) == 0)
		return true;
	return fstatfs(fd, &fs) == 0 && ((unsigned long)fs.f_type == CGROUP_SUPER_MAGIC ||
					 (unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC ||
					 (unsigned long)fs.f_type == BPF_FS_MAGIC);
}

static int remember(struct passed *p, int fd, const char *path, const struct stat *st)
{
	struct passed_dir *dirs = p->dirs;
	char *copy;

	if (p->n_dirs % DIRS_AT_ONCE == 0) {
		dirs = realloc(dirs, (p->n_dirs + DIRS_AT_ONCE) * sizeof(*dirs));
		if (!dirs)
			return -ENOMEM;
		p->dirs = dirs;
	}
	copy = strndup(path, PATH_MAX);
	if (!copy)
		return -ENOMEM;
	p->dirs[p->n_dirs++] = (struct passed_dir){
		.fd = fd,
		.flags = fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH | O_NOATIME),
		.path = copy,
		.device = st->st_dev,
		.inode = st->st_ino,
	};
	return 0;
}

static int consider(struct passed *p, int fd)
{
	char name[64], path[PATH_MAX];
	struct stat st;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof(path) - 1);
	if (n < 0 || fstat(fd, &st) < 0 || (fcntl(fd, F_GETFD) & FD_CLOEXEC))
		return 0;
	path[n] = '\0';
	if (S_ISDIR(st.st_mode) && !must_go(fd, path))
		return remember(p, fd, path, &st);
	if (must_go(fd, path))
		close(fd);
	return 0;
}

int confine_passed_prepare(struct passed *p, struct error *err)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		error_set(err, "cannot read /proc/self/fd: %s", strerror(-r));
		return r;
	}
	while (r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = consider(p, atoi(e->d_name));
	closedir(dir);
	if (r < 0)
		error_set(err, "out of memory");
	return r;
}

void confine_passed_done(struct passed *p)
{
	for (size_t i = 0; i < p->n_dirs; i++)
		free(p->dirs[i].path);
	free(p->dirs);
}

/* In the child. */
void confine_passed_reopen(const struct passed *p)
{
	for (size_t i = 0; i < p->n_dirs; i++) {
		const struct passed_dir *d = &p->dirs[i];
		int fd = open(d->path, d->flags | O_DIRECTORY | O_CLOEXEC);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != d->device ||
		    st.st_ino != d->inode || dup2(fd, d->fd) < 0)
			close(d->fd);
		if (fd >= 0)
			close(fd);
	}
}
