/* SPDX-License-Identifier: Apache-2.0 */
/* pins.h - the directory with the pinned links and maps of one run. */
#ifndef SLUICE_PINS_H
#define SLUICE_PINS_H

#include <stdint.h>

#define PINS_BELOW "sluice" /* <bpffs>/sluice/<id of the run> */

/* Call ON_CGROUP with the id of the cgroup for each pinned link that still holds one, until it
 * returns other than 0; returns that, 0, or a negative errno when a link cannot be asked. A
 * directory that is not there, or not on bpffs, holds none. */
int pins_each_cgroup(const char *dir, int (*on_cgroup)(void *ctx, uint64_t id), void *ctx);

/* Remove the pins and the directory. The links are detached before; one that cannot be opened, or
 * that is in a directory where others may write, a little later by the kernel. */
int pins_remove(const char *dir);

#endif
