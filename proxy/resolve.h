/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.h - which addresses a name stands for, and which servers answer for names. Both wait for
 * as long as the system's resolver and files take: for the start of a run, never for a worker. */
#ifndef SLUICE_RESOLVE_H
#define SLUICE_RESOLVE_H

#include <stddef.h>
#include <stdio.h>
#include "sluice/address.h"
#include "sluice/error.h"

/* Without ports, each once. Zero it before first use. */
struct addresses {
	struct address *items;
	size_t n;
};

/* Add all addresses of NAME, of both families, to RET: what the system's resolver says, and for
 * localhost and names below it both loopback addresses, since many clients do not ask for those.
 * -ENOENT with the reason in ERR, or -ENOMEM. */
int resolve_name(const char *name, struct addresses *ret, struct error *err);

/* Add the resolvers that the file PATH, of the form of resolv.conf(5), names to RET: all of them,
 * also beyond the three that libc asks. Where it names none, or there is no file, those are asked
 * that listen on loopback. -ENOMEM, or the errno of the file. */
int resolve_servers(const char *path, struct addresses *ret, struct error *err);

void addresses_done(struct addresses *a);

#endif
