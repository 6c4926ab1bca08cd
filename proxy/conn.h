/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - one steered connection: the client's socket, the server's, and the relay between them.
 *
 * Made by the listener when a steered connection was accepted, owned by its worker, freed when both
 * poll handles are closed. Callbacks record what happened and call conn_step(), which alone
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
#include "side.h"
#include "sluice/close_reason.h"
#include "sluice/flow.h"

#define CONN_HEAD_TIMEOUT_MS 60000 /* from the first byte of a head to its last */
#define CONN_DRAIN_IDLE_MS   5000  /* a client that is drained may be silent for so long */
#define CONN_DRAIN_TOTAL_MS  30000 /* and may take so long in all */

struct worker;
struct ruleset;
struct policy;

enum conn_state { CONN_CONNECT, CONN_RELAY, CONN_DRAIN, CONN_CLOSING, CONN_STATE_MAX };

struct conn {
	struct conn *next, *prev; /* all connections of the worker */
	struct worker *worker;
	struct side down, up;
	struct h1_relay relay;
	struct flow flow;
	const struct ruleset *rules; /* NULL: the destination needs no L7 rule any more */
	uint32_t
		policy_generation; /* of the worker's policy that RULES was looked up in; 0: none */
	uint32_t heads_timed;	   /* heads that had been read when DEADLINE_MS was set */
	uint64_t deadline_ms;	   /* of a head or of a drain; 0: none */
	uint64_t drain_until_ms;
	uint8_t state;	      /* enum conn_state */
	uint8_t open_handles; /* raised next to each successful side_open() */
	uint8_t why;	      /* enum close_reason */
	bool starved;	      /* reading waits for buffers */
};

/* Begin with the accepted socket FD. Closes FD on failure. */
int conn_open(struct worker *w, int fd, const struct flow *flow);

/* Callable from any state or callback, any number of times; the first reason wins. C stays valid
 * until the loop runs. CLOSE_DONE ends both sockets in order, everything else resets them. */
void conn_close(struct conn *c, enum close_reason why);

/* Once a worker tick: let the time pass. */
void conn_tick(struct conn *c, uint64_t now_ms);

/* The command has ended: its connections go as soon as what it sent is delivered. */
void conn_wind_up(struct conn *c);

/* What the relay calls. */
extern const struct relay_host conn_relay_host;

/* Private to conn*.c. */
void conn_move(struct conn *c, enum conn_state to);
/* Do everything that can be done now, then wait for what is missing. */
void conn_step(struct conn *c);
enum judged conn_judge(void *ctx, struct h1_head *head, struct exchange *x, struct span *edited);

#endif
