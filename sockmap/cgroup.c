/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "cgroup.h"
#include "mounts.h"

#define PRIVATE_VIEW   MOUNTS_RUN_DIR "/cgroup"
#define DEPTH_MAX      64  /* of cgroups below ours */
#define RETRIES	       200 /* of what the kernel finishes a moment later */
#define RETRY_NS       10000000L
#define PROCS_LINE_MAX 32

static void wait_a_moment(void)
{
	nanosleep(&(struct timespec){ 0, RETRY_NS }, NULL);
}

/* ---- where ---- */

struct find_cgroup2 {
	const char *own; /* the path of our cgroup within the whole tree */
	char *path;	 /* in the file system, CGROUP_PATH_MAX */
	bool writable;	 /* as it has to be where cgroups are to be made */
};

static int on_cgroup2(void *ctx, const struct mount_entry *m)
{
	struct find_cgroup2 *find = ctx;
	size_t root = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
	const char *below = find->own + root;

	if (strcmp(m->type, "cgroup2") != 0 || (find->writable && m->read_only))
		return 0;
	if (strncmp(find->own, m->root, root) != 0 || (*below && *below != '/'))
		return 0; /* shows another part of the tree */
	if (strcmp(below, "/") == 0)
		below = "";
	return snprintf(find->path, CGROUP_PATH_MAX, "%s%s", m->point, below) < CGROUP_PATH_MAX;
}

/* The path of the calling process's cgroup2 group: the line "0::/path". */
static int own_cgroup(char *path, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t capacity = 0;
	int r = -ENOENT;

	if (!f)
		return -errno;
	while (r == -ENOENT && getline(&line, &capacity, f) > 0) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		r = snprintf(path, size, "%s", line + 3) < (int)size ? 0 : -ENAMETOOLONG;
	}
	if (r == -ENOENT && !feof(f))
		r = errno ? -errno : -EIO;
	free(line);
	fclose(f);
	return r;
}

static int on_any_cgroup2(void *ctx, const struct mount_entry *m)
{
	const bool *writable = ctx;

	return strcmp(m->type, "cgroup2") == 0 && !(*writable && m->read_only);
}

/* Before our own group is asked for: until cgroup2 is mounted for the first time since the start of
 * the system, the kernel does not tell it. Returns 1 where it was mounted, 0 where it is now. */
static int mount_if_none(bool writable)
{
	int r = mounts_each(on_any_cgroup2, &writable);

	return r == 0 ? mounts_make("cgroup2", PRIVATE_VIEW) : r;
}

static void explain_no_cgroup2(struct error *err, int r)
{
	if (r == -ENODEV)
		error_set(err, "this kernel has no cgroup2: use one with CONFIG_CGROUPS");
	else
		error_set(
			err,
			"no writable cgroup2 is mounted, and none could be mounted on " PRIVATE_VIEW
			" (%s): mount one, or run as root",
			strerror(-r));
}

int cgroup_own(char path[CGROUP_PATH_MAX], struct error *err)
{
	int r = own_cgroup(path, CGROUP_PATH_MAX);

	if (r < 0)
		error_set(err,
			  "/proc/self/cgroup does not tell this process's cgroup2 group (%s): "
			  "mount proc on /proc",
			  strerror(-r));
	return r;
}

/* Where the cgroup OWN of the tree is to be found, "/" being the tree itself. */
static int find(const char *own, char *path, bool writable, int before, struct error *err)
{
	struct find_cgroup2 find = { own, path, writable };
	int r = mounts_each(on_cgroup2, &find);

	if (r == 0 && before == 1) { /* what is mounted shows another part of the tree */
		r = mounts_make("cgroup2", PRIVATE_VIEW);
		if (r == 0)
			r = mounts_each(on_cgroup2, &find);
	}
	if (r == 0)
		r = -ENOENT;
	if (r < 0)
		explain_no_cgroup2(err, r);
	return r < 0 ? r : 0;
}

static int find_own(char *path, struct error *err)
{
	char own[CGROUP_PATH_MAX];
	int r, before = mount_if_none(true);

	if (before < 0) {
		explain_no_cgroup2(err, before);
		return before;
	}
	r = cgroup_own(own, err);
	return r < 0 ? r : find(own, path, true, before, err);
}

int cgroup_tree(char root[CGROUP_PATH_MAX], struct error *err)
{
	int before = mount_if_none(false);

	if (before < 0)
		explain_no_cgroup2(err, before);
	return before < 0 ? before : find("/", root, false, before, err);
}

/* ---- make and open ---- */

static int open_dir(struct cgroup *cg, const char *path)
{
	if (snprintf(cg->path, sizeof(cg->path), "%s", path) >= (int)sizeof(cg->path))
		return -ENAMETOOLONG;
	cg->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return cg->fd < 0 ? -errno : 0;
}

int cgroup_plan(char path[CGROUP_PATH_MAX], const char *name, struct error *err)
{
	char parent[CGROUP_PATH_MAX];
	int r;

	r = find_own(parent, err);
	if (r < 0)
		return r;
	if (snprintf(path, CGROUP_PATH_MAX, "%s/%s", parent, name) >= CGROUP_PATH_MAX) {
		error_set(err, "the path of the cgroup is too long");
		return -ENAMETOOLONG;
	}
	return 0;
}

int cgroup_make(struct cgroup *cg, const char *name, struct error *err)
{
	char path[CGROUP_PATH_MAX];
	int r;

	cg->fd = -1;
	cg->path[0] = '\0';
	r = cgroup_plan(path, name, err);
	if (r < 0)
		return r;
	if (mkdir(path, 0755) < 0) {
		r = -errno;
		error_set(err,
			  "cannot make the cgroup %s: %s; run as root, where cgroupfs is writable",
			  path, strerror(-r));
		return r;
	}
	r = open_dir(cg, path);
	if (r < 0) {
		error_set(err, "cannot open the cgroup %s: %s", path, strerror(-r));
		rmdir(path);
	}
	return r;
}

int cgroup_open(struct cgroup *cg, const char *path, struct error *err)
{
	int r = open_dir(cg, path);

	if (r < 0)
		error_set(err, "cannot open the cgroup %s: %s", path, strerror(-r));
	return r;
}

/* ---- by id ---- */

#define KERNFS_HANDLE 0xfe /* the kernel's FILEID_KERNFS: eight bytes of id */

union handle {
	struct file_handle head;
	char bytes[sizeof(struct file_handle) + sizeof(uint64_t)];
};

uint64_t cgroup_id(const struct cgroup *cg)
{
	union handle h = { .head = { .handle_bytes = sizeof(uint64_t) } };
	uint64_t id;
	int mount;

	if (name_to_handle_at(cg->fd, "", &h.head, &mount, AT_EMPTY_PATH) < 0 ||
	    h.head.handle_type != KERNFS_HANDLE || h.head.handle_bytes != sizeof(id))
		return 0;
	memcpy(&id, h.head.f_handle, sizeof(id));
	return id;
}

/* A view of the tree that nobody else sees and that goes with the descriptor. */
static int open_view(void)
{
	int fs = fsopen("cgroup2", FSOPEN_CLOEXEC), mount = -1, view = -1, r = 0;

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
	    (mount = fsmount(fs, FSMOUNT_CLOEXEC, 0)) < 0 ||
	    (view = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		r = -errno;
	if (mount >= 0)
		close(mount);
	close(fs);
	return r < 0 ? r : view;
}

static int read_path(struct cgroup *cg)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", cg->fd);
	n = readlink(link, cg->path, sizeof(cg->path) - 1);
	if (n < 0)
		return -EIO;
	cg->path[n] = '\0';
	return 0;
}

int cgroup_open_id(struct cgroup *cg, uint64_t id)
{
	union handle h = { .head = { .handle_bytes = sizeof(id), .handle_type = KERNFS_HANDLE } };
	int view = open_view(), r = 0;

	cg->fd = -1;
	cg->path[0] = '\0';
	if (view < 0)
		return view == -ENOENT ? -EIO : view;
	memcpy(h.head.f_handle, &id, sizeof(id));
	cg->fd = open_by_handle_at(view, &h.head, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cg->fd < 0)
		r = errno == ESTALE ? -ENOENT : errno == ENOENT ? -EIO : -errno;
	close(view);
	if (r == 0)
		r = read_path(cg);
	if (r < 0)
		cgroup_done(cg);
	return r;
}

void cgroup_done(struct cgroup *cg)
{
	if (cg->fd >= 0)
		close(cg->fd);
	cg->fd = -1;
}

/* ---- its files ---- */

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

int cgroup_enter(const struct cgroup *cg)
{
	return write_file(cg->fd, "cgroup.procs", "0");
}

/* The line "KEY 0|1" of cgroup.events. */
static int read_event(const struct cgroup *cg, const char *key)
{
	int fd = openat(cg->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256], *at;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	text[n] = '\0';
	at = strstr(text, key);
	if (!at)
		return -ENOTSUP;
	return at[strlen(key)] == ' ' && at[strlen(key) + 1] == '1';
}

int cgroup_populated(const struct cgroup *cg)
{
	return read_event(cg, "populated");
}

/* ---- the tree below ---- */

/* What is done with each process. */
struct visit {
	int (*fn)(void *ctx, pid_t pid);
	void *ctx;
};

/* Call ON_CGROUP for each cgroup in the tree, children first; NULL: remove them. */
static int walk(int dir, int depth, int (*on_cgroup)(int dir, const struct visit *v),
		const struct visit *v)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return r;
	}
	while (depth < DEPTH_MAX && (e = readdir(d))) {
		int child;

		if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		child = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (child < 0)
			continue; /* gone meanwhile */
		r = walk(child, depth + 1, on_cgroup, v);
		close(child);
		/* Fails for a populated one, which the caller sees at the top. */
		if (!on_cgroup)
			unlinkat(dir, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	if (on_cgroup)
		r = on_cgroup(dir, v);
	return r;
}

static int visit_processes(int dir, const struct visit *v)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char line[PROCS_LINE_MAX];
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	int r = 0;

	if (!f) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (fgets(line, sizeof(line), f)) {
		long pid = strtol(line, NULL, 10);

		/* 0: a process of another pid namespace, which cannot be named from here. */
		if (pid > 0 && v->fn(v->ctx, (pid_t)pid) < 0)
			r = -errno;
	}
	fclose(f);
	return r;
}

static int send_signal(void *ctx, pid_t pid)
{
	return kill(pid, *(int *)ctx) < 0 && errno != ESRCH ? -1 : 0;
}

static int signal_all(const struct cgroup *cg, int signal)
{
	return walk(cg->fd, 0, visit_processes, &(struct visit){ send_signal, &signal });
}

struct each_pid {
	void (*fn)(void *ctx, pid_t pid);
	void *ctx;
};

static int on_pid(void *ctx, pid_t pid)
{
	const struct each_pid *each = ctx;

	each->fn(each->ctx, pid);
	return 0;
}

int cgroup_each_pid(const struct cgroup *cg, void (*fn)(void *ctx, pid_t pid), void *ctx)
{
	struct each_pid each = { fn, ctx };

	return walk(cg->fd, 0, visit_processes, &(struct visit){ on_pid, &each });
}

/* Without cgroup.kill a process can fork faster than we read: so they are stopped first. A frozen
 * process still dies of SIGKILL. */
static int kill_all(const struct cgroup *cg)
{
	int r = 0;

	write_file(cg->fd, "cgroup.freeze", "1");
	for (int i = 0; i < RETRIES && cgroup_populated(cg) == 1; i++) {
		r = signal_all(cg, SIGKILL);
		if (r < 0 && r != -ENOENT)
			break;
		wait_a_moment();
	}
	write_file(cg->fd, "cgroup.freeze", "0");
	return r;
}

int cgroup_signal(const struct cgroup *cg, int signal)
{
	if (signal != SIGKILL)
		return signal_all(cg, signal);
	if (write_file(cg->fd, "cgroup.kill", "1") == 0)
		return 0;
	return kill_all(cg);
}

/* By its descriptor: the path may be of a view that is not mounted here. */
static int remove_dir(const struct cgroup *cg)
{
	int parent = openat(cg->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	const char *slash = strrchr(cg->path, '/');
	struct stat by_fd, by_name;

	if (parent < 0)
		return -errno;
	if (!slash || fstat(cg->fd, &by_fd) < 0 ||
	    fstatat(parent, slash + 1, &by_name, AT_SYMLINK_NOFOLLOW) < 0)
		r = slash ? -errno : -EINVAL;
	else if (by_fd.st_ino != by_name.st_ino || by_fd.st_dev != by_name.st_dev)
		r = -EXDEV;
	else if (unlinkat(parent, slash + 1, AT_REMOVEDIR) < 0)
		r = -errno;
	close(parent);
	return r;
}

int cgroup_remove(struct cgroup *cg)
{
	int r = -EBUSY;

	/* A process that was just reaped can keep its cgroup busy for a moment. */
	for (int i = 0; i < RETRIES && r == -EBUSY; i++) {
		r = cgroup_populated(cg);
		if (r == 1)
			return -EBUSY;
		if (r == 0) /* the root does not say */
			walk(cg->fd, 0, NULL, NULL);
		r = remove_dir(cg);
		if (r == -EBUSY)
			wait_a_moment();
	}
	if (r == 0 || r == -ENOENT) {
		cgroup_done(cg);
		return 0;
	}
	return r;
}
