/* SPDX-License-Identifier: Apache-2.0 */
/* head_model.h - a request head as header actions leave it, worked out in the plainest way: a list
 * of lines, which each action goes through in its turn. */
#ifndef SLUICE_FUZZ_HEAD_MODEL_H
#define SLUICE_FUZZ_HEAD_MODEL_H

#include "h1.h"
#include "sluice/verdict.h"

#define HEAD_MODEL_LINES_MAX (H1_FIELDS_MAX + VERDICT_ACTIONS_MAX + 1)

struct head_model_line {
	struct span name, value; /* of a line that an action has made */
	struct span line;	 /* of one that was there */
};

/* A number for all bytes of RAW with the N actions carried out. Two heads of the same bytes have
 * the same number. */
uint64_t head_model_hash(struct span raw, const struct header_action *const *actions, size_t n);

#endif
