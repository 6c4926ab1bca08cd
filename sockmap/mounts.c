/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sluice/array.h"
#include "mounts.h"

/* The mounts that are ours: a link in the run directory names the mount point. */
static const struct {
	const char *type, *note;
} ours[] = {
	{ "bpf", MOUNTS_RUN_DIR "/.mounted-bpf" },
	{ "cgroup2", MOUNTS_RUN_DIR "/.mounted-cgroup2" },
};

/* mountinfo writes blanks and backslashes as three octal digits. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
		    from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static int copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(to, from, len + 1);
	return 0;
}

/* "36 35 98:0 /root /point rw,noatime master:1 - type source options" */
static int parse_line(char *line, struct mount_entry *ret)
{
	char *fields[6], *save = NULL, *dash = strstr(line, " - "), *type;

	if (!dash)
		return -EINVAL;
	*dash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!fields[i])
			return -EINVAL;
	}
	type = strtok_r(dash + 3, " ", &save);
	if (!type)
		return -EINVAL;
	unescape(fields[3]);
	unescape(fields[4]);
	ret->read_only = strncmp(fields[5], "ro", 2) == 0;
	if (copy(ret->type, sizeof(ret->type), type) < 0 ||
	    copy(ret->root, sizeof(ret->root), fields[3]) < 0 ||
	    copy(ret->point, sizeof(ret->point), fields[4]) < 0)
		return -ENAMETOOLONG;
	return 0;
}

int mounts_each(int (*on_entry)(void *ctx, const struct mount_entry *m), void *ctx)
{
	struct mount_entry *m;
	char *line = NULL;
	size_t size = 0;
	FILE *f;
	int r = 0;

	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return -errno;
	m = malloc(sizeof(*m));
	if (!m)
		r = -ENOMEM;
	while (r == 0 && getline(&line, &size, f) > 0)
		if (parse_line(line, m) == 0)
			r = on_entry(ctx, m);
	/* No memory for a line is not the end: what follows must not be left out. */
	if (r == 0 && !feof(f))
		r = errno ? -errno : -EIO;
	free(m);
	free(line);
	fclose(f);
	return r;
}

int mounts_make_run_dir(void)
{
	struct stat st;

	if (mkdir(MOUNTS_RUN_DIR, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(MOUNTS_RUN_DIR, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	if ((st.st_mode & 0777) != 0700 && chmod(MOUNTS_RUN_DIR, 0700) < 0)
		return -errno;
	return 0;
}

struct find_bpffs {
	char *path;
	size_t size;
};

static int on_bpffs(void *ctx, const struct mount_entry *m)
{
	struct find_bpffs *find = ctx;

	if (strcmp(m->type, "bpf") != 0 || m->read_only || access(m->point, W_OK) < 0)
		return 0;
	return copy(find->path, find->size, m->point) < 0 ? 0 : 1;
}

int mounts_bpffs(char *path, size_t size)
{
	struct find_bpffs find = { path, size };
	const char *point = "/sys/fs/bpf";
	int r;

	r = mounts_each(on_bpffs, &find);
	if (r != 0)
		return r < 0 ? r : 0;
	if (access(point, F_OK) < 0)
		point = MOUNTS_RUN_DIR "/bpf";
	r = mounts_make("bpf", point);
	if (r < 0)
		return r;
	return copy(path, size, point);
}

int mounts_make(const char *type, const char *point)
{
	const char *note = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strcmp(ours[i].type, type) == 0)
			note = ours[i].note;
	if (!note)
		return -EINVAL;
	r = mounts_make_run_dir();
	if (r < 0)
		return r;
	if (mkdir(point, 0700) < 0 && errno != EEXIST)
		return -errno;
	unlink(note);
	if (symlink(point, note) < 0)
		return -errno;
	/* bpffs: for root only; cgroup2 takes no such option. */
	if (mount("none", point, type, MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME,
		  strcmp(type, "bpf") == 0 ? "mode=0700" : NULL) < 0) {
		r = -errno;
		unlink(note);
		return r;
	}
	return 0;
}

/* The kernel itself puts two files into every bpffs. */
static int is_furniture(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       strcmp(name, "maps.debug") == 0 || strcmp(name, "progs.debug") == 0;
}

static int is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int empty = 1;

	if (!dir)
		return 0;
	while (empty && (e = readdir(dir)))
		empty = is_furniture(e->d_name);
	closedir(dir);
	return empty;
}

/* A view of the cgroup tree is never empty, and to unmount it removes nothing. */
void mounts_undo(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		char point[256];
		ssize_t n = readlink(ours[i].note, point, sizeof(point) - 1);

		if (n < 0)
			continue;
		point[n] = '\0';
		if (strcmp(ours[i].type, "bpf") == 0 && !is_empty(point))
			continue;
		if (umount2(point, UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
			continue; /* in use */
		unlink(ours[i].note);
		if (strncmp(point, MOUNTS_RUN_DIR "/", sizeof(MOUNTS_RUN_DIR)) == 0)
			rmdir(point);
	}
}
