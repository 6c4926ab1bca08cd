/* SPDX-License-Identifier: Apache-2.0 */
/* steer.h - steers the connections of workloads to our listeners, in both directions, and holds the
 * rest to each workload's L3/L4 table.
 *
 * Owns one set of BPF programs and maps. The programs are attached to cgroups, the attach points;
 * a workload is a cgroup at one of those or below it, and belongs to it whatever socket was made in
 * that cgroup or below, down to the next workload: a socket stays with its cgroup, wherever the
 * process goes that holds it. Who is in no workload is left alone.
 *
 * steer_open() loads, steer_attach() makes it effective and pins, steer_close() detaches and
 * unpins. If the process dies in between, the pinned links stay: steered connects are then refused
 * (EPERM), since no listener of ours answers any more. In audit nothing is pinned: the programs go
 * with the process, and refuse nothing.
 *
 * Network namespaces have numbers, 0 is the one in which steer_open() was called ("the host's").
 * What has to be steered in one that is not registered is refused.
 *
 * steer_take(), steer_client(), steer_set_local() and those for legs may be called from any thread,
 * for a namespace that is registered; everything else from one. */
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
	uint32_t max_workloads; /* at a time; 0 is 1 */
	uint32_t max_netns;	/* with the host's; 0 is 1 */
	/* Refuse nothing: what would be refused passes (unsteered), and is an event all the same.
	 */
	bool audit;
};

/* Open and load; the caller's network namespace gets the number 0. On failure a sentence in ERR
 * that says what to do. Returns 0, or a negative errno. */
int steer_open(const struct steer_options *options, struct steer **ret, struct error *err);

/* ---- workloads ---- */

/* Of a workload whose network namespace is another one than the host's: police its connections to
 * itself (loopback, own addresses) too, which are left alone otherwise. */
#define STEER_WORKLOAD_LOOPBACK 1u
/* Of such a workload: hold the host to the table too, which may always connect to it otherwise. */
#define STEER_WORKLOAD_HOST_HELD 2u

/* Sockets of the cgroup with this id (cgroup_id()) and below it are the workload *RET as soon as it
 * has a table, also those that are there already: their next packet is judged. Until then they
 * belong to the workload above it, if there is one. An id of a workload is never 0 and never used
 * twice. Returns 0, or a negative errno with a sentence in ERR: -EEXIST, the cgroup is a workload
 * already; -ENOSPC, there are as many as may be. */
int steer_add_workload(struct steer *s, uint64_t cgroup_id, unsigned flags, uint64_t *ret,
		       struct error *err);
/* Its other FLAGS, in place, for whatever is judged from now on. Returns 0 or a negative errno, and
 * nothing has happened. */
int steer_set_flags(struct steer *s, uint64_t workload, unsigned flags);
/* What was judged by the flags of before is judged again, for all workloads that have got others:
 * waits once for the programs. Returns 0 or a negative errno: then call it again. */
int steer_renew(struct steer *s);
/* Its sockets are free from now on, or belong to the workload above; but if its cgroup is gone they
 * stay refused as long as somebody holds them. Returns 0 or a negative errno: then call it again.
 */
int steer_remove_workload(struct steer *s, uint64_t workload);

/* Replace the L3/L4 table of a workload as a whole: whoever connects meets the old one or the new
 * one, never a mixture. */
int steer_set_table(struct steer *s, uint64_t workload, const struct l4_table *table,
		    struct error *err);
/* The same in two steps: what takes long and can fail, in any thread, and what does not. The first
 * returns a descriptor, which the caller closes in the end, and which may serve any number of
 * workloads; the second may be repeated. */
int steer_build_table(const struct l4_table *table, struct error *err);
/* Attach to the registered network namespaces what tables that enforce ingress need, before one is
 * switched to or afterwards: that may fail for good. Where it does, and as long as it does, clients
 * that have to be read are not let in, and those that are refused get no answer; everything else is
 * as it should be. Returns 0, or a negative errno with a sentence in ERR; then call it again. Does
 * nothing while nothing is attached to a cgroup. */
int steer_prepare_ingress(struct steer *s, struct error *err);
/* Of TABLE, from which FD was built, only what it enforces is looked at. */
int steer_switch_table(struct steer *s, uint64_t workload, int fd, const struct l4_table *table,
		       struct error *err);

/* ---- network namespaces ---- */

/* Register the namespace NETNS_FD (/proc/PID/ns/net; it may be closed afterwards). Its listeners
 * and routes come next; until then what has to be read is refused there. Returns 0; -EEXIST, it is
 * registered already, and *NUMBER names it; or another negative errno with a sentence in ERR. */
int steer_add_netns(struct steer *s, int netns_fd, uint32_t *number, struct error *err);
/* Its listeners must be closed, its connections ended and its routes (routes.h) closed before: the
 * number is given to the next one. Not 0, which stays. */
void steer_remove_netns(struct steer *s, uint32_t number);
/* The cookie by which events name it; 0: there is no such number. */
uint64_t steer_netns_cookie(const struct steer *s, uint32_t number);

/* Tell the programs of a listening TCP socket of ours (bound to 127.0.0.1 or ::1) in the namespace
 * in which it was made, which must be registered. All sockets of one family and namespace share one
 * port (SO_REUSEPORT). The mark lives in the socket: no other socket can be taken for it. */
int steer_add_listener(struct steer *s, int fd, struct error *err);

/* Hand clients of the workloads' servers in that namespace to this listening TCP socket of ours as
 * well, whatever it is bound to. All sockets that are given share the clients of their family. At
 * most STEER_INBOUND_MAX for each. */
#define STEER_INBOUND_MAX 64
int steer_add_inbound(struct steer *s, int fd, struct error *err);

/* Make known to the programs the TCP sockets of namespace NUMBER that are older than they are:
 * where workloads listen, and which connections they have. Call it after steer_attach(), and
 * steer_sweep() afterwards. What was known already stays as it is. Adds to RET how many of them are
 * workloads'. Returns 0, or a negative errno with a sentence in ERR: nothing passes on those that
 * were not found, once their workload is enforced. */
struct steer_adopted {
	uint64_t listeners, connections;
};
int steer_adopt(struct steer *s, uint32_t number, struct steer_adopted *ret, struct error *err);

/* A listening TCP socket that a process of a workload holds, but that belongs to another cgroup, in
 * which it was made: what comes to it is not held to the workload's policy. */
struct steer_foreign {
	uint64_t workload, netns_cookie;
	struct address at;
	uint32_t pid;	  /* who holds it */
	char command[16]; /* NUL-terminated, chosen by the workload: escape it */
};
/* Look at every descriptor of every process, and call ON_FOREIGN for each. Returns 0 or a negative
 * errno. */
int steer_each_foreign(struct steer *s,
		       void (*on_foreign)(void *ctx, const struct steer_foreign *f), void *ctx);

/* ---- attach points ---- */

/* Attach to the cgroup and, but for audit, pin links and maps below PIN_DIR (a directory on bpffs,
 * made here at the first time, and the same each time). Any number of cgroups, none below another.
 */
int steer_attach(struct steer *s, int cgroup_fd, const char *pin_dir, struct error *err);
/* Nothing below that cgroup is held any more; but if it is gone, what is left of its sockets stays
 * so until they are closed. Returns 0, or -ENOENT: it was not attached to. */
int steer_detach(struct steer *s, int cgroup_fd);

/* ---- connections ---- */

/* Take the record of the connection that one of our listeners in namespace NETNS accepted from
 * CLIENT, and delete it. Returns 0, or -ENOENT: not steered, refuse it. */
int steer_take(struct steer *s, uint32_t netns, const struct address *client, struct flow *ret);

/* The upstream leg of FLOW (of which namespace and client count) uses this local address: what
 * getsockname() shall answer to the application. Ignored once the application has closed its
 * socket. */
int steer_set_local(struct steer *s, const struct flow *flow, const struct address *local);

/* The connection that a listener for clients in NETNS accepted, from its two ends: 0, and *RET
 * without a source, or -ENOENT: no workload listens at SERVER, refuse it. It was handed to us by
 * the kernel, unless SERVER is the listener's own place. */
int steer_client(struct steer *s, uint32_t netns, const struct address *client,
		 const struct address *server, struct flow *ret);

/* Register FD, which is bound to FLOW->source (with its port) in FLOW->netns and about to connect
 * to FLOW->destination: our leg to the server, which shall see FLOW->client. Returns 0 or a
 * negative errno. To be undone when the leg is closed; what is not registered may be undone too. */
int steer_add_leg(struct steer *s, int fd, const struct flow *flow);
void steer_remove_leg(struct steer *s, const struct flow *flow);

/* ---- what is told ---- */

/* What the programs refused or noticed: one event each (steer_event_kind.h), lost ones are counted.
 */
struct steer_event {
	enum steer_event_kind kind;
	uint8_t protocol;
	struct address destination; /* family 0 for STEER_SOCKET_REFUSED */
	struct address source;	    /* of what came in; family 0: it went out */
	uint64_t workload;
	uint64_t netns_cookie; /* 0: not known */
	uint32_t pid;	       /* 0: none is to blame; as the host's pid namespace counts */
	bool audit;	       /* it passed all the same */
	char command[16];      /* NUL-terminated, chosen by the workload: escape it */
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
/* How often each kind has happened to that workload: 0, or -ENOENT. */
int steer_workload_counters(const struct steer *s, uint64_t workload,
			    uint64_t refused[STEER_EVENT_MAX]);

/* Detach, unpin, free. Accepts NULL and half-built objects. */
void steer_close(struct steer *s);

#endif
