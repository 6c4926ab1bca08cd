/* SPDX-License-Identifier: Apache-2.0 */
/* kept_request.h - a copy of what a request was judged by, for as long as something of it is in
 * flight: a new policy is asked again.
 *
 * One block of memory. KEPT counts the bytes of all copies of a worker and bounds them; a request
 * for which there is no room is not copied, and ends with the next policy. Requests of HTTP/2 that
 * are alike share one copy, so it is counted by whom it is held. */
#ifndef SLUICE_KEPT_REQUEST_H
#define SLUICE_KEPT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sluice/request.h"

#define KEPT_MAX (256UL * 1024 * 1024) /* bytes per worker */

struct kept {
	size_t bytes, max; /* MAX 0: nothing is kept */
};

struct kept_request {
	struct request req; /* without readings */
	size_t size;
	unsigned n_refs;
	uint32_t stream; /* of HTTP/2; 0: none. Where it is shared: of whom it was asked for last */
	uint8_t version; /* 10, 11 or 20 */
	bool connect;
	bool grpc;
	struct header headers[];
};

/* NULL when there is no room or no memory. */
struct kept_request *kept_request_new(struct kept *kept, const struct request *req);
struct kept_request *kept_request_ref(struct kept_request *k);	    /* accepts NULL */
void kept_request_unref(struct kept *kept, struct kept_request *k); /* accepts NULL */

#endif
