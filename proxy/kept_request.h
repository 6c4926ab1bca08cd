/* SPDX-License-Identifier: Apache-2.0 */
/* kept_request.h - a copy of what a request was judged by, for as long as something of it is in
 * flight: a new policy is asked again.
 *
 * One block of memory. KEPT counts the bytes of all copies of a worker and bounds them; a request
 * for which there is no room is not copied, and ends with the next policy. Requests of HTTP/2 that
 * are alike share one copy.
 *
 * It also bounds what else requests in flight hold that a client can make much of: the streams of
 * HTTP/2, and what the records of answers need. */
#ifndef SLUICE_KEPT_REQUEST_H
#define SLUICE_KEPT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sluice/request.h"

#define KEPT_MAX	(256UL * 1024 * 1024) /* bytes per worker */
#define KEPT_OTHERS_MAX (256UL * 1024 * 1024) /* of streams and records */

struct kept {
	size_t bytes, max; /* MAX 0: nothing is kept */
	size_t others;	   /* bytes of kept_malloc() */
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

/* Memory for a stream or a record. NULL when there is no room or no memory. */
void *kept_malloc(struct kept *kept, size_t size);
void kept_free(struct kept *kept, void *memory); /* accepts NULL */

#endif
