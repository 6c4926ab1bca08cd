/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.h - what makes an HTTP/2 request a gRPC call, and how such a call ends.
 *
 * Pure functions on what HTTP/2 carries; the messages in the bodies are never read. */
#ifndef SLUICE_GRPC_H
#define SLUICE_GRPC_H

#include <stdbool.h>
#include "sluice/span.h"

enum grpc_kind {
	GRPC_NONE,
	GRPC_CALL, /* application/grpc, with or without +proto and parameters */
	GRPC_WEB,  /* application/grpc-web: an ordinary request to whoever answers it */
};

#define GRPC_STATUS_MAX		      16 /* the highest that is defined */
#define GRPC_STATUS_PERMISSION_DENIED 7

/* By the value of content-type. */
enum grpc_kind grpc_kind_of(struct span content_type);

/* "/package.Service/Method" in its two parts. False: PATH is not of that form, or has a query. */
bool grpc_split_path(struct span path, struct span *service, struct span *method);

/* The value of grpc-status: 0 and more, or -1 where it is not a number of at most three digits. */
int grpc_status(struct span value);

/* The name of a status ("PERMISSION_DENIED"), or NULL for a number that has none. */
const char *grpc_status_name(int status);

/* Undo the percent-encoding of grpc-message, as far as it fits into BUF of SIZE bytes. Returns the
 * number of bytes written. What is not an escape stays as it is. */
size_t grpc_message(struct span value, char *buf, size_t size);

#endif
