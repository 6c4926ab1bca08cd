/* SPDX-License-Identifier: Apache-2.0 */
/* talk_cut.h - how the bytes of a conversation are cut, and what else differs from time to time. */
#ifndef SLUICE_TEST_TALK_CUT_H
#define SLUICE_TEST_TALK_CUT_H

#include "h1_relay.h"

struct talk_cut {
	size_t at[2];  /* the byte of each side's stream before which it is cut; 0: nowhere */
	size_t step;   /* or cut after so many bytes, again and again; 0: whole */
	bool congest;  /* every send fills the other socket for a while */
	bool up_first; /* the server's bytes have their turn first */
	bool audit;    /* the relay only looks on */
};

/* Of LEFT bytes, the first of which is number DONE of its side's stream: how many come at once. */
static inline size_t talk_cut_piece(const struct talk_cut *cut, enum relay_side from, size_t left,
				    size_t done)
{
	size_t n = cut->step && left > cut->step ? cut->step : left, where = cut->at[from];

	return where > done && where - done < n ? where - done : n;
}

#endif
