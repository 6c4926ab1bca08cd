/* SPDX-License-Identifier: Apache-2.0 */
#include "h1_edit.h"
#include <assert.h>
#include <errno.h>

struct edit {
	const struct header_action *const *actions;
	size_t n;
	char *out;
	size_t len, fields;
	bool over; /* something did not fit */
};

static bool removes(const struct header_action *a, struct span name)
{
	return (a->kind == HEADER_REPLACE || a->kind == HEADER_DELETE) &&
	       span_eq_nocase(a->name, name);
}

static bool adds(const struct header_action *a)
{
	return a->kind == HEADER_ADD || a->kind == HEADER_REPLACE;
}

/* Is a field of that name, which was there before action FROM, removed by it or by a later one? */
static bool removed(const struct edit *e, size_t from, struct span name)
{
	for (size_t i = from; i < e->n; i++)
		if (removes(e->actions[i], name))
			return true;
	return false;
}

static void put(struct edit *e, const char *bytes, size_t len)
{
	if (e->over || len > H1_EDIT_MAX - e->len) {
		e->over = true;
		return;
	}
	memcpy(e->out + e->len, bytes, len);
	e->len += len;
}

static void put_field(struct edit *e, const struct header_action *a)
{
	put(e, a->name.ptr, a->name.len);
	put(e, ": ", 2);
	put(e, a->value.ptr, a->value.len);
	put(e, "\r\n", 2);
	e->fields++;
}

/* The lines that stay, each run of them in one piece. */
static void put_kept(struct edit *e, const struct h1_head *head)
{
	const char *from = head->raw.ptr, *end = head->raw.ptr + head->raw.len - 2;

	for (size_t i = 0; i < head->req.n_headers; i++) {
		const struct header *h = &head->req.headers[i];

		if (!removed(e, 0, h->name)) {
			e->fields++;
			continue;
		}
		put(e, from, (size_t)(h->name.ptr - from));
		from = i + 1 < head->req.n_headers ? h[1].name.ptr : end;
	}
	put(e, from, (size_t)(end - from));
}

bool h1_edit_needed(const struct header_action *const *actions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (actions[i]->kind != HEADER_LOG)
			return true;
	return false;
}

ssize_t h1_edit(const struct h1_head *head, const struct header_action *const *actions, size_t n,
		char *out)
{
	struct edit e = { .actions = actions, .n = n, .out = out };

	assert(head->raw.len > 2 && n <= VERDICT_ACTIONS_MAX);
	put_kept(&e, head);
	for (size_t i = 0; i < n; i++)
		if (adds(actions[i]) && !removed(&e, i + 1, actions[i]->name))
			put_field(&e, actions[i]);
	put(&e, "\r\n", 2);
	return e.over || e.fields > H1_FIELDS_MAX ? -EMSGSIZE : (ssize_t)e.len;
}
