/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sluice/array.h"

/* What is passed on. Job control (SIGTSTP and its kin) works by itself: the terminal stops both. */
static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
				 SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };

/* Sockets that we inherited would be inherited by the command, unseen by every hook. */
static int close_inherited_sockets(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);
		struct stat st;

		if (fd > STDERR_FILENO && fd != dirfd(dir) && fstat(fd, &st) == 0 &&
		    S_ISSOCK(st.st_mode))
			close(fd);
	}
	closedir(dir);
	return 0;
}

static int find_user(struct child *c, const char *name, struct error *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw) {
		error_set(err, "there is no user \"%s\"", name);
		return errno ? -errno : -ENOENT;
	}
	c->change_user = true;
	c->uid = pw->pw_uid;
	c->gid = pw->pw_gid;
	getgrouplist(name, pw->pw_gid, NULL, &c->n_groups);
	c->groups = calloc((size_t)c->n_groups + 1, sizeof(*c->groups));
	if (!c->groups || getgrouplist(name, pw->pw_gid, c->groups, &c->n_groups) < 0 ||
	    setenv("HOME", pw->pw_dir, 1) < 0 || setenv("USER", pw->pw_name, 1) < 0 ||
	    setenv("LOGNAME", pw->pw_name, 1) < 0 || setenv("SHELL", pw->pw_shell, 1) < 0) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

static void raise_files(struct child *c)
{
	struct rlimit all;

	if (getrlimit(RLIMIT_NOFILE, &c->old_files) < 0)
		return;
	all = c->old_files;
	all.rlim_cur = all.rlim_max;
	setrlimit(RLIMIT_NOFILE, &all);
}

int child_prepare(struct child *c, const char *user, struct error *err)
{
	sigset_t mask;
	int r;

	*c = (struct child){ .signal_fd = -1 };
	r = close_inherited_sockets();
	if (r < 0) {
		error_set(err, "cannot read /proc/self/fd: %s", strerror(-r));
		return r;
	}
	/* Ignored, as some supervisors leave it, it would make the command vanish without a word.
	 */
	sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_DFL }, &c->old_sigchld);
	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&mask, forwarded[i]);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGPIPE); /* EPIPE is enough */
	if (sigprocmask(SIG_BLOCK, &mask, &c->old_mask) < 0)
		return -errno;
	c->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->signal_fd < 0) {
		error_set(err, "signalfd: %s", strerror(errno));
		return -errno;
	}
	raise_files(c);
	return user ? find_user(c, user, err) : 0;
}

/* In the child, between fork() and exec(): async-signal-safe calls only. Returns the errno of what
 * failed. */
static int become(const struct child *c, const struct cgroup *cgroup, char *const *argv)
{
	int r = cgroup_enter(cgroup);

	if (r < 0)
		return -r;
	if (c->old_files.rlim_max)
		setrlimit(RLIMIT_NOFILE, &c->old_files);
	if (c->change_user && (setgroups((size_t)c->n_groups, c->groups) < 0 ||
			       setgid(c->gid) < 0 || setuid(c->uid) < 0))
		return errno;
	sigaction(SIGCHLD, &c->old_sigchld, NULL);
	if (sigprocmask(SIG_SETMASK, &c->old_mask, NULL) < 0)
		return errno;
	execvp(argv[0], argv);
	return errno;
}

int child_start(struct child *c, const struct cgroup *cgroup, char *const *argv, struct error *err)
{
	int report[2], failed = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0) {
		error_set(err, "pipe: %s", strerror(errno));
		return -errno;
	}
	pid = fork();
	if (pid == 0) {
		failed = become(c, cgroup, argv);
		if (write(report[1], &failed, sizeof(failed)) < 0)
			_exit(125);
		_exit(127);
	}
	failed = pid < 0 ? errno : 0;
	close(report[1]);
	if (pid > 0) {
		do
			n = read(report[0], &failed,
				 sizeof(failed)); /* ends when exec() closes it */
		while (n < 0 && errno == EINTR);
		if (n > 0)
			waitpid(pid, NULL, 0);
	}
	close(report[0]);
	if (failed) {
		error_set(err, "cannot run %s: %s", argv[0], strerror(failed));
		return -failed;
	}
	c->pid = pid;
	return 0;
}

static void reap(struct child *c)
{
	int status;

	if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid) {
		c->status = status;
		c->pid = 0;
	}
}

/* What a terminal sends (a code above 0) reaches the command by itself, but for the end of the
 * terminal, of which only the leader of the session is told. */
static bool reaches_command(const struct signalfd_siginfo *info)
{
	bool is_hangup = info->ssi_signo == SIGHUP || info->ssi_signo == SIGCONT;

	return info->ssi_code > 0 && !(is_hangup && getsid(0) == getpid());
}

bool child_on_signal(struct child *c)
{
	struct signalfd_siginfo info;

	while (read(c->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int number = (int)info.ssi_signo;

		if (number == SIGCHLD)
			reap(c);
		else if (number != SIGPIPE && c->pid && !reaches_command(&info))
			kill(c->pid, number);
	}
	return c->pid == 0;
}

int child_exit_status(const struct child *c)
{
	if (WIFSIGNALED(c->status))
		return 128 + WTERMSIG(c->status);
	return WEXITSTATUS(c->status);
}

void child_done(struct child *c)
{
	if (c->signal_fd >= 0)
		close(c->signal_fd);
	c->signal_fd = -1;
	free(c->groups);
	c->groups = NULL;
}
