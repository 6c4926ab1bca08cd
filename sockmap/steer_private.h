/* SPDX-License-Identifier: Apache-2.0 */
/* steer_private.h - what the files of steer share; nobody else includes it. */
#ifndef SLUICE_STEER_PRIVATE_H
#define SLUICE_STEER_PRIVATE_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "decide.h"
#include "shared.h"
#include "steer.h"
#include "steer.skel.h"

#define STEER_LINKS	   15
#define STEER_ROUTES_MAX   (1u << 20)
#define STEER_EVENTS_BYTES (1u << 18) /* of the ring; each record in it has a header of 8 */
#define STEER_EVENTS_MAX   (STEER_EVENTS_BYTES / (8 + sizeof(struct event_record)))

struct steer {
	struct steer_bpf *skel;
	struct bpf_link *links[STEER_LINKS]; /* in the order of attaching; NULL: not attached */
	struct bpf_link *lookup; /* to the network namespace; NULL: no table had ingress yet */
	bool attached;
	struct ring_buffer *events;
	struct steer_config config; /* as it stands in the map */
	uint64_t netns;		    /* cookie of the network namespace of all that is ours */
	char pin_dir[512];	    /* "" until it was made */
	bool audit;
	uint64_t workload;					  /* 0: none yet */
	void (*on_event)(void *ctx, const struct steer_event *e); /* only within read_events */
	void *on_event_ctx;
	unsigned events_read; /* within one steer_read_events() */
};

/* Make S->config the one in force. */
int steer_write_config(struct steer *s);

/* Attach to the network namespace, if it is not done and a table wants it. 0 or a negative errno.
 */
int steer_attach_lookup(struct steer *s);
/* Pin LINK, but not in audit. */
int steer_pin_link(const struct steer *s, struct bpf_link *link, const char *name);

/* The end of a socket of ours. */
int steer_socket_name(int fd, struct endpoint *ret);
/* Is the socket FD in the namespace in which all that is ours has to be? A sentence in ERR if not.
 */
int steer_check_netns(const struct steer *s, int fd, struct error *err);
/* The cookie of the network namespace of socket FD, or of new sockets where FD is -1. */
int steer_cookie_of(int fd, uint64_t *ret);

/* One record of the ring, CTX is a struct steer; negative to stop after it. */
int steer_on_record(void *ctx, void *data, size_t size);

/* Of struct address, which keeps IPv4-mapped addresses as AF_INET, and back. */
struct endpoint endpoint_from_address(const struct address *a);
struct address address_from_endpoint(const struct endpoint *e);

#endif
