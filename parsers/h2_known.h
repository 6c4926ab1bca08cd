/* SPDX-License-Identifier: Apache-2.0 */
/* h2_known.h - header blocks that were read before, and what was made of them.
 *
 * Most requests of a client, and most answers, repeat their fields; once those are in HPACK's
 * table, the same fields are the same bytes. A block that changes nothing in the table means the
 * same as long as nothing else changes it, so whoever has read it once need not read it again, and
 * the decoder need not see it: to it such a block is as if it had never come. What was made of it
 * is kept here, in a small set for each direction of a connection, allocated when there is
 * something to keep.
 *
 * The owner may keep something of its own with the facts (KEPT), which is then held by the set, and
 * given back by RELEASE when the block is forgotten.
 *
 * Whatever changes the table empties the set. So must whoever's facts depend on more than the bytes
 * when that changes (a policy). Bytes are compared as a whole: the hash only says where to look. */
#ifndef SLUICE_H2_KNOWN_H
#define SLUICE_H2_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sluice/span.h"

#define H2_KNOWN_LEN  120 /* bytes of a block; longer ones are read each time */
#define H2_KNOWN_WAYS 4	  /* places for a block */
#define H2_KNOWN_SETS 8
#define H2_NO_STATUS  (-2) /* of gRPC: the field is not there */

/* What the relay needs to know of a block beside its bytes. */
struct h2_facts {
	uint64_t content_length; /* of a request */
	bool has_length;
	bool connect, protocol; /* method CONNECT without :protocol; with it */
	uint8_t grpc;		/* enum grpc_kind */
	uint16_t status;	/* of a response; 0: none, or not a number */
	int16_t grpc_status;	/* H2_NO_STATUS; -1: not a number */
	void *kept;		/* of the owner, or NULL */
};

struct h2_known_block {
	struct h2_facts facts;
	uint8_t len; /* 0: none */
	char bytes[H2_KNOWN_LEN];
};

struct h2_known_set {
	struct h2_known_block blocks[H2_KNOWN_SETS][H2_KNOWN_WAYS];
	uint8_t next[H2_KNOWN_SETS]; /* the place that is taken next */
};

struct h2_known {
	struct h2_known_set *set;		/* NULL: empty */
	bool off;				/* every block has to be read */
	void (*release)(void *ctx, void *kept); /* NULL: nothing is kept */
	void *ctx;
};

/* What was made of BLOCK, or NULL. Valid until the next call with K. */
const struct h2_facts *h2_known_find(const struct h2_known *k, struct span block);
/* Remember it, if it is short enough and there is memory: returns whether it is, and FACTS->kept
 * held from now on. BLOCK changes no table. */
bool h2_known_add(struct h2_known *k, struct span block, const struct h2_facts *facts);
void h2_known_forget(struct h2_known *k);
/* From now on as well: the fields themselves are needed. */
void h2_known_off(struct h2_known *k);

#endif
