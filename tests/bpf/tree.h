/* SPDX-License-Identifier: Apache-2.0 */
/* tree.h - many workloads below one attach point, for the tests of that. */
#ifndef SLUICE_TEST_TREE_H
#define SLUICE_TEST_TREE_H

#include "scene.h"

/* One set of programs, attached to BASE; A, INNER (below A), B and DEAD are cgroups below it, each
 * a scene of its own that shares the rest. */
struct tree {
	struct scene base, a, inner, b, dead;
};

/* Fixtures: *STATE becomes a struct tree, in which nobody is a workload yet. */
int tree_setup(void **state);
int tree_teardown(void **state);

/* A scene in a cgroup of that name, which shares the rest with BASE. */
struct scene tree_below(const struct scene *base, const char *name);
/* It becomes a workload, which may do at PORT_ALLOWED what ALLOWED says. */
void tree_add(struct scene *s, enum l4_action allowed);
/* The workload of the one connection that the sweep ends, or 0. */
uint64_t tree_sweep(struct scene *s);
/* A process in it connects to PORT: 0, or this error. */
void tree_expect(struct scene *s, uint16_t port, int result);

#endif
