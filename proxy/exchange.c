/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"
#include <assert.h>
#include <stdlib.h>

struct exchange *exchange_get(struct exchange_pool *p)
{
	struct exchange *x = p->cached;

	if (x) {
		p->cached = x->next;
		p->n_cached--;
	} else {
		x = malloc(sizeof(*x));
		if (!x)
			return NULL;
	}
	*x = (struct exchange){ 0 };
	p->n_lent++;
	return x;
}

void exchange_put(struct exchange_pool *p, struct exchange *x)
{
	assert(p->n_lent > 0);
	p->n_lent--;
	kept_free(&p->kept, x->record);
	kept_request_unref(&p->kept, x->kept);
	if (p->n_cached >= EXCHANGE_CACHED_MAX) {
		free(x);
		return;
	}
	x->next = p->cached;
	p->cached = x;
	p->n_cached++;
}

void exchange_pool_done(struct exchange_pool *p)
{
	assert(p->n_lent == 0 && p->kept.bytes == 0 && p->kept.others == 0);
	while (p->cached) {
		struct exchange *x = p->cached;

		p->cached = x->next;
		free(x);
	}
	p->n_cached = 0;
}
