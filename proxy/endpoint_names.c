/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint_names.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct row {
	struct address address;
	size_t order;
	struct workload_info *info;
};

struct endpoint_names {
	atomic_uint refs;
	struct row *rows; /* sorted by address */
	size_t n;
};

static int compare(const struct address *a, const struct address *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->ip, b->ip, sizeof(a->ip));
}

static int by_address(const void *one, const void *two)
{
	const struct row *a = one, *b = two;
	int order = compare(&a->address, &b->address);

	return order ? order : (a->order > b->order) - (a->order < b->order);
}

static void fill(struct endpoint_names *e, const struct named_endpoint *from, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < from[i].n_addresses; j++) {
			struct row *row = &e->rows[e->n];

			*row = (struct row){ from[i].addresses[j], e->n, from[i].info };
			address_unmap(&row->address);
			e->n++;
		}
	qsort(e->rows, e->n, sizeof(*e->rows), by_address);
	for (size_t i = 0; i < e->n; i++)
		if (kept == 0 || compare(&e->rows[kept - 1].address, &e->rows[i].address) != 0)
			e->rows[kept++] = e->rows[i];
	e->n = kept;
	for (size_t i = 0; i < e->n; i++)
		workload_info_ref(e->rows[i].info);
}

int endpoint_names_new(const struct named_endpoint *from, size_t n, struct endpoint_names **ret)
{
	struct endpoint_names *e = calloc(1, sizeof(*e));
	size_t most = 0;

	for (size_t i = 0; i < n; i++)
		most += from[i].n_addresses;
	if (e)
		e->rows = calloc(most + 1, sizeof(*e->rows));
	if (!e || !e->rows) {
		free(e);
		return -ENOMEM;
	}
	atomic_init(&e->refs, 1);
	fill(e, from, n);
	*ret = e;
	return 0;
}

struct endpoint_names *endpoint_names_ref(struct endpoint_names *e)
{
	if (e)
		atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void endpoint_names_unref(struct endpoint_names *e)
{
	if (!e || atomic_fetch_sub(&e->refs, 1) > 1)
		return;
	for (size_t i = 0; i < e->n; i++)
		workload_info_unref(e->rows[i].info);
	free(e->rows);
	free(e);
}

const struct workload_info *endpoint_names_find(const struct endpoint_names *e,
						const struct address *address)
{
	struct address wanted = *address;
	size_t low = 0, high = e ? e->n : 0;

	address_unmap(&wanted);
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = compare(&wanted, &e->rows[middle].address);

		if (order == 0)
			return e->rows[middle].info;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
