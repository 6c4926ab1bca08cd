/* SPDX-License-Identifier: Apache-2.0 */
/* turns.h - connections that have more to do at once than others should wait for.
 *
 * One queue per worker, used by its thread only. In every round of the event loop the first of them
 * goes on for a while, between the events of all others. A connection that is freed is forgotten
 * before. */
#ifndef SLUICE_TURNS_H
#define SLUICE_TURNS_H

#include <uv.h>

struct conn;

struct turns {
	uv_idle_t idle;
	struct conn *first, *last;
};

void turns_init(struct turns *t, uv_loop_t *loop);
void turns_close(struct turns *t);
/* C goes on, with conn_h2_turn(), when its turn comes. It may be waiting already. */
void turns_wait(struct turns *t, struct conn *c);
void turns_forget(struct turns *t, struct conn *c);

#endif
