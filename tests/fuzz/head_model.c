/* SPDX-License-Identifier: Apache-2.0 */
#include "head_model.h"
#include "require.h"

struct lines {
	struct head_model_line at[HEAD_MODEL_LINES_MAX];
	size_t n;
};

static struct span name_of(const struct head_model_line *l)
{
	const char *colon;

	if (l->name.len > 0)
		return l->name;
	colon = memchr(l->line.ptr, ':', l->line.len);
	REQUIRE(colon);
	return (struct span){ l->line.ptr, (size_t)(colon - l->line.ptr) };
}

/* All but the first, which is the request line. */
static void drop(struct lines *l, struct span name)
{
	size_t kept = 1;

	for (size_t i = 1; i < l->n; i++)
		if (!span_eq_nocase(name_of(&l->at[i]), name))
			l->at[kept++] = l->at[i];
	l->n = kept;
}

static void split(struct lines *l, struct span raw)
{
	const char *at = raw.ptr, *end = raw.ptr + raw.len;

	l->n = 0;
	while (end - at > 2) {
		const char *next = memmem(at, (size_t)(end - at), "\r\n", 2);

		REQUIRE(next && l->n < HEAD_MODEL_LINES_MAX);
		l->at[l->n++] = (struct head_model_line){ .line = { at, (size_t)(next - at) } };
		at = next + 2;
	}
}

static uint64_t hash(uint64_t h, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3;
	return h;
}

uint64_t head_model_hash(struct span raw, const struct header_action *const *actions, size_t n)
{
	static struct lines l;
	uint64_t h = 0xcbf29ce484222325;

	split(&l, raw);
	for (size_t i = 0; i < n; i++) {
		const struct header_action *a = actions[i];

		if (a->kind == HEADER_REPLACE || a->kind == HEADER_DELETE)
			drop(&l, a->name);
		if (a->kind != HEADER_REPLACE && a->kind != HEADER_ADD)
			continue;
		REQUIRE(l.n < HEAD_MODEL_LINES_MAX);
		l.at[l.n++] = (struct head_model_line){ .name = a->name, .value = a->value };
	}
	for (size_t i = 0; i < l.n; i++) {
		h = hash(h, l.at[i].line);
		h = hash(h, l.at[i].name);
		h = hash(h, l.at[i].name.len ? SPAN_LITERAL(": ") : SPAN_LITERAL(""));
		h = hash(hash(h, l.at[i].value), SPAN_LITERAL("\r\n"));
	}
	return hash(h, SPAN_LITERAL("\r\n"));
}
