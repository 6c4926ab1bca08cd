/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_private.h - a client's calls: what grpc_client.c and grpc_call.c share.
 *
 * grpc_client.c has the connection, grpc_call.c what arrives for one call. A call that has failed
 * is reset and ended from the outside, when nghttp2 has returned: nothing is ended in the midst of
 * it. */
#ifndef SLUICE_GRPC_PRIVATE_H
#define SLUICE_GRPC_PRIVATE_H

#include <nghttp2/nghttp2.h>
#include "grpc_client.h"

#define GRPC_PREFIX 5 /* the flag that says compressed, and four bytes of length */

/* One place of a client's. */
struct grpc_slot {
	uint32_t number; /* of the call, 0: the place is free */
	int32_t stream;
	uint64_t deadline;
	void (*on_message)(void *ctx, const uint8_t *bytes, size_t len);
	void (*on_end)(void *ctx, const struct grpc_result *);
	void *ctx;

	uint8_t *request; /* with its prefix */
	size_t request_len, request_sent;

	uint8_t prefix[GRPC_PREFIX];
	size_t prefix_len;
	uint8_t *message; /* of which LEN bytes of TOTAL are there, and ROOM for so many */
	size_t len, total, room;
	bool whole;  /* a unary call's message is complete */
	bool headed; /* the first block of fields has been read */
	bool typed, status_ok, has_status;
	bool over;   /* nothing more counts; ended as soon as nghttp2 has returned */
	bool closed; /* the stream has, so there is nothing to reset */
	struct grpc_result result;
};

struct grpc_client {
	int fd;
	int error; /* 0, or why it is over */
	uint32_t last_number;
	size_t buffered; /* the sum of all room */
	nghttp2_session *session;
	struct grpc_slot slots[GRPC_CALLS_MAX];
};

/* Marks it over with ERROR, if it was not yet. */
void grpc_slot_fail(struct grpc_slot *, int error);
/* A field of a block: of the first one or, with TRAILER, of the last. */
void grpc_slot_field(struct grpc_slot *, const uint8_t *name, size_t name_len, const uint8_t *value,
		     size_t len);
/* The end of the first block. */
void grpc_slot_headed(struct grpc_slot *);
void grpc_slot_data(struct grpc_client *, struct grpc_slot *, const uint8_t *data, size_t len);
/* The server has said all. */
void grpc_slot_finish(struct grpc_slot *);
/* Frees what it holds, and the place. */
void grpc_slot_free(struct grpc_client *, struct grpc_slot *);

#endif
