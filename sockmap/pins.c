/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "pins.h"

#define LINK_PREFIX "link_" /* as steer_attach() names them */

/* NULL and 0: there is no such directory of pins; NULL and a negative errno: it cannot be read. */
static DIR *open_pins(const char *path, int *error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct statfs fs;
	DIR *dir = NULL;

	if (fd < 0) {
		*error = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
		return NULL;
	}
	*error = fstatfs(fd, &fs) < 0 ? -errno : 0;
	if (*error == 0 && fs.f_type == BPF_FS_MAGIC) {
		dir = fdopendir(fd);
		if (dir)
			return dir;
		*error = -ENOMEM;
	}
	close(fd);
	return NULL;
}

static bool is_link(const struct dirent *e)
{
	return e->d_type == DT_REG && strncmp(e->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0;
}

/* A descriptor of the link, or a negative errno. */
static int open_link(DIR *dir, const char *name)
{
	char path[NAME_MAX + sizeof("/proc/self/fd//-2147483648")];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd(dir), name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

/* The kernel takes a link off its cgroup when the cgroup goes: then the id is 0. So it is for a
 * link to something else. */
static int link_cgroup(DIR *dir, const char *name, uint64_t *ret)
{
	struct bpf_link_info info;
	uint32_t size = sizeof(info);
	int fd = open_link(dir, name), r;

	if (fd < 0)
		return fd;
	memset(&info, 0, sizeof(info));
	r = bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ? -errno : 0;
	close(fd);
	*ret = info.type == BPF_LINK_TYPE_CGROUP ? info.cgroup.cgroup_id : 0;
	return r;
}

int pins_each_cgroup(const char *path, int (*on_cgroup)(void *ctx, uint64_t id), void *ctx)
{
	struct dirent *e;
	int r = 0;
	DIR *dir = open_pins(path, &r);

	if (!dir)
		return r;
	while (r == 0 && (e = readdir(dir))) {
		uint64_t id = 0;

		if (!is_link(e))
			continue;
		r = link_cgroup(dir, e->d_name, &id);
		if (r == 0 && id)
			r = on_cgroup(ctx, id);
	}
	closedir(dir);
	return r;
}

/* Whoever may write there can make links of others appear to be ours. */
static bool is_ours_alone(DIR *dir)
{
	struct stat st;

	return fstat(dirfd(dir), &st) == 0 && st.st_uid == geteuid() &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* When the last pin of a link goes, the kernel puts off the detaching (bpf_link_put() in
 * kernel/bpf/syscall.c): whoever connects at once after that would still be judged. */
static void detach(DIR *dir, const char *name)
{
	int fd = open_link(dir, name);

	if (fd < 0)
		return;
	bpf_link_detach(fd);
	close(fd);
}

int pins_remove(const char *path)
{
	char parent[1024];
	struct dirent *e;
	bool ours;
	int r = 0;
	DIR *dir = open_pins(path, &r);

	if (!dir)
		return r;
	ours = is_ours_alone(dir);
	while ((e = readdir(dir))) {
		if (e->d_type == DT_DIR)
			continue;
		if (ours && is_link(e))
			detach(dir, e->d_name);
		unlinkat(dirfd(dir), e->d_name, 0);
	}
	closedir(dir);
	if (rmdir(path) < 0)
		return -errno;
	if (snprintf(parent, sizeof(parent), "%s", path) < (int)sizeof(parent)) {
		*strrchr(parent, '/') = '\0';
		rmdir(parent); /* stays while another run pins there */
	}
	return 0;
}
