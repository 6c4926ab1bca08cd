/* SPDX-License-Identifier: Apache-2.0 */
/* iterate.h - what an iterator of the kernel writes, as a whole. */
#ifndef SLUICE_ITERATE_H
#define SLUICE_ITERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <bpf/libbpf.h>

struct records {
	char *bytes; /* the caller's, in the end */
	size_t len;
	bool at_once; /* read at one go: nothing that was there all the time can be missing */
};

/* Run PROGRAM, over the elements of the map MAP_FD, or -1, and read everything that it writes:
 * before the caller changes anything, as the kernel's list must not change under its reader. A
 * program that writes nothing goes over a million elements at one go. Returns 0 or a negative
 * errno. */
int iterate(struct bpf_program *program, int map_fd, struct records *ret);

#endif
