/* SPDX-License-Identifier: Apache-2.0 */
/* status_server.h - answers `sluice status`: one document for each connection to a Unix socket.
 *
 * Part of the main thread's loop, which it never makes wait: a document is made by the host, once
 * for all who wait for it, and written as far as each client takes it. Nobody is answered with what
 * was counted before he asked. Only root, and the user as whom sluice runs, get an answer; the
 * socket's mode is 0600 from its first moment.
 *
 * Bounded: STATUS_CLIENTS_MAX connections at a time, others wait for their turn; each is closed
 * after STATUS_CLIENT_MS, whatever it has read. */
#ifndef SLUICE_STATUS_SERVER_H
#define SLUICE_STATUS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include "sluice/error.h"

#define STATUS_CLIENTS_MAX 8
#define STATUS_CLIENT_MS   10000
#define STATUS_BYTES_MAX   (16 * 1024 * 1024) /* of a document */
#define STATUS_FILE	   "status"	      /* in the directory of the state */

struct status_host {
	/* Make a document, and give it to status_server_answer(), now or later. One is asked for at
	 * a time. */
	void (*asked)(void *ctx);
};

struct status_client {
	struct status_server *server;
	int fd;
	enum { STATUS_FREE, STATUS_WAITING, STATUS_WRITING, STATUS_CLOSING } state;
	uint64_t round; /* by which document it can be answered, at the earliest */
	uint64_t until_ms;
	struct status_text *text;
	size_t sent;
	uv_poll_t poll;
};

/* Embedded by its owner, zeroed. */
struct status_server {
	const struct status_host *host;
	void *ctx;
	uv_loop_t *loop;
	int fd, fd_limit;
	char path[108];
	bool open, asking;
	uint64_t round; /* the document that is being made, or was last */
	uv_poll_t news;
	uv_timer_t tick;
	struct status_client clients[STATUS_CLIENTS_MAX];
};

/* Listen at PATH, in a directory that only root can write, and in whose place nobody else listens:
 * what is there is removed. FD_LIMIT: LOOP watches descriptors below it (loop.h). Returns 0, or a
 * negative errno with a sentence in ERR. */
int status_server_open(struct status_server *s, uv_loop_t *loop, int fd_limit, const char *path,
		       const struct status_host *host, void *ctx, struct error *err);
/* The document that was asked for. TEXT is taken over; NULL: there is none, and who waits is
 * disconnected. */
void status_server_answer(struct status_server *s, char *text, size_t len);
/* Nobody is asked any more, and the socket is gone; LOOP has to be run afterwards. Accepts a zeroed
 * one. */
void status_server_close(struct status_server *s);

#endif
