/* SPDX-License-Identifier: Apache-2.0 */
/* upstream.h - opens the leg to the original destination of a steered connection. */
#ifndef SLUICE_UPSTREAM_H
#define SLUICE_UPSTREAM_H

#include "sluice/close_reason.h"
#include "sluice/flow.h"

struct netns;

/* Pieces of it: a non-blocking socket with what every leg needs, or a negative errno; and its
 * connect(): 0, -EINPROGRESS, or why not. */
int upstream_socket(const struct netns *netns, const struct flow *flow);
int upstream_dial(int fd, const struct flow *flow);

/* Begin to connect from NETNS (netns.h), with the source address and device that the application
 * had bound. Returns a non-blocking socket that becomes writable when it is connected, or a
 * negative errno. */
int upstream_connect(const struct netns *netns, const struct flow *flow);

/* Does it stand already? On this host it does when upstream_connect() returns, mostly, and asking
 * costs less than waiting. Returns 1, 0 (wait), or the negative errno with which it failed. */
int upstream_stands(int fd, const struct flow *flow);

/* 0 when the connection stands, or the negative errno with which it failed. */
int upstream_result(int fd);

/* What such an errno is to the connection. */
enum close_reason upstream_close_reason(int error);

/* The local address of a connected socket. */
int upstream_local(int fd, struct address *ret);

#endif
