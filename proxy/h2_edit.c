/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_edit.h"
#include <errno.h>

static bool removes(const struct header_action *a, struct span name)
{
	return (a->kind == HEADER_REPLACE || a->kind == HEADER_DELETE) &&
	       span_eq_nocase(a->name, name);
}

/* Is a field of that name, which was there before action FROM, removed by it or by a later one? */
static bool removed(const struct header_action *const *actions, size_t from, size_t n,
		    struct span name)
{
	for (size_t i = from; i < n; i++)
		if (removes(actions[i], name))
			return true;
	return false;
}

static void keep_fields(struct h2_head *head, const struct header_action *const *actions, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < head->n_fields; i++) {
		if (i >= head->n_pseudo && removed(actions, 0, n, head->fields[i].name))
			continue;
		head->fields[kept] = head->fields[i];
		head->never[kept++] = head->never[i];
	}
	head->n_fields = kept;
}

static int add_field(struct h2_head *head, const struct header_action *a)
{
	char *name = head->text + head->text_len;

	if (head->n_fields == H2_FIELDS_MAX || a->name.len > sizeof(head->text) - head->text_len)
		return -EMSGSIZE;
	for (size_t i = 0; i < a->name.len; i++) {
		char c = a->name.ptr[i];

		name[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	head->text_len += a->name.len;
	head->fields[head->n_fields] = (struct header){ { name, a->name.len }, a->value };
	head->never[head->n_fields++] = a->secret;
	return 0;
}

static size_t size_of(const struct h2_head *head)
{
	size_t n = 0;

	for (size_t i = 0; i < head->n_fields; i++)
		n += head->fields[i].name.len + head->fields[i].value.len;
	return n;
}

int h2_edit(struct h2_head *head, const struct header_action *const *actions, size_t n)
{
	head->edited = true;
	keep_fields(head, actions, n);
	for (size_t i = 0; i < n; i++) {
		const struct header_action *a = actions[i];

		if (a->kind != HEADER_ADD && a->kind != HEADER_REPLACE)
			continue;
		if (!removed(actions, i + 1, n, a->name) && add_field(head, a) < 0)
			return -EMSGSIZE;
	}
	return size_of(head) > H2_LIST_MAX ? -EMSGSIZE : 0;
}
