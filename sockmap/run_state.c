/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "mounts.h"
#include "run_state.h"

#define GLOBAL_LOCK   MOUNTS_RUN_DIR "/lock"
#define PINS_BELOW    "sluice"
#define FILE_TEXT_MAX (CGROUP_PATH_MAX + 512 + 4)

/* Whoever makes, removes or cleans up holds this: nobody sees a file that is not locked yet. */
static int lock_all(void)
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

static bool is_run_file(const struct dirent *e)
{
	return e->d_name[0] != '.' && e->d_type == DT_REG && strcmp(e->d_name, "lock") != 0;
}

static bool any_run_left(void)
{
	DIR *dir = opendir(MOUNTS_RUN_DIR);
	struct dirent *e;
	bool found = false;

	if (!dir)
		return true;
	while (!found && (e = readdir(dir)))
		found = is_run_file(e);
	closedir(dir);
	return found;
}

/* ---- make ---- */

static int make_names(struct run_state *r, struct error *err)
{
	char bpffs[256];
	uint32_t number;
	int e;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
		error_set(err, "no random numbers");
		return -EIO;
	}
	snprintf(r->id, sizeof(r->id), "%d-%08x", (int)getpid(), number);
	snprintf(r->file, sizeof(r->file), MOUNTS_RUN_DIR "/%s", r->id);
	e = mounts_bpffs(bpffs, sizeof(bpffs));
	if (e < 0) {
		error_set(err,
			  "no writable bpffs is mounted, and none could be mounted (%s): "
			  "mount -t bpf none /sys/fs/bpf",
			  strerror(-e));
		return e;
	}
	snprintf(r->pin_dir, sizeof(r->pin_dir), "%s/" PINS_BELOW "/%s", bpffs, r->id);
	return 0;
}

static int make_file(struct run_state *r, const char *cgroup_path)
{
	int fd = open(r->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 ||
	    dprintf(fd, "%s\n%s\n", cgroup_path, r->pin_dir) < 0) {
		int e = -errno;

		unlink(r->file);
		close(fd);
		return e;
	}
	r->lock_fd = fd;
	return 0;
}

static int make_locked(struct run_state *r, struct error *err)
{
	char name[64], path[CGROUP_PATH_MAX];
	int e;

	e = make_names(r, err);
	if (e < 0)
		return e;
	snprintf(name, sizeof(name), "sluice-%s", r->id);
	e = cgroup_plan(path, name, err);
	if (e < 0)
		return e;
	e = make_file(r, path);
	if (e < 0) {
		error_set(err, "cannot make %s: %s", r->file, strerror(-e));
		return e;
	}
	e = cgroup_make(&r->cgroup, name, err);
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
	lock = lock_all();
	if (lock < 0) {
		error_set(err, "cannot use " MOUNTS_RUN_DIR " (%s): sluice needs root",
			  strerror(-lock));
		return lock;
	}
	e = make_locked(r, err);
	if (e < 0 && !any_run_left())
		mounts_undo();
	close(lock);
	return e;
}

/* ---- remove ---- */

/* To remove a pin of a link is to detach it. */
static int remove_pins(const char *pin_dir)
{
	char parent[512];
	DIR *dir = opendir(pin_dir);
	struct dirent *e;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(dir)))
		if (e->d_type != DT_DIR)
			unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
	if (rmdir(pin_dir) < 0)
		return -errno;
	snprintf(parent, sizeof(parent), "%s", pin_dir);
	*strrchr(parent, '/') = '\0';
	rmdir(parent); /* stays while another run pins there */
	return 0;
}

int run_state_remove(struct run_state *r)
{
	int lock, e;

	if (r->lock_fd < 0)
		return 0;
	lock = lock_all();
	if (lock < 0)
		return lock;
	e = cgroup_remove(&r->cgroup);
	if (e == 0)
		e = remove_pins(r->pin_dir);
	if (e == 0 && unlink(r->file) < 0 && errno != ENOENT)
		e = -errno;
	if (e == 0) {
		close(r->lock_fd);
		r->lock_fd = -1;
		if (!any_run_left())
			mounts_undo();
	}
	close(lock);
	return e;
}

/* ---- clean up ---- */

/* The two lines of a run's file. One that is cut short was never followed by anything. */
static int read_file(int fd, char cgroup_path[CGROUP_PATH_MAX], char pin_dir[512])
{
	char *text = malloc(FILE_TEXT_MAX), *second, *end;
	ssize_t n = text ? pread(fd, text, FILE_TEXT_MAX - 1, 0) : -1;
	int r = -EINVAL;

	if (n < 0) {
		free(text);
		return text ? -EIO : -ENOMEM;
	}
	text[n] = '\0';
	cgroup_path[0] = pin_dir[0] = '\0';
	second = strchr(text, '\n');
	end = second ? strchr(second + 1, '\n') : NULL;
	if (end) {
		*second++ = *end = '\0';
		if (snprintf(cgroup_path, CGROUP_PATH_MAX, "%s", text) < CGROUP_PATH_MAX &&
		    snprintf(pin_dir, 512, "%s", second) < 512 && strchr(pin_dir, '/'))
			r = 0;
	} else if (strlen(text) < FILE_TEXT_MAX - 1) {
		r = 1;
	}
	free(text);
	return r;
}

static int clean_dead(const char *name, int fd, struct cleanup_report *report)
{
	char cgroup_path[CGROUP_PATH_MAX], pin_dir[512], file[512];
	struct cgroup cg;
	int r;

	snprintf(file, sizeof(file), MOUNTS_RUN_DIR "/%s", name);
	r = read_file(fd, cgroup_path, pin_dir);
	if (r < 0)
		return r;
	if (r == 0 && cgroup_open(&cg, cgroup_path, NULL) == 0) {
		r = cgroup_remove(&cg);
		cgroup_done(&cg);
		if (r == -EBUSY) {
			report->held++;
			memcpy(report->held_path, cgroup_path, sizeof(report->held_path));
			return 0;
		}
	} else if (r == 0 && access(cgroup_path, F_OK) == 0) {
		return -EIO;
	}
	if (r == 0)
		r = remove_pins(pin_dir);
	if (r >= 0 && unlink(file) < 0)
		r = -errno;
	if (r >= 0)
		report->removed++;
	return r < 0 ? r : 0;
}

static int clean_one(const char *name, struct cleanup_report *report)
{
	char file[512];
	int fd, r;

	snprintf(file, sizeof(file), MOUNTS_RUN_DIR "/%s", name);
	fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		r = clean_dead(name, fd, report);
	} else if (errno == EWOULDBLOCK) {
		report->alive++;
		r = 0;
	} else {
		r = -errno;
	}
	close(fd);
	return r;
}

static int clean_all(struct cleanup_report *report, struct error *err)
{
	DIR *dir = opendir(MOUNTS_RUN_DIR);
	struct dirent *e;
	int ret = 0;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		int r = is_run_file(e) ? clean_one(e->d_name, report) : 0;

		if (r < 0) {
			error_set(err, "cannot remove what the run " MOUNTS_RUN_DIR "/%s left: %s",
				  e->d_name, strerror(-r));
			ret = r;
		}
	}
	closedir(dir);
	return ret;
}

int run_state_cleanup(struct cleanup_report *report, struct error *err)
{
	int lock, r;

	memset(report, 0, sizeof(*report));
	lock = lock_all();
	if (lock < 0) {
		error_set(err, "cannot use " MOUNTS_RUN_DIR " (%s): sluice needs root",
			  strerror(-lock));
		return lock;
	}
	r = clean_all(report, err);
	if (!any_run_left())
		mounts_undo();
	close(lock);
	return r;
}
