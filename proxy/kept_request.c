/* SPDX-License-Identifier: Apache-2.0 */
#include "kept_request.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static size_t size_of(const struct request *req)
{
	size_t size = sizeof(struct kept_request) + req->n_headers * sizeof(struct header) +
		      req->method.len + req->path.len + req->authority.len;

	for (size_t i = 0; i < req->n_headers; i++)
		size += req->headers[i].name.len + req->headers[i].value.len;
	return size;
}

static struct span put(char **at, struct span from)
{
	struct span to = { *at, from.len };

	if (from.len > 0)
		memcpy(*at, from.ptr, from.len);
	*at += from.len;
	return to;
}

struct kept_request *kept_request_new(struct kept *kept, const struct request *req)
{
	size_t size = size_of(req);
	struct kept_request *k;
	char *at;

	if (size > kept->max || kept->bytes > kept->max - size)
		return NULL;
	k = malloc(size);
	if (!k)
		return NULL;
	kept->bytes += size;
	*k = (struct kept_request){ .size = size,
				    .n_refs = 1,
				    .req = { .headers = k->headers, .n_headers = req->n_headers } };
	at = (char *)&k->headers[req->n_headers];
	k->req.method = put(&at, req->method);
	k->req.path = put(&at, req->path);
	k->req.authority = put(&at, req->authority);
	for (size_t i = 0; i < req->n_headers; i++) {
		k->headers[i].name = put(&at, req->headers[i].name);
		k->headers[i].value = put(&at, req->headers[i].value);
	}
	return k;
}

struct kept_request *kept_request_ref(struct kept_request *k)
{
	if (k)
		k->n_refs++;
	return k;
}

void kept_request_unref(struct kept *kept, struct kept_request *k)
{
	if (!k || --k->n_refs > 0)
		return;
	assert(kept->bytes >= k->size);
	kept->bytes -= k->size;
	free(k);
}

/* Stands in front of what was asked for. */
struct block {
	_Alignas(max_align_t) size_t size;
};

void *kept_malloc(struct kept *kept, size_t size)
{
	struct block *b;

	size += sizeof(*b);
	if (kept->others > KEPT_OTHERS_MAX - size)
		return NULL;
	b = malloc(size);
	if (!b)
		return NULL;
	b->size = size;
	kept->others += size;
	return b + 1;
}

void kept_free(struct kept *kept, void *memory)
{
	struct block *b;

	if (!memory)
		return;
	b = (struct block *)memory - 1;
	assert(kept->others >= b->size);
	kept->others -= b->size;
	free(b);
}
