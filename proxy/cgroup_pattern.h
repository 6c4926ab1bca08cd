/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup_pattern.h - which cgroups are meant: a path within the cgroup tree, as /proc/PID/cgroup
 * has it, in whose names `*`, `?` and `[...]` stand for what they do in a shell. A backslash is
 * itself, since systemd writes it into names; nothing stands for a slash. */
#ifndef SLUICE_CGROUP_PATTERN_H
#define SLUICE_CGROUP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include "sluice/error.h"

/* False, and in ERR what is wrong and what would be right: a relative path, one that leads upwards,
 * the whole tree. */
bool cgroup_pattern_check(const char *pattern, struct error *err);

/* How long the part of PATTERN is that names one directory: "/kubepods.slice" of
 * "/kubepods.slice/pod*". The whole pattern if there are no wildcards in it; 0: the tree itself. */
size_t cgroup_pattern_literal(const char *pattern);

/* The length of the first name of PATTERN, which begins with a slash; both not counted. */
size_t cgroup_pattern_name(const char *pattern);

/* Is NAME what the first name of PATTERN stands for? */
bool cgroup_pattern_matches_name(const char *pattern, const char *name);

/* Is PATH, which begins with a slash, what PATTERN stands for? */
bool cgroup_pattern_matches(const char *pattern, const char *path);

/* PATTERN, without the mount point ROOT of the tree if it begins with it. */
const char *cgroup_pattern_within(const char *pattern, const char *root);

/* Is PATH ABOVE itself, or below it? */
bool cgroup_path_is_within(const char *path, const char *above);

#endif
