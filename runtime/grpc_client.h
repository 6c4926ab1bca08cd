/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_client.h - calls of gRPC over one connection, for whoever has a loop of his own.
 *
 * Nothing here waits, and nothing knows a clock: the owner polls the descriptor for what
 * grpc_client_events() says, tells what happened, and says what time it is, in milliseconds
 * of a clock that does not jump. Callbacks come from within grpc_client_on_ready() and
 * grpc_client_on_time() alone; they may start and cancel calls, but not free the client.
 *
 * The other end is not trusted. Whatever it sends, or fails to, a call ends with a result:
 * messages, their sum over all calls, calls at once and the time of each are bounded, and one turn
 * reads no more than GRPC_TURN_BYTES. What breaks the rules of gRPC ends the call, what breaks
 * those of HTTP/2 the connection. */
#ifndef SLUICE_GRPC_CLIENT_H
#define SLUICE_GRPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct grpc_client;

#define GRPC_MESSAGE_MAX  (16u << 20) /* as the kubelet takes from runtimes */
#define GRPC_BUFFERED_MAX (32u << 20) /* of all calls of a client */
#define GRPC_CALLS_MAX	  16
#define GRPC_TURN_BYTES	  (256u * 1024)
#define GRPC_TEXT_MAX	  256
#define GRPC_NEVER	  UINT64_MAX

/* Codes of gRPC that mean something to our callers. */
#define GRPC_NOT_FOUND	   5
#define GRPC_UNIMPLEMENTED 12

/* How a call ended. ERROR is 0, or
 *	-EREMOTEIO	the server's status is not 0: see STATUS, and TEXT if it gave one
 *	-ETIMEDOUT	it took too long
 *	-EMSGSIZE	a message, or what is buffered for all calls, is too long
 *	-EPROTO		that was no gRPC: not status 200, another type, compressed, cut, no trailers
 *	-ECONNRESET	the stream or the connection ended
 *	-ENOMEM		*/
struct grpc_result {
	int error;
	bool lost; /* the whole connection is over */
	uint32_t status;
	char text[GRPC_TEXT_MAX]; /* printable ASCII */
	const uint8_t *message;	  /* of a unary call that succeeded; valid in the callback */
	size_t len;
};

struct grpc_call {
	const char *path;	/* "/package.Service/Method" */
	const uint8_t *request; /* copied */
	size_t len;
	uint64_t timeout; /* ms; 0: as long as it lasts, for streams */
	/* NULL: unary, one message, which comes with the end. BYTES are valid in the callback. */
	void (*on_message)(void *ctx, const uint8_t *bytes, size_t len);
	/* Exactly once, unless the call is cancelled. */
	void (*on_end)(void *ctx, const struct grpc_result *);
	void *ctx;
};

/* A connected, non-blocking stream socket at PATH; -errno. */
int grpc_connect(const char *path);

/* FD becomes the client's on success. -ENOMEM. */
int grpc_client_new(int fd, struct grpc_client **ret);
/* Ends all calls without a callback, and closes the descriptor. NULL is fine. */
void grpc_client_free(struct grpc_client *);

/* Starts a call and stores its number, which is never 0. -EBUSY: there are GRPC_CALLS_MAX;
 * -EPIPE: the connection takes no more; -ENOMEM. No callback comes from within. */
int grpc_client_call(struct grpc_client *, const struct grpc_call *, uint64_t now, uint32_t *ret);
/* There will be no callback. A number of a call that has ended does nothing. */
void grpc_client_cancel(struct grpc_client *, uint32_t call);

/* What to poll for: POLLIN, and POLLOUT if something is to be written. */
short grpc_client_events(const struct grpc_client *);
/* When grpc_client_on_time() has something to do, or GRPC_NEVER. */
uint64_t grpc_client_deadline(const struct grpc_client *);
/* Both return 0, or why the connection is over; then all calls have ended with that and the client
 * can only be freed. */
int grpc_client_on_ready(struct grpc_client *, short revents);
int grpc_client_on_time(struct grpc_client *, uint64_t now);

#endif
