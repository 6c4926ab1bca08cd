/* SPDX-License-Identifier: Apache-2.0 */
/* sock_destroy.h - ends TCP connections of other processes, by the kernel's sock_diag.
 *
 * The application sees ECONNABORTED, the peer a reset. Works per network namespace: one descriptor
 * each, which the caller closes. */
#ifndef SLUICE_SOCK_DESTROY_H
#define SLUICE_SOCK_DESTROY_H

#include <stdint.h>
#include "shared.h"

/* Returns a descriptor that is good for the network namespace with this number (that of the link
 * /proc/PID/ns/net), or a negative errno: -ENOENT where no process that can be seen, and no name in
 * /run/netns, leads there. Changes the calling thread's namespace for a moment. */
int sock_destroy_open(uint32_t netns);
/* The same for a namespace of which the caller has a descriptor. */
int sock_destroy_open_at(int netns_fd);

/* End R's socket. Returns 0, -ENOENT if it is gone by itself, -EOPNOTSUPP where the kernel cannot
 * (CONFIG_INET_DIAG_DESTROY), or another negative errno. */
int sock_destroy(int fd, const struct sweep_record *r);

#endif
