/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct pool_piece {
	struct pool_piece *next, **link;
	size_t size;
	alignas(max_align_t) char memory[];
};

void *pool_alloc(struct pool *p, size_t size)
{
	struct pool_piece *piece;

	if (size > p->left || sizeof(*piece) > p->left - size)
		return NULL;
	piece = calloc(1, sizeof(*piece) + size);
	if (!piece)
		return NULL;
	piece->size = sizeof(*piece) + size;
	p->left -= piece->size;
	piece->next = p->pieces;
	piece->link = &p->pieces;
	if (piece->next)
		piece->next->link = &piece->next;
	p->pieces = piece;
	return piece->memory;
}

char *pool_text(struct pool *p, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = pool_alloc(p, size);

	return copy ? memcpy(copy, text, size) : NULL;
}

void pool_drop(struct pool *p, void *memory)
{
	struct pool_piece *piece;

	if (!memory)
		return;
	piece = (struct pool_piece *)((char *)memory - offsetof(struct pool_piece, memory));
	p->left += piece->size;
	*piece->link = piece->next;
	if (piece->next)
		piece->next->link = piece->link;
	free(piece);
}

void pool_move(struct pool *to, struct pool *from)
{
	*to = *from;
	if (to->pieces)
		to->pieces->link = &to->pieces;
	from->pieces = NULL;
}

void pool_done(struct pool *p)
{
	struct pool_piece *next;

	for (struct pool_piece *piece = p->pieces; piece; piece = next) {
		next = piece->next;
		p->left += piece->size;
		free(piece);
	}
	p->pieces = NULL;
}
