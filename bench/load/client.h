/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - what the load generator was asked for (client_options.c), and the generators
 * themselves (client.c, h2_client.c). */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
	struct sockaddr_in to;
	unsigned connections;
	double seconds;
	char **targets; /* each connection takes the next one for each request */
	size_t n_targets;
	const char *method;
	uint64_t body;	    /* bytes that a request carries */
	bool close;	    /* a connection for each request */
	unsigned websocket; /* payload of the frames; 0: HTTP */
	unsigned expect;    /* the status that every answer has to have */
	unsigned streams;   /* of HTTP/2, on each connection */
	unsigned messages;  /* of a gRPC call, each way; 0: no gRPC */
	const char *hold;   /* one exchange each, then stay until this file is gone */
};

/* Exits with a message when the arguments are not right. */
void options_read(struct options *o, int argc, char **argv);
void options_done(struct options *o);

#endif
