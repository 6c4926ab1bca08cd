/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent_state.h"
#include "mounts.h"
#include "pins.h"
#include "run_state_private.h"

#define GLOBAL_LOCK MOUNTS_RUN_DIR "/lock"

int run_state_lock(void)
{
	int fd, r;

	r = mounts_make_run_dir();
	if (r < 0)
		return r;
	fd = open(GLOBAL_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	do
		r = flock(fd, LOCK_EX) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

bool run_state_is_id(const char *text)
{
	size_t pid = strspn(text, "0123456789");
	size_t number = text[pid] == '-' ? strspn(text + pid + 1, "0123456789abcdef") : 0;

	return pid > 0 && number == 8 && !text[pid + 1 + number];
}

bool run_state_is_file(const struct dirent *e)
{
	return e->d_type == DT_REG && run_state_is_id(e->d_name);
}

bool run_state_any(void)
{
	DIR *dir = opendir(MOUNTS_RUN_DIR);
	struct dirent *e;
	bool found = false;

	if (!dir)
		return true;
	while (!found && (e = readdir(dir)))
		found = run_state_is_file(e) || agent_state_is_file(e);
	closedir(dir);
	return found;
}

/* ---- make ---- */

int run_state_name(const char *prefix, char id[RUN_STATE_ID_MAX], char file[RUN_STATE_FILE_MAX],
		   char pin_dir[RUN_STATE_PINS_MAX], struct error *err)
{
	char bpffs[256];
	uint32_t number;
	int e;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
		error_set(err, "no random numbers");
		return -EIO;
	}
	snprintf(id, RUN_STATE_ID_MAX, "%s%d-%08x", prefix, (int)getpid(), number);
	snprintf(file, RUN_STATE_FILE_MAX, MOUNTS_RUN_DIR "/%s", id);
	e = mounts_bpffs(bpffs, sizeof(bpffs));
	if (e < 0) {
		error_set(err,
			  "no writable bpffs is mounted, and none could be mounted (%s): "
			  "mount -t bpf none /sys/fs/bpf",
			  strerror(-e));
		return e;
	}
	snprintf(pin_dir, RUN_STATE_PINS_MAX, "%s/" PINS_BELOW "/%s", bpffs, id);
	return 0;
}

int run_state_make_file(const char *file, const char *text)
{
	int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || dprintf(fd, "%s", text) < 0) {
		int e = -errno;

		unlink(file);
		close(fd);
		return e;
	}
	return fd;
}

static int make_file(struct run_state *r, const char *cgroup_path)
{
	char *text;
	int fd;

	if (asprintf(&text, "%s\n%s\n", cgroup_path, r->pin_dir) < 0)
		return -ENOMEM;
	fd = run_state_make_file(r->file, text);
	free(text);
	if (fd < 0)
		return fd;
	r->lock_fd = fd;
	return 0;
}

/* The path may mean nothing to who cleans up: its mount can be another namespace's, or gone. */
static int add_cgroup_id(const struct run_state *r)
{
	uint64_t id = cgroup_id(&r->cgroup);

	if (!id)
		return -EIO;
	return dprintf(r->lock_fd, "%" PRIu64 "\n", id) < 0 ? -errno : 0;
}

static int make_locked(struct run_state *r, struct error *err)
{
	char name[64], path[CGROUP_PATH_MAX];
	int e;

	e = run_state_name("", r->id, r->file, r->pin_dir, err);
	if (e < 0)
		return e;
	snprintf(name, sizeof(name), RUN_CGROUP_PREFIX "%s", r->id);
	e = cgroup_plan(path, name, err);
	if (e < 0)
		return e;
	e = make_file(r, path);
	if (e < 0) {
		error_set(err, "cannot make %s: %s", r->file, strerror(-e));
		return e;
	}
	e = cgroup_make(&r->cgroup, name, err);
	if (e == 0) {
		e = add_cgroup_id(r);
		if (e < 0) {
			error_set(err, "cannot write %s: %s", r->file, strerror(-e));
			cgroup_remove(&r->cgroup);
		}
	}
	if (e < 0) {
		unlink(r->file);
		close(r->lock_fd);
		r->lock_fd = -1;
	}
	return e;
}

int run_state_make(struct run_state *r, struct error *err)
{
	int lock, e;

	memset(r, 0, sizeof(*r));
	r->lock_fd = -1;
	r->cgroup.fd = -1;
	lock = run_state_lock();
	if (lock < 0) {
		error_set(err, "cannot use " MOUNTS_RUN_DIR " (%s): sluice needs root",
			  strerror(-lock));
		return lock;
	}
	e = make_locked(r, err);
	if (e < 0 && !run_state_any())
		mounts_undo();
	close(lock);
	return e;
}

/* ---- remove ---- */

int run_state_remove(struct run_state *r)
{
	int lock, e;

	if (r->lock_fd < 0)
		return 0;
	lock = run_state_lock();
	if (lock < 0)
		return lock;
	e = cgroup_remove(&r->cgroup);
	if (e == 0)
		e = pins_remove(r->pin_dir);
	if (e == 0 && unlink(r->file) < 0 && errno != ENOENT)
		e = -errno;
	if (e == 0) {
		close(r->lock_fd);
		r->lock_fd = -1;
		if (!run_state_any())
			mounts_undo();
	}
	close(lock);
	return e;
}

/* ---- clean up ---- */

static int clean_one(const struct run_state_files *files, void *ctx, const char *name)
{
	char file[RUN_STATE_FILE_MAX + 256];
	int fd, r;

	snprintf(file, sizeof(file), MOUNTS_RUN_DIR "/%s", name);
	fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = files->clean(ctx, name, file, fd);
	close(fd);
	return r;
}

static int clean_all(const struct run_state_files *files, void *ctx, struct error *err)
{
	DIR *dir = opendir(MOUNTS_RUN_DIR);
	struct dirent *e;
	int ret = 0;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		int r = files->is_one(e) ? clean_one(files, ctx, e->d_name) : 0;

		if (r < 0) {
			error_set(err, "cannot remove what %s" MOUNTS_RUN_DIR "/%s left: %s",
				  files->whose, e->d_name, strerror(-r));
			ret = r;
		}
	}
	closedir(dir);
	return ret;
}

int run_state_clean(const struct run_state_files *files, void *ctx, struct error *err)
{
	int lock = run_state_lock(), r;

	if (lock < 0) {
		error_set(err, "cannot use " MOUNTS_RUN_DIR " (%s): sluice needs root",
			  strerror(-lock));
		return lock;
	}
	r = clean_all(files, ctx, err);
	if (!run_state_any())
		mounts_undo();
	close(lock);
	return r;
}
