/* SPDX-License-Identifier: Apache-2.0 */
/* allow.h - a policy in one argument: "GET,HEAD http://127.0.0.1:9000/status", read, and written
 * out as the document that it stands for. In the path "*" is anything within a segment, "**"
 * anything.
 *
 * It is the document that is loaded, so what is shown of it is what holds. Names are resolved in
 * between by the caller, since nothing here does I/O. */
#ifndef SLUICE_ALLOW_H
#define SLUICE_ALLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "diag.h"
#include "sluice/address.h"
#include "sluice/span.h"

/* What was written; the spans point into the argument. */
struct allow {
	struct span methods;	/* "GET,HEAD", or "*" */
	struct span host;	/* a name, or an address without its brackets */
	bool is_name;		/* HOST has to be resolved */
	struct address address; /* of HOST if it is none; without port */
	uint16_t port;
	struct span path; /* from the first "/" on, with "*" and "**" */
};

/* Read TEXT. The error goes to DIAG, as of line 1 of a file called NAME. 0 or -EINVAL. */
int allow_parse(const char *name, const char *text, struct allow *ret, struct diag *diag);

struct allow_target {
	struct allow allow;
	/* What a name was resolved to; ports are ignored. None: nothing is allowed. Unused where
	 * the host is an address. */
	const struct address *addresses;
	size_t n_addresses;
};

/* The document for all of TARGETS, and for DNS to RESOLVERS, for the caller to free. NULL when out
 * of memory.
 *
 * Where a name was written, requests are held to it as their authority: one address often serves
 * many names, and only one of them was allowed. Where an address was written it stands for the
 * server, whatever name a client has for it. */
char *allow_document(const struct allow_target *targets, size_t n, const struct address *resolvers,
		     size_t n_resolvers);

#endif
