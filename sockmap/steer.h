/* SPDX-License-Identifier: Apache-2.0 */
/* steer.h - steers the connections of one cgroup to our listeners, in both directions, and holds
 * the rest to the L3/L4 table.
 *
 * Owns the BPF programs, maps and links of one workload. steer_open() loads, steer_attach() makes
 * it effective and pins, steer_close() detaches and unpins. If the process dies in between, the
 * pinned links stay: steered connects are then refused (EPERM), since no listener of ours answers
 * any more. In audit nothing is pinned: the programs go with the process, and refuse nothing.
 * steer_take() and steer_set_local() may be called from any thread; everything else from one. */
#ifndef SLUICE_STEER_H
#define SLUICE_STEER_H

#include <stdbool.h>
#include <stdint.h>
#include "sluice/error.h"
#include "sluice/flow.h"
#include "sluice/l4.h"
#include "steer_event_kind.h"

struct steer;

struct steer_options {
	/* Steered connections between connect() and the accept() that takes them: what fits into
	 * the accept queues of all listeners, and as many again. Beyond them connections are
	 * refused. Kernel memory: 150 bytes for each of them beforehand, 150 more while it waits.
	 *
	 * A quarter as many that closed before they were taken are remembered (the oldest goes for
	 * a new one, and is then refused), and for twice as many live connections what
	 * getsockname() shall say (to others it says a loopback address). */
	uint32_t max_flows;
	/* Refuse nothing: what would be refused passes (unsteered), and is an event all the same.
	 */
	bool audit;
};

/* Open and load. On failure a sentence in ERR that says what to do. Returns 0, or a negative
 * errno. */
int steer_open(const struct steer_options *options, struct steer **ret, struct error *err);

/* Replace the L3/L4 table as a whole: whoever connects meets the old one or the new one, never a
 * mixture. */
int steer_set_table(struct steer *s, const struct l4_table *table, struct error *err);
/* The same in two steps: what takes long and can fail, in any thread, and what does not. The first
 * returns a descriptor, which the caller closes in the end; the second may be repeated. */
int steer_build_table(const struct l4_table *table, struct error *err);
/* Of TABLE, from which FD was built, only what it enforces is looked at. */
int steer_switch_table(struct steer *s, int fd, const struct l4_table *table, struct error *err);

/* Tell the programs of a listening TCP socket of ours (bound to 127.0.0.1 or ::1). All sockets of
 * one family share one port (SO_REUSEPORT). The mark lives in the socket: no other socket can be
 * taken for it. */
int steer_add_listener(struct steer *s, int fd, struct error *err);

/* Hand clients of the workload's servers to this listening TCP socket of ours as well, whatever it
 * is bound to. All sockets that are given share the clients of their family. At most INBOUND_MAX
 * for each. */
#define STEER_INBOUND_MAX 64
int steer_add_inbound(struct steer *s, int fd, struct error *err);

/* Attach to the cgroup and, but for audit, pin links and maps below PIN_DIR (a directory on bpffs,
 * made here). */
int steer_attach(struct steer *s, int cgroup_fd, const char *pin_dir, struct error *err);

/* Take the record of the connection that one of our listeners accepted from CLIENT, and delete it.
 * Returns 0, or -ENOENT: not steered, refuse it. */
int steer_take(struct steer *s, const struct address *client, struct flow *ret);

/* The upstream leg of the connection from CLIENT (as in struct flow) uses this local address: what
 * getsockname() shall answer to the application. Ignored once the application has closed its
 * socket. */
int steer_set_local(struct steer *s, const struct address *client, const struct address *local);

/* The connection that such a socket accepted, from its two ends: 0, and *RET without a source. It
 * was handed to us by the kernel, unless SERVER is the listener's own place. */
void steer_client(struct steer *s, const struct address *client, const struct address *server,
		  struct flow *ret);

/* Register FD, which is bound to FLOW->source (with its port) and about to connect to
 * FLOW->destination: our leg to the server, which shall see FLOW->client. Returns 0 or a negative
 * errno. To be undone when the leg is closed; what is not registered may be undone too. */
int steer_add_leg(struct steer *s, int fd, const struct flow *flow);
void steer_remove_leg(struct steer *s, const struct flow *flow);

/* What the programs refused: one event each (steer_event_kind.h), lost ones are counted. */
struct steer_event {
	enum steer_event_kind kind;
	uint8_t protocol;
	struct address destination; /* family 0 for STEER_SOCKET_REFUSED */
	struct address source;	    /* of what came in; family 0: it went out */
	uint32_t pid;
	bool audit;	  /* it passed all the same */
	char command[16]; /* NUL-terminated, chosen by the workload: escape it */
};

/* A descriptor that is readable as long as events wait; steer_read_events() then calls ON_EVENT for
 * each of those, though not for all that come meanwhile: at most for as many as can wait. */
int steer_events_fd(const struct steer *s);
int steer_read_events(struct steer *s, void (*on_event)(void *ctx, const struct steer_event *e),
		      void *ctx);

struct steer_counters {
	uint64_t events_lost; /* refusals of which no event could be delivered */
	uint64_t flows_open;  /* records in the table now: steered, not yet accepted */
	uint64_t refused[STEER_EVENT_MAX];
};
int steer_counters(const struct steer *s, struct steer_counters *ret);

/* Detach, unpin, free. Accepts NULL and half-built objects. */
void steer_close(struct steer *s);

#endif
