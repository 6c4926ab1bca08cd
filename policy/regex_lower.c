// SPDX-License-Identifier: Apache-2.0
/* What becomes of a parsed pattern: strings and prefixes where it is no more than that, else an
 * expression for libhs. */
#include "regex_tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "sluice/array.h"

/* Printing: first with OUT NULL to learn the length, then into memory of that size. */
struct printer {
	char *out;
	size_t len;
};

static void put(struct printer *p, const char *text)
{
	size_t n = strlen(text);

	if (p->out)
		memcpy(p->out + p->len, text, n);
	p->len += n;
}

static void put_byte(struct printer *p, unsigned char c)
{
	char text[8];
	bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		     c == '/' || c == '_';

	snprintf(text, sizeof(text), plain ? "%c" : "\\x%02x", c);
	put(p, text);
}

static void put_set(struct printer *p, const struct regex_set *set)
{
	put(p, "[");
	for (unsigned c = 0; c < 256; c++) {
		unsigned to = c;

		if (!regex_set_has(set, (unsigned char)c))
			continue;
		while (to < 255 && regex_set_has(set, (unsigned char)(to + 1)))
			to++;
		put_byte(p, (unsigned char)c);
		if (to > c) {
			put(p, "-");
			put_byte(p, (unsigned char)to);
		}
		c = to;
	}
	put(p, "]");
}

static void put_repeat(struct printer *p, const struct regex *re)
{
	char text[32];

	if (re->max == UINT_MAX)
		snprintf(text, sizeof(text), "{%u,}", re->min);
	else
		snprintf(text, sizeof(text), "{%u,%u}", re->min, re->max);
	if (re->min == 0 && re->max == UINT_MAX)
		put(p, "*");
	else if (re->min == 1 && re->max == UINT_MAX)
		put(p, "+");
	else if (re->min == 0 && re->max == 1)
		put(p, "?");
	else
		put(p, text);
}

/* Each node prints as one closed unit, so that what is around it cannot be misread. */
static void put_node(struct printer *p, const struct regex *re)
{
	switch (re->kind) {
	case REGEX_BYTES:
		put(p, "(?:");
		for (size_t i = 0; i < re->bytes.len; i++)
			put_byte(p, (unsigned char)re->bytes.ptr[i]);
		put(p, ")");
		break;
	case REGEX_SET:
		put_set(p, &re->set);
		break;
	case REGEX_CAT:
	case REGEX_ALT:
		put(p, "(?:");
		for (size_t i = 0; i < re->n; i++) {
			if (i && re->kind == REGEX_ALT)
				put(p, "|");
			put_node(p, re->items[i]);
		}
		put(p, ")");
		break;
	case REGEX_REPEAT:
		put(p, "(?:");
		if (re->max) { /* libhs refuses {0} */
			put_node(p, re->items[0]);
			put_repeat(p, re);
		}
		put(p, ")");
		break;
	case REGEX_BOUNDARY:
		put(p, "\\b");
		break;
	case REGEX_NOT_BOUNDARY:
		put(p, "\\B");
		break;
	case REGEX_EMPTY:
	case REGEX_BEGIN:
	case REGEX_END:
		put(p, "(?:)");
		break;
	}
}

static void put_whole(struct printer *p, const struct regex *re)
{
	put(p, "\\A(?:");
	put_node(p, re);
	put(p, ")\\z");
}

char *regex_print(const struct regex *re, struct arena *mem)
{
	struct printer p = { .out = NULL };

	put_whole(&p, re);
	p.out = arena_alloc(mem, p.len + 1);
	p.len = 0;
	if (p.out)
		put_whole(&p, re);
	return p.out;
}

/* "." of RE2: every byte but the newline. */
static bool is_dot(const struct regex *re)
{
	if (re->kind != REGEX_SET)
		return false;
	for (unsigned c = 0; c < 256; c++)
		if (regex_set_has(&re->set, (unsigned char)c) != (c != '\n'))
			return false;
	return true;
}

static bool is_any_rest(const struct regex *re)
{
	return re->kind == REGEX_REPEAT && re->min == 0 && re->max == UINT_MAX &&
	       is_dot(re->items[0]);
}

/* All of these return 1: RET is what the node stands for; 0: it is more than a few strings. */
static int expand(const struct regex *re, struct arena *mem, struct regex_literals *ret);

static int add_literal(struct regex_literals *list, struct span text, bool prefix)
{
	if (list->n == REGEX_LITERALS_MAX)
		return 0;
	list->items[list->n++] = (struct regex_literal){ .text = text, .prefix = prefix };
	return 1;
}

static int expand_set(const struct regex_set *set, struct arena *mem, struct regex_literals *ret)
{
	ret->n = 0;
	for (unsigned c = 0; c < 256; c++) {
		char byte = (char)c, *copy;

		if (!regex_set_has(set, (unsigned char)c))
			continue;
		if (ret->n == REGEX_LITERALS_MAX)
			return 0;
		copy = arena_copy(mem, &byte, 1);
		if (!copy)
			return -ENOMEM;
		add_literal(ret, (struct span){ copy, 1 }, false);
	}
	return 1;
}

/* Every string of LEFT followed by every one of RIGHT. */
static int join(const struct regex_literals *left, const struct regex_literals *right,
		struct arena *mem, struct regex_literals *ret)
{
	struct regex_literals out = { .n = 0 };

	for (size_t i = 0; i < left->n; i++)
		for (size_t j = 0; j < right->n; j++) {
			struct span a = left->items[i].text, b = right->items[j].text;
			char *text;

			if (left->items[i].prefix && (b.len || right->items[j].prefix))
				return 0;
			if (out.n == REGEX_LITERALS_MAX)
				return 0;
			text = arena_alloc(mem, a.len + b.len + 1);
			if (!text)
				return -ENOMEM;
			if (a.len)
				memcpy(text, a.ptr, a.len);
			if (b.len)
				memcpy(text + a.len, b.ptr, b.len);
			add_literal(&out, (struct span){ text, a.len + b.len },
				    left->items[i].prefix || right->items[j].prefix);
		}
	*ret = out;
	return 1;
}

static int expand_sequence(const struct regex *re, struct arena *mem, struct regex_literals *ret)
{
	struct regex_literals item;
	int r = 1;

	ret->n = 0;
	add_literal(ret, SPAN_LITERAL(""), false);
	for (size_t i = 0; r == 1 && i < re->n; i++) {
		r = expand(re->items[i], mem, &item);
		if (r == 1)
			r = join(ret, &item, mem, ret);
	}
	return r;
}

static int expand_alternatives(const struct regex *re, struct arena *mem,
			       struct regex_literals *ret)
{
	struct regex_literals item;
	int r = 1;

	ret->n = 0;
	for (size_t i = 0; r == 1 && i < re->n; i++) {
		r = expand(re->items[i], mem, &item);
		for (size_t j = 0; r == 1 && j < item.n; j++)
			r = add_literal(ret, item.items[j].text, item.items[j].prefix);
	}
	return r;
}

static int expand(const struct regex *re, struct arena *mem, struct regex_literals *ret)
{
	int r;

	ret->n = 0;
	switch (re->kind) {
	case REGEX_EMPTY:
		return add_literal(ret, SPAN_LITERAL(""), false);
	case REGEX_BYTES:
		return add_literal(ret, re->bytes, false);
	case REGEX_SET:
		return expand_set(&re->set, mem, ret);
	case REGEX_CAT:
		return expand_sequence(re, mem, ret);
	case REGEX_ALT:
		return expand_alternatives(re, mem, ret);
	case REGEX_REPEAT:
		if (is_any_rest(re))
			return add_literal(ret, SPAN_LITERAL(""), true);
		if (re->min > 1 || re->max != 1)
			return 0;
		r = expand(re->items[0], mem, ret);
		if (r == 1 && re->min == 0)
			r = add_literal(ret, SPAN_LITERAL(""), false);
		return r;
	default:
		return 0;
	}
}

int regex_literals(const struct regex *re, struct arena *mem, struct regex_literals *ret)
{
	return expand(re, mem, ret);
}
