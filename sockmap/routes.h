/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h - tells the BPF programs which destinations are addresses of a host, and which have a
 * route.
 *
 * A mirror of the routing tables of one network namespace (rtnetlink), kept up to date while it is
 * read. It serves only to let a connect that must fail fail as it always did, and to tell the
 * entities `host` and `world` apart; a stale entry can refuse a connection, never let one pass
 * unjudged. */
#ifndef SLUICE_ROUTES_H
#define SLUICE_ROUTES_H

#include <stdint.h>
#include "sluice/error.h"

struct routes;
struct steer;

/* Load the tables of namespace NUMBER (steer.h) into the maps of S and subscribe to changes.
 * NETNS_FD is that namespace, and used here only; -1: the calling thread's own. */
int routes_open(struct steer *s, uint32_t number, int netns_fd, struct routes **ret,
		struct error *err);
/* Readable when something changed: call routes_update(). */
int routes_fd(const struct routes *r);
int routes_update(struct routes *r);
/* Before its namespace is removed, whose entries it takes away. Accepts NULL. */
void routes_close(struct routes *r);

#endif
