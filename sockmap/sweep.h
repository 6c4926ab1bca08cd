/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.h - ends the connections that sluice does not carry and that the table in force would
 * refuse or steer, those that the workload accepted among them.
 *
 * They were left alone by an earlier table, or while nothing was enforced. From the moment in which
 * the new table is in force no packet of theirs passes the backstop; the sweep makes both ends
 * notice. A connect() that was between its hook and its SYN is not seen yet: sweep again a little
 * later. */
#ifndef SLUICE_SWEEP_H
#define SLUICE_SWEEP_H

#include "sluice/address.h"

struct steer;

struct swept {
	struct address source, destination;
	uint64_t workload;
	bool ingress; /* the workload accepted it */
	/* 0: it was ended; -EOPNOTSUPP: the kernel cannot (CONFIG_INET_DIAG_DESTROY); -ENOENT: its
	 * network namespace cannot be reached; or another negative errno. In these cases it is not
	 * ended, but nothing passes on it. */
	int result;
};

/* Calls ON_SWEPT for each of them. Returns 0, or a negative errno when they could not all be
 * listed. */
int steer_sweep(struct steer *s, void (*on_swept)(void *ctx, const struct swept *e), void *ctx);

#endif
