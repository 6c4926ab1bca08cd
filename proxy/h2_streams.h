/* SPDX-License-Identifier: Apache-2.0 */
/* h2_streams.h - the requests on an HTTP/2 connection that were passed on and are not over.
 *
 * A stream is made when its request was allowed, and freed when both sides have ended it or one has
 * reset it. Denied requests have none: whatever a client sends on a stream that is not here goes
 * nowhere, so there is nothing to remember of them. */
#ifndef SLUICE_H2_STREAMS_H
#define SLUICE_H2_STREAMS_H

#include "exchange.h"

struct h2_stream {
	struct h2_stream *next;	       /* of its bucket */
	struct h2_stream *killed_next; /* younger one that sluice has reset as well */
	struct exchange x;	       /* what its records and a new policy need */
	uint32_t id;
	uint64_t body_left; /* of a body whose length was announced */
	bool has_length;
	bool client_ended, server_ended;
	bool responded; /* the head of the final response has come */
	bool killed;	/* reset by sluice: what still comes goes nowhere */
	bool reported;	/* the host knows of its end */
	bool tunnel;	/* CONNECT, with or without :protocol */
	uint8_t grpc;	/* enum grpc_kind */
	uint16_t status;
	int16_t grpc_status; /* -1: none came */
};

struct h2_streams {
	struct h2_stream **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t n;
	struct kept *kept; /* of whom the copies of requests are, and the streams */
};

/* NULL when out of memory, or of what KEPT allows. ID must not be there yet. */
struct h2_stream *h2_streams_add(struct h2_streams *t, uint32_t id);
struct h2_stream *h2_streams_find(const struct h2_streams *t, uint32_t id);
void h2_streams_remove(struct h2_streams *t, struct h2_stream *s);
/* The one behind S, or the first for NULL; in no order. NULL at the end. Nothing may be added or
 * removed in between. */
struct h2_stream *h2_streams_next(const struct h2_streams *t, const struct h2_stream *s);
void h2_streams_done(struct h2_streams *t);

#endif
