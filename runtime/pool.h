/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - memory that goes as a whole, and of which there is only so much.
 *
 * What a runtime sends is unpacked into one, so that a message of many small parts cannot become a
 * multiple of its size without end; and what is known of a pod is kept in one. Each piece is an
 * allocation of its own, which sanitizers can see. */
#ifndef SLUICE_POOL_H
#define SLUICE_POOL_H

#include <stddef.h>

struct pool_piece;

/* Zero but for LEFT is empty. */
struct pool {
	struct pool_piece *pieces;
	size_t left; /* bytes that may still be taken */
};

/* SIZE zeroed bytes, aligned for anything; NULL: no memory, or more than is left. */
void *pool_alloc(struct pool *p, size_t size);
/* A copy of TEXT; NULL as above. */
char *pool_text(struct pool *p, const char *text);
/* FROM, with all its pieces, is TO from now on, which is empty. */
void pool_move(struct pool *to, struct pool *from);
/* Gives one piece back; NULL is fine. */
void pool_drop(struct pool *p, void *memory);
/* Gives all back. */
void pool_done(struct pool *p);

#endif
