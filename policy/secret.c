// SPDX-License-Identifier: Apache-2.0
#include "secret.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool secret_name_valid(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
		      (c == '.' && i)))
			return false;
	}
	return text.len > 0 && text.len < 254;
}

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

/* The only entry of the directory FD, opened in its place. What Kubernetes keeps beside the keys
 * begins with a dot. */
static int open_only_key(int fd, const char **why)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	int key = -1, n = 0;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (n++ == 0)
			key = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	closedir(dir);
	if (n == 1 && key >= 0)
		return key;
	if (key >= 0)
		close(key);
	return refuse(why, n == 1 ? "its key cannot be read"
				  : "its directory must have exactly one file");
}

/* A descriptor, -ENOENT if there is no such file, or another negative errno. */
static int open_secret(const char *path, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		*why = "there is no such file";
		return -ENOENT;
	}
	if (fd < 0)
		return refuse(why, "its file cannot be read");
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		fd = open_only_key(fd, why);
		if (fd < 0)
			return fd;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return refuse(why, "it is no file");
	}
	return fd;
}

static int read_value(int fd, struct arena *mem, struct span *ret, const char **why)
{
	char *buf = arena_alloc(mem, SECRET_LENGTH_MAX + 2);
	size_t len = 0;
	ssize_t n = 1;

	if (!buf)
		return -ENOMEM;
	while (n > 0 && len < SECRET_LENGTH_MAX + 2) {
		n = read(fd, buf + len, SECRET_LENGTH_MAX + 2 - len);
		if (n > 0)
			len += (size_t)n;
	}
	if (n < 0)
		return refuse(why, "its file cannot be read");
	if (len && buf[len - 1] == '\n')
		len--;
	if (len && buf[len - 1] == '\r')
		len--;
	if (len == 0)
		return refuse(why, "it is empty");
	if (len > SECRET_LENGTH_MAX)
		return refuse(why, "it is too long");
	*ret = (struct span){ buf, len };
	return 1;
}

int secret_read(const char *dir, const struct secret_name *name, struct arena *mem,
		struct span *ret, const char **why)
{
	bool in_namespace = name->namespace_ && *name->namespace_;
	char path[4096];
	int fd, r;

	if (!dir) {
		*why = "no directory of secrets is given";
		return 0;
	}
	if (snprintf(path, sizeof(path), "%s/%s%s%s", dir, in_namespace ? name->namespace_ : "",
		     in_namespace ? "/" : "", name->name) >= (int)sizeof(path))
		return refuse(why, "its path is too long");
	fd = open_secret(path, why);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = read_value(fd, mem, ret, why);
	close(fd);
	return r;
}

bool secret_equal(struct span a, struct span b)
{
	volatile unsigned char differs = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		differs = (unsigned char)(differs | (a.ptr[i] ^ b.ptr[i]));
	return differs == 0;
}
