/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - one steered connection: the client's socket, the server's, and the relay between them.
 *
 * Made by the listener when a steered connection was accepted, owned by its worker, freed when both
 * sides are closed. Callbacks record what happened and call conn_step(), which alone
 * decides.
 *
 * Happy path: CONNECT (the upstream leg is being opened while the client's bytes are already read
 * and judged) -> RELAY -> CLOSING when both sides have ended. Failure modes: the upstream cannot be
 * reached, either side resets, the relay closes (both sides are reset); or the relay ends with an
 * answer of ours (DRAIN: the server is dropped, the client half-closed and read until it ends or
 * its time is up, so that the answer is not lost). */
#ifndef SLUICE_CONN_H
#define SLUICE_CONN_H

#include <stdint.h>
#include "h1_relay.h"
#include "h2_relay.h"
#include "side.h"
#include "sluice/close_reason.h"
#include "sluice/flow.h"

struct worker;
struct workload;
struct ruleset;

/* Made when the preface of HTTP/2 is seen, so that a connection of HTTP/1 does not pay for it. */
struct conn_h2 {
	struct h2_relay relay;
	uint32_t policy_generation; /* to which its streams were held */
};

enum conn_state { CONN_CONNECT, CONN_RELAY, CONN_DRAIN, CONN_CLOSING, CONN_STATE_MAX };

struct conn {
	struct conn *next, *prev; /* all connections of the worker, see workload.h */
	struct conn *turn_next;	  /* of those that wait for a turn */
	struct worker *worker;
	struct workload *workload;
	struct side down, up;
	struct h1_relay relay;
	struct conn_h2 *h2; /* NULL: not HTTP/2, or not known yet */
	struct flow flow;
	const struct ruleset *rules; /* NULL: the destination needs no L7 rule any more */
	uint32_t policy_generation; /* of the workload's policy that RULES was looked up in; 0: none
				     */
	uint32_t heads_timed;	    /* heads that had been read when DEADLINE_MS was set */
	uint64_t deadline_ms;	    /* of a head or of a drain; 0: none */
	uint64_t drain_until_ms;
	uint64_t moved_ms;    /* when bytes last came or went */
	uint8_t state;	      /* enum conn_state */
	uint8_t open_sides;   /* raised next to each successful side_open() */
	uint8_t why;	      /* enum close_reason */
	bool starved;	      /* reading waits for buffers */
	bool waits_for_turn;  /* see turns.h */
	bool left_behind;     /* its workload is gone, and had ended its half before */
	uint16_t short_ticks; /* of want of buffers, in which it held some all the time */
};

/* Begin with the accepted socket FD of WL, for which worker_admit() was asked. Resets FD on
 * failure.
 */
int conn_open(struct worker *w, struct workload *wl, int fd, const struct flow *flow);

/* Callable from any state or callback, any number of times; the first reason wins. C stays valid
 * until the loop runs. CLOSE_DONE ends both sockets in order, everything else resets them. */
void conn_close(struct conn *c, enum close_reason why);

/* Hold C to its workload's newest policy, if it has not met it: close it if its destination is not
 * allowed any more, or if a request of which something is in flight would be denied. Returns false
 * when C is closed. */
bool conn_hold(struct conn *c);
/* Its workload is gone. What it had sent before it ended is delivered, as the kernel would do;
 * everything else is closed. */
void conn_leave_behind(struct conn *c);
/* There is no place for it any more: close it. */
void conn_cast_off(struct conn *c);

/* Once a worker tick: let the time pass. */
void conn_tick(struct conn *c, uint64_t now_ms);

/* Nobody is left behind it: it goes as soon as what was sent is delivered. */
void conn_wind_up(struct conn *c);

/* What the relays call. */
extern const struct relay_host conn_relay_host;
extern const struct h2_relay_host conn_h2_host;

/* Count WHAT of a connection: for its worker, and for its workload. */
#define CONN_COUNT(c, what) ((c)->worker->metrics.what++, (c)->workload->metrics.what++)

/* Private to conn*.c. */
void conn_move(struct conn *c, enum conn_state to);
/* Do everything that can be done now, then wait for what is missing. */
void conn_step(struct conn *c);
/* The relay of HTTP/1, or from the preface of HTTP/2 on that of HTTP/2. */
size_t conn_feed(struct conn *c, enum relay_side from, const char *buf, size_t len);
void conn_rest(struct conn *c, enum relay_side from, const char *buf, size_t len);
void conn_eof(struct conn *c, enum relay_side from);
bool conn_wants(const struct conn *c, enum relay_side from, size_t unused);
/* Something of the client has begun and is not whole; *ROUND differs when it is another one. */
bool conn_waits_for_rest(const struct conn *c, uint32_t *round);
void conn_rest_timeout(struct conn *c);
/* Hold the streams of HTTP/2 to the newest policy, each for itself. */
void conn_h2_hold(struct conn *c);
/* What waited for room may go now. */
void conn_h2_step(struct conn *c);
/* So may what waited for its turn. */
void conn_h2_turn(struct conn *c);
void conn_h2_tick(struct conn *c);
bool conn_h2_begin(void *ctx);
void conn_relays_done(struct conn *c);
enum judged conn_h2_judge(void *ctx, struct h2_head *head, uint32_t stream, struct exchange *x,
			  bool *again);
bool conn_h2_still_allowed(void *ctx, struct h2_stream *s);
/* Look up the rules of the connection's destination in the newest policy. Returns false if it is no
 * longer allowed at all. */
bool conn_refresh_rules(struct conn *c);
struct verdict conn_verdict(struct conn *c, const struct request *req);
enum judged conn_judge(void *ctx, struct h1_head *head, struct exchange *x, struct span *edited);

#endif
