/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "mounts.h"
#include "pins.h"
#include "run_state_private.h"

#define PREFIX	"agent-"
#define LOOKS	100
#define LOOK_US 5000

bool agent_state_is_file(const struct dirent *e)
{
	return strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 &&
	       run_state_is_id(e->d_name + strlen(PREFIX)) && e->d_type == DT_REG;
}

/* ---- make ---- */

/* Only root may lead the way to what is in it. */
static int open_dir(struct agent_state *s, struct error *err)
{
	struct stat st;
	int r;

	if (mkdir(s->dir, 0700) < 0 && errno != EEXIST)
		goto fail;
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->dir_fd < 0 || fstat(s->dir_fd, &st) < 0)
		goto fail;
	if (st.st_uid == geteuid() && !(st.st_mode & 022))
		return 0;
	error_set(err, "the state directory %s can be written to by others: make it root's own",
		  s->dir);
	return -EPERM;
fail:
	r = -errno;
	error_set(err, "cannot make the state directory %s: %s", s->dir, strerror(-r));
	return r;
}

/* Whose lock it is stands in the file. */
static void say_busy(const struct agent_state *s, struct error *err)
{
	char pid[16] = "";
	ssize_t n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
	error_set(err,
		  "another agent (process %s) has the state directory %s: end it, or give this one "
		  "another (\"state\" in the configuration)",
		  pid, s->dir);
}

static int lock_dir(struct agent_state *s, struct error *err)
{
	int r;

	s->lock_fd = openat(s->dir_fd, AGENT_STATE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			    0600);
	if (s->lock_fd >= 0 && flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0 &&
	    ftruncate(s->lock_fd, 0) == 0 && dprintf(s->lock_fd, "%d\n", (int)getpid()) > 0)
		return 0;
	r = -errno;
	if (r == -EWOULDBLOCK) {
		say_busy(s, err);
		return -EBUSY;
	}
	error_set(err, "cannot lock %s/" AGENT_STATE_LOCK ": %s", s->dir, strerror(-r));
	return r;
}

static int make_file(struct agent_state *s, struct error *err)
{
	char text[sizeof(s->dir) + sizeof(s->pin_dir) + 4];
	int r = run_state_name(PREFIX, s->id, s->file, s->pin_dir, err);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%s\n%s\n", s->dir, s->pin_dir);
	s->file_fd = run_state_make_file(s->file, text);
	if (s->file_fd >= 0)
		return 0;
	error_set(err, "cannot make %s: %s", s->file, strerror(-s->file_fd));
	return s->file_fd;
}

static void release(struct agent_state *s)
{
	if (s->lock_fd >= 0) { /* so the directory is this one's */
		unlinkat(s->dir_fd, AGENT_STATE_LOCK, 0);
		rmdir(s->dir); /* unless there is something in it */
		close(s->lock_fd);
	}
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	if (s->file_fd >= 0)
		close(s->file_fd);
	s->dir_fd = s->lock_fd = s->file_fd = -1;
}

static int make_locked(struct agent_state *s, struct error *err)
{
	int r = open_dir(s, err);

	if (r == 0)
		r = lock_dir(s, err);
	if (r == -EBUSY) { /* the lock is another's */
		close(s->lock_fd);
		s->lock_fd = -1;
	}
	if (r == 0)
		r = make_file(s, err);
	if (r < 0)
		release(s);
	return r;
}

int agent_state_make(struct agent_state *s, const char *dir, struct error *err)
{
	int lock, r;

	*s = (struct agent_state){ .dir_fd = -1, .lock_fd = -1, .file_fd = -1 };
	if (snprintf(s->dir, sizeof(s->dir), "%s", dir) >= (int)sizeof(s->dir)) {
		error_set(err, "the path of the state directory is longer than %d bytes",
			  AGENT_STATE_MAX - 1);
		return -ENAMETOOLONG;
	}
	lock = run_state_lock();
	if (lock < 0) {
		error_set(err, "cannot use " MOUNTS_RUN_DIR " (%s): sluice needs root",
			  strerror(-lock));
		return lock;
	}
	r = make_locked(s, err);
	if (r < 0 && !run_state_any())
		mounts_undo();
	close(lock);
	return r;
}

/* ---- remove ---- */

static int remove_pins(void *ctx, const char *dir)
{
	(void)ctx;
	return pins_remove(dir);
}

static int remove_rest(const char *id, const char *pin_dir, const char *file)
{
	int r = run_state_each_pins(id, pin_dir, remove_pins, NULL);

	if (r == 0 && unlink(file) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

int agent_state_remove(struct agent_state *s)
{
	int lock, r;

	if (s->file_fd < 0)
		return 0;
	lock = run_state_lock();
	if (lock < 0)
		return lock;
	r = remove_rest(s->id, s->pin_dir, s->file);
	release(s);
	if (r == 0 && !run_state_any())
		mounts_undo();
	close(lock);
	return r;
}

/* ---- what the dead left ---- */

/* The lines of a file; what is not a whole line is "". */
struct lines {
	char text[AGENT_STATE_MAX + RUN_STATE_PINS_MAX + 4];
	const char *dir, *pin_dir;
};

static int read_lines(int fd, struct lines *ret)
{
	ssize_t n = pread(fd, ret->text, sizeof(ret->text) - 1, 0);
	char *first, *second;

	if (n < 0)
		return -errno;
	ret->text[n] = '\0';
	ret->dir = ret->pin_dir = "";
	first = strchr(ret->text, '\n');
	if (!first)
		return 0;
	*first = '\0';
	ret->dir = ret->text;
	second = strchr(first + 1, '\n');
	if (!second)
		return 0;
	*second = '\0';
	ret->pin_dir = first + 1;
	return 0;
}

static int clean_locked(const struct agent_state *s, const char *name, const char *file, int fd,
			struct agent_remains *report)
{
	struct lines lines;
	int r = read_lines(fd, &lines);

	if (r < 0 || (s && strcmp(s->dir, lines.dir) != 0))
		return r;
	r = remove_rest(name, lines.pin_dir, file);
	if (r == 0)
		report->removed++;
	return r;
}

/* The owner of a file with the directory of S is dead, since S has its lock. Somebody who only
 * looks whether it is can have the file's for a moment. */
static int take_lock(const struct agent_state *s, int fd)
{
	struct lines lines;
	int tries = s && read_lines(fd, &lines) == 0 && strcmp(s->dir, lines.dir) == 0 ? LOOKS : 1;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || --tries == 0)
			return -1;
		usleep(LOOK_US);
		errno = EWOULDBLOCK;
	}
	return 0;
}

/* What is gone through, for which agent, and what has come of it. */
struct cleaning {
	const struct agent_state *state; /* NULL: of none that is going on */
	struct agent_remains *report;
};

static int clean_one(void *ctx, const char *name, const char *file, int fd)
{
	const struct cleaning *c = ctx;

	if (c->state && strcmp(name, c->state->id) == 0)
		return 0;
	if (take_lock(c->state, fd) == 0)
		return clean_locked(c->state, name, file, fd, c->report);
	if (errno != EWOULDBLOCK)
		return -errno;
	c->report->alive++;
	return 0;
}

int agent_state_cleanup(const struct agent_state *s, struct agent_remains *ret, struct error *err)
{
	const struct run_state_files files = { agent_state_is_file, clean_one, "" };
	struct cleaning c = { s, ret };

	*ret = (struct agent_remains){ 0 };
	return run_state_clean(&files, &c, err);
}
