/* SPDX-License-Identifier: Apache-2.0 */
#include "pod_cgroup.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "sluice/array.h"
#include "sluice/span.h"

/* Shorter ones could be part of a name by chance. */
#define UID_MIN 8

/* What may stand in front of a uid or an id: the kubelet's, podman's pods and containers. */
static const char *const prefixes[] = { "pod", "pod_", "libpod-" };

static bool ends_with(struct span s, const char *what)
{
	size_t len = strlen(what);

	return s.len >= len && memcmp(s.ptr + s.len - len, what, len) == 0;
}

static void drop_end(struct span *s, const char *what)
{
	if (ends_with(*s, what))
		s->len -= strlen(what);
}

/* Dashes are underscores in the name of a slice, where a dash means a level. */
static bool same_uid(const char *at, const char *uid)
{
	for (; *uid; at++, uid++)
		if (*at != *uid && !(*uid == '-' && *at == '_'))
			return false;
	return true;
}

/* Is the cgroup of this name the pod's? *EACH: it is one of those that a pod has instead. */
static bool names(struct span name, const char *uid, bool *each)
{
	const char *colon = memchr(name.ptr, ':', name.len);
	size_t len = strlen(uid);

	*each = colon;
	if (colon)
		name.len = (size_t)(colon - name.ptr);
	drop_end(&name, ".slice");
	drop_end(&name, ".scope");
	if (name.len < len || !same_uid(name.ptr + name.len - len, uid))
		return false;
	name.len -= len;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (ends_with(name, prefixes[i]))
			return true;
	return name.len == 0;
}

/* The name at *AT of a path, which begins with '/'; *AT moves behind it. */
static struct span next_name(const char **at)
{
	const char *begin = *at + strspn(*at, "/");

	*at = begin + strcspn(begin, "/");
	return (struct span){ begin, (size_t)(*at - begin) };
}

static void answer(struct pod_cgroup *ret, enum pod_cgroup_how how, const char *path, size_t len)
{
	ret->how = how;
	memcpy(ret->path, path, len);
	ret->path[len] = '\0';
}

/* The highest cgroup on the way down PATH that is named after the pod. */
static bool find_named(const char *path, const char *uid, enum pod_cgroup_how how,
		       struct pod_cgroup *ret)
{
	for (const char *at = path;;) {
		struct span name = next_name(&at);
		bool each;

		if (name.len == 0)
			return false;
		if (!names(name, uid, &each))
			continue;
		if (each) /* up to the colon, and with it */
			at = (const char *)memchr(name.ptr, ':', name.len) + 1;
		answer(ret, each ? POD_CGROUP_EACH : how, path, (size_t)(at - path));
		return true;
	}
}

/* "/a.slice/a-b.slice" for "a-b.slice", as systemd lays slices out. */
static int expand_slice(const char *name, char ret[static PATH_MAX])
{
	size_t len = strlen(name) - strlen(".slice"), used = 0;

	for (size_t i = 1; i <= len; i++) {
		int n;

		if (i < len && name[i] != '-')
			continue;
		n = snprintf(ret + used, PATH_MAX - used, "/%.*s.slice", (int)i, name);
		if (n < 0 || (size_t)n >= PATH_MAX - used)
			return -EINVAL;
		used += (size_t)n;
	}
	return used > 0 ? 0 : -EINVAL;
}

static int find_told(const char *parent, const char *uid, struct pod_cgroup *ret)
{
	char path[PATH_MAX];
	int r;

	if (!parent || !*parent)
		return -ENOENT;
	for (const char *at = parent;;) {
		struct span name = next_name(&at);

		if (name.len == 0)
			break;
		if (span_eq(name, SPAN_LITERAL("..")) || span_eq(name, SPAN_LITERAL(".")))
			return -EINVAL;
	}
	if (parent[0] == '/') {
		size_t size = strlen(parent) + 1;

		if (size > sizeof(path))
			return -EINVAL;
		memcpy(path, parent, size);
	} else {
		if (strchr(parent, '/') || !ends_with(span_of(parent), ".slice"))
			return -EINVAL;
		r = expand_slice(parent, path);
		if (r < 0)
			return r;
	}
	/* A parent that is not the pod's own may be the parent of others as well. */
	return find_named(path, uid, POD_CGROUP_TOLD, ret) ? 0 : -ENOENT;
}

/* The path in the cgroup2 tree, among the lines of the others. */
static int unified_path(const char *text, char ret[static PATH_MAX])
{
	struct span line;

	while (text && strncmp(text, "0::", 3) != 0) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	if (!text)
		return -ENOENT;
	text += 3;
	line = (struct span){ text, strcspn(text, "\n") };
	if (line.len == 0 || line.len >= PATH_MAX || *line.ptr != '/')
		return -EINVAL;
	if (ends_with(line, " (deleted)"))
		return -ENOENT;
	memcpy(ret, line.ptr, line.len);
	ret[line.len] = '\0';
	if (strncmp(ret, "/..", 3) == 0 && (ret[3] == '/' || ret[3] == '\0'))
		return -EXDEV;
	return ret[1] == '\0' ? -ENOENT : 0;
}

static bool is_uid(const char *uid)
{
	size_t len = strlen(uid);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)uid[i]) && uid[i] != '-' && uid[i] != '_')
			return false;
	return len >= UID_MIN;
}

int pod_cgroup_find(const char *uid, const char *parent, const char *process,
		    struct pod_cgroup *ret)
{
	char path[PATH_MAX];
	int r;

	if (!is_uid(uid))
		return -EINVAL;
	if (!process)
		return find_told(parent, uid, ret);
	r = unified_path(process, path);
	if (r < 0)
		return r;
	if (!find_named(path, uid, POD_CGROUP_OWN, ret))
		answer(ret, POD_CGROUP_OF_PROCESS, path, strlen(path));
	return 0;
}

int pod_cgroup_read(pid_t pid, char *ret, size_t size)
{
	char path[64];
	size_t len = 0;
	ssize_t n;
	int fd, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, ret + len, size - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < size) || (n < 0 && errno == EINTR));
	if (n < 0)
		r = -errno;
	else if (len == size)
		r = -EMSGSIZE;
	else
		ret[len] = '\0';
	close(fd);
	return r;
}

const char *pod_cgroup_how_name(enum pod_cgroup_how how)
{
	static const char *const texts[] = { [POD_CGROUP_OWN] = "own",
					     [POD_CGROUP_TOLD] = "told",
					     [POD_CGROUP_EACH] = "each",
					     [POD_CGROUP_OF_PROCESS] = "of-process" };

	return texts[how];
}
