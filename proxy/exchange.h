/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.h - one request on an HTTP/1 connection, from its head until its answer is complete.
 *
 * A connection keeps its exchanges in a queue, in the order of the requests: the answers have to
 * leave in the same order, those of the server and our own alike. Borrowed from a list that a
 * worker keeps. */
#ifndef SLUICE_EXCHANGE_H
#define SLUICE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include "kept_request.h"

#define EXCHANGE_CACHED_MAX 256

struct exchange {
	struct exchange *next;
	uint64_t started_ns; /* monotonic; 0 when nobody will ask for the latency */
	char *record; /* the record's part that request and response share, by kept_malloc(), or
		       * NULL
		       */
	struct kept_request *kept; /* what was judged; NULL: nothing was forwarded, or no room */
	uint16_t answer; /* 0: forwarded, the server answers; else the status that we answer */
	uint8_t version; /* of the request: 10 or 11 */
	uint8_t upgrade; /* enum h1_upgrade */
	bool head, connect, expect; /* method HEAD, CONNECT; the request announced its body */
	bool close;		    /* our answer is the last one on this connection */
	bool response_begun;	    /* a byte of the final response has been passed on */
	bool audited;		    /* it would have been denied */
};

struct exchange_pool {
	struct exchange *cached;
	unsigned n_cached;
	unsigned n_lent;
	struct kept kept;
};

struct exchange *exchange_get(struct exchange_pool *p); /* zeroed; NULL when out of memory */
void exchange_put(struct exchange_pool *p, struct exchange *x);
void exchange_pool_done(struct exchange_pool *p);

#endif
