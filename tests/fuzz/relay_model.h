/* SPDX-License-Identifier: Apache-2.0 */
/* relay_model.h - what the relay may do, worked out anew from the bytes that leave it.
 *
 * The model knows the verdicts and the bytes that go up and down, and reads both streams with
 * parsers of its own:
 *  - what goes up is a sequence of requests, each of which was allowed, in the order of the
 *    judgements, none twice and none left out, each head byte for byte as it came or, where it is
 *    to be edited, as head_model.h has it;
 *  - behind an Upgrade or CONNECT nothing goes up until its answer is complete, and nothing unread
 *    unless that answer agreed;
 *  - answers go down in the order of the requests, sluice's own only between two of the server's,
 *    only to requests that were denied or refused, and with the status that belongs to them;
 *  - after a response that nobody can match to a request, no further request goes up; after a final
 *    answer to an announced body, nothing of that body. */
#ifndef SLUICE_FUZZ_RELAY_MODEL_H
#define SLUICE_FUZZ_RELAY_MODEL_H

#include "relay_stage.h"

#define MODEL_REQUESTS_MAX 65536

struct model_request {
	uint64_t hash; /* of the head that has to leave */
	uint8_t verdict, upgrade;
	bool head, connect, expect;
};

struct relay_model {
	struct stage *stage;
	struct h1 up, down;
	struct h1_head scratch;
	size_t n_judged;
	size_t n_up;	   /* judged requests up to the last one whose head has gone up */
	size_t n_answered; /* requests whose answer is complete */
	size_t n_allowed, n_heads_up;
	bool in_request;  /* the last head that went up has a body that goes on */
	bool body_begun;  /* a byte of it went up, or 100 came down */
	bool holding;	  /* what went up last asked for another protocol */
	bool in_response; /* the server's */
	bool interim;	  /* and it is a 1xx */
	bool tunnel, raw, stale;
	unsigned refused; /* the last status that was announced as a refusal */
	struct model_request requests[MODEL_REQUESTS_MAX];
};

void model_begin(struct relay_model *m, struct stage *stage);
/* Before the first step: the stage is in audit, and holds the relay to letting everything pass, at
 * once and in order. The model has only to see that nothing is made up or kept. */
void model_begin_audit(struct relay_model *m);
/* After every step. */
void model_check(const struct relay_model *m);

#endif
