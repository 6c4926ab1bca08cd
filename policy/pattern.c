// SPDX-License-Identifier: Apache-2.0
#include "pattern.h"

#include <errno.h>

static int keep_literals(struct patterns *p, struct pattern *pat,
			 const struct regex_literals *found)
{
	struct regex_literal *list = arena_alloc(p->keep, found->n * sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < found->n; i++) {
		struct span text = found->items[i].text;

		list[i] = found->items[i];
		list[i].text.ptr = arena_copy(p->keep, text.ptr, text.len);
		if (!list[i].text.ptr)
			return -ENOMEM;
	}
	pat->literals = list;
	pat->n_literals = found->n;
	return 0;
}

static const struct pattern *find(const struct patterns *p, struct span text)
{
	uint64_t hash = hash_final(hash_bytes(HASH_START, text.ptr, text.len));
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&p->index, hash, &at)) != HASH_NONE)
		if (span_eq(p->items[i]->text, text))
			return p->items[i];
	return NULL;
}

/* Alone first, so that what libhs cannot do is reported at its place; but not once more. */
static int keep_expression(struct patterns *p, struct pattern *pat, const char *expression)
{
	const struct pattern *before = p->before ? find(p->before, pat->text) : NULL;
	const struct automaton *a;
	const char *why;
	int r;

	pat->expression = arena_copy(p->keep, expression, strlen(expression));
	if (!pat->expression)
		return -ENOMEM;
	if (before && before->expression && !before->error &&
	    strcmp(before->expression, expression) == 0)
		return 0;
	r = automata_get(p->automata, &expression, 1, false, &a, &why);
	if (r != -EINVAL)
		return r;
	pat->error = arena_printf(p->keep,
				  "it is beyond the regular expressions that run in "
				  "linear time (%s)",
				  why);
	pat->error_at = SIZE_MAX;
	return pat->error ? 0 : -ENOMEM;
}

static int lower(struct patterns *p, struct pattern *pat, struct arena *scratch)
{
	struct regex_literals literals;
	struct regex_error err;
	struct regex *re;
	char *expression;
	int r = regex_parse(pat->text, scratch, &re, &err);

	if (r == -EINVAL) {
		pat->error = err.message;
		pat->error_at = err.at;
		return 0;
	}
	if (r < 0)
		return r;
	r = regex_literals(re, scratch, &literals);
	if (r < 0)
		return r;
	if (r == 1)
		return keep_literals(p, pat, &literals);
	r = regex_prefix(re, p->keep, &pat->prefix);
	if (r < 0)
		return r;
	expression = regex_print(re, scratch);
	return expression ? keep_expression(p, pat, expression) : -ENOMEM;
}

static struct pattern *pattern_new(struct patterns *p, struct span text)
{
	struct pattern *pat = arena_alloc(p->keep, sizeof(*pat));
	struct arena scratch = { .blocks = NULL };
	int r;

	if (!pat)
		return NULL;
	pat->id = (uint32_t)p->n;
	pat->text.len = text.len;
	pat->text.ptr = arena_copy(p->keep, text.ptr, text.len);
	if (!pat->text.ptr)
		return NULL;
	r = lower(p, pat, &scratch);
	arena_done(&scratch);
	return r < 0 ? NULL : pat;
}

const struct pattern *pattern_get(struct patterns *p, struct span text)
{
	const struct pattern *known = find(p, text);
	uint64_t hash = hash_final(hash_bytes(HASH_START, text.ptr, text.len));
	struct pattern **items, *pat;

	if (known)
		return known;
	pat = pattern_new(p, text);
	if (!pat)
		return NULL;
	items = arena_extend(p->keep, p->items, p->n, sizeof(struct pattern *));
	if (!items)
		return NULL;
	p->items = items;
	if (hash_table_add(&p->index, p->keep, hash, (uint32_t)p->n) < 0)
		return NULL;
	p->items[p->n++] = pat;
	return pat;
}
