/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "pins.h"

#define LINK_PREFIX "link_" /* as steer_attach() names them */

/* Returns 1 and a directory, 0 when there is no such directory of pins, or a negative errno. */
static int open_pins(const char *path, DIR **ret)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r;
	struct statfs fs;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fstatfs(fd, &fs) < 0)
		r = -errno;
	else if (fs.f_type != BPF_FS_MAGIC)
		r = 0;
	else
		r = (*ret = fdopendir(fd)) ? 1 : -errno;
	if (r <= 0)
		close(fd);
	return r;
}

/* The kernel takes a link off its cgroup when the cgroup goes: then the id is 0. */
static int link_cgroup(const char *dir, const char *name, uint64_t *ret)
{
	struct bpf_link_info info;
	uint32_t size = sizeof(info);
	char path[1024];
	int fd, r;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	memset(&info, 0, sizeof(info));
	r = bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ? -errno : 0;
	close(fd);
	*ret = info.cgroup.cgroup_id;
	return r;
}

int pins_each_cgroup(const char *path, int (*on_cgroup)(void *ctx, uint64_t id), void *ctx)
{
	struct dirent *e;
	DIR *dir = NULL;
	int r;

	r = open_pins(path, &dir);
	if (r <= 0)
		return r;
	r = 0;
	while (r == 0 && (e = readdir(dir))) {
		uint64_t id = 0;

		if (strncmp(e->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
			continue;
		r = link_cgroup(path, e->d_name, &id);
		if (r == 0 && id)
			r = on_cgroup(ctx, id);
	}
	closedir(dir);
	return r;
}

int pins_remove(const char *path)
{
	char parent[1024];
	struct dirent *e;
	DIR *dir = NULL;
	int r;

	r = open_pins(path, &dir);
	if (r <= 0)
		return r;
	while ((e = readdir(dir)))
		if (e->d_type != DT_DIR)
			unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
	if (rmdir(path) < 0)
		return -errno;
	if (snprintf(parent, sizeof(parent), "%s", path) < (int)sizeof(parent)) {
		*strrchr(parent, '/') = '\0';
		rmdir(parent); /* stays while another run pins there */
	}
	return 0;
}
