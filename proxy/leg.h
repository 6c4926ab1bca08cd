/* SPDX-License-Identifier: Apache-2.0 */
/* leg.h - the leg to a server of the workload, for a connection that came in.
 *
 * It comes from the server's own address, since the client's is in use by the client's connection
 * to us. The BPF programs know it, so that they do not hand it to us again and so that the server
 * is told the client's address. */
#ifndef SLUICE_LEG_H
#define SLUICE_LEG_H

#include "sluice/flow.h"

#define LEG_TRIES 16 /* of source ports, some of which may rest in TIME_WAIT */

struct netns;
struct steer;

/* As upstream_connect(), and stores the near end in FLOW->source. */
int leg_connect(struct steer *steer, const struct netns *netns, struct flow *flow);

/* The socket of the leg is closed, if there ever was one. */
void leg_forget(struct steer *steer, const struct flow *flow);

#endif
