/* SPDX-License-Identifier: Apache-2.0 */
/* request.h - the read-only view of one request that is judged.
 *
 * Made by a parser, judged by the policy. All spans point into the parser's input (and, for
 * READINGS, into the caller's scratch); the view is valid until either of them changes. */
#ifndef SLUICE_REQUEST_H
#define SLUICE_REQUEST_H

#include "sluice/span.h"

struct header {
	struct span name;  /* as sent; compared without case */
	struct span value; /* without the blanks around it */
};

struct request {
	struct span method;
	struct span path;      /* path with query, as sent; "*" for OPTIONS *; empty for CONNECT */
	struct span authority; /* as sent, with port; empty only in HTTP/1.0 without Host */
	const struct header *headers;
	size_t n_headers;
	/* Every way a server could read PATH, each with its query. readings[0] is PATH as sent. A
	 * request is allowed only if each reading is allowed by some rule. Never empty. */
	const struct span *readings;
	size_t n_readings;
};

#endif
