/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup_pattern.h"
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

size_t cgroup_pattern_name(const char *pattern)
{
	return strcspn(pattern + 1, "/");
}

/* Is there an end to each bracket of the name? fnmatch() would take one without as itself. */
static bool brackets_close(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char *end;

		if (name[i] != '[')
			continue;
		i++;
		i += i < len && (name[i] == '!' || name[i] == '^');
		i += i < len && name[i] == ']'; /* the first one is a member */
		end = i < len ? memchr(name + i, ']', len - i) : NULL;
		if (!end)
			return false;
		i = (size_t)(end - name);
	}
	return true;
}

static bool is_literal(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] == '*' || name[i] == '?' || name[i] == '[')
			return false;
	return true;
}

static bool check_name(const char *pattern, const char *name, size_t len, struct error *err)
{
	if (len == 0)
		error_set(err,
			  "\"%s\" has an empty name in it: write single slashes, none at the end",
			  pattern);
	else if (len > NAME_MAX)
		error_set(err, "\"%s\" has a name in it that is longer than %d bytes", pattern,
			  NAME_MAX);
	else if ((len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
		error_set(err, "\"%s\" leads elsewhere: write the path without \".\" and \"..\"",
			  pattern);
	else if (len == 2 && memcmp(name, "**", 2) == 0)
		error_set(err,
			  "\"%s\": \"**\" is not supported, since a workload is a cgroup with all "
			  "that is below it: write a * for each level",
			  pattern);
	else if (!brackets_close(name, len))
		error_set(err, "\"%s\" has a \"[\" without a \"]\": write [[] for the character",
			  pattern);
	else
		return true;
	return false;
}

bool cgroup_pattern_check(const char *pattern, struct error *err)
{
	if (pattern[0] != '/') {
		error_set(err, "\"%s\" must begin with a slash: did you mean \"/%s\"?", pattern,
			  pattern);
		return false;
	}
	if (!pattern[1]) {
		error_set(err, "\"/\" is every process of the host, sluice's own among them: name "
			       "the cgroups, such as /system.slice/*.service");
		return false;
	}
	if (strlen(pattern) >= PATH_MAX / 2) {
		error_set(err, "the path is longer than %d bytes", PATH_MAX / 2 - 1);
		return false;
	}
	for (const char *at = pattern; *at; at += 1 + cgroup_pattern_name(at))
		if (!check_name(pattern, at + 1, cgroup_pattern_name(at), err))
			return false;
	return true;
}

size_t cgroup_pattern_literal(const char *pattern)
{
	const char *at = pattern;

	while (*at && is_literal(at + 1, cgroup_pattern_name(at)))
		at += 1 + cgroup_pattern_name(at);
	return (size_t)(at - pattern);
}

static bool matches(const char *pattern, const char *name, size_t name_len)
{
	char one[NAME_MAX + 1], other[NAME_MAX + 1];
	size_t len = cgroup_pattern_name(pattern);

	if (name_len > NAME_MAX)
		return false;
	memcpy(one, pattern + 1, len);
	one[len] = '\0';
	memcpy(other, name, name_len);
	other[name_len] = '\0';
	return fnmatch(one, other, FNM_NOESCAPE | FNM_PATHNAME) == 0;
}

bool cgroup_pattern_matches_name(const char *pattern, const char *name)
{
	return matches(pattern, name, strlen(name));
}

bool cgroup_pattern_matches(const char *pattern, const char *path)
{
	while (*pattern && *path) {
		size_t len = strcspn(path + 1, "/");

		if (!matches(pattern, path + 1, len))
			return false;
		pattern += 1 + cgroup_pattern_name(pattern);
		path += 1 + len;
	}
	return !*pattern && !*path;
}

const char *cgroup_pattern_within(const char *pattern, const char *root)
{
	size_t len = strlen(root);

	return len > 1 && strncmp(pattern, root, len) == 0 && pattern[len] == '/' ? pattern + len
										  : pattern;
}

bool cgroup_path_is_within(const char *path, const char *above)
{
	size_t len = strlen(above);

	return strncmp(path, above, len) == 0 && (!path[len] || path[len] == '/');
}
