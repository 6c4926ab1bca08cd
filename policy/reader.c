// SPDX-License-Identifier: Apache-2.0
#include "reader.h"

#include <stdarg.h>
#include <stdlib.h>

#include "utf8.h"

#define WORD_MAX 40 /* longer words resemble nothing */

/* ADD is diag_add() or diag_warn(). */
__attribute__((format(printf, 4, 0))) static struct diag_item *
place(struct reader *r, const struct node *at,
      struct diag_item *(*add)(struct diag *, const char *, unsigned, unsigned, const char *, ...),
      const char *format, va_list ap)
{
	struct diag_item *item;
	char *message;

	if (vasprintf(&message, format, ap) < 0) {
		r->diag->oom = 1;
		return NULL;
	}
	item = add(r->diag, r->file, at->line, at->column, "%s", message);
	free(message);
	return item;
}

struct diag_item *reader_error(struct reader *r, const struct node *at, const char *format, ...)
{
	struct diag_item *item;
	va_list ap;

	va_start(ap, format);
	item = place(r, at, diag_add, format, ap);
	va_end(ap);
	return item;
}

struct diag_item *reader_warn(struct reader *r, const struct node *at, const char *format, ...)
{
	struct diag_item *item;
	va_list ap;

	va_start(ap, format);
	item = place(r, at, diag_warn, format, ap);
	va_end(ap);
	return item;
}

void *reader_alloc(struct reader *r, size_t size)
{
	void *ret = arena_alloc(r->mem, size);

	if (!ret)
		r->oom = true;
	return ret;
}

void *reader_extend(struct reader *r, void *list, size_t n, size_t size)
{
	void *ret = arena_extend(r->mem, list, n, size);

	if (!ret)
		r->oom = true;
	return ret;
}

struct span reader_copy(struct reader *r, struct span text)
{
	char *copy = arena_copy(r->mem, text.ptr, text.len);

	r->oom |= !copy;
	return copy ? (struct span){ copy, text.len } : SPAN_LITERAL("");
}

struct node reader_within(const struct node *node, size_t at)
{
	const char *source = node->source;
	struct node ret = *node;
	uint32_t code;

	/* The file's text has a NUL behind it; a value with escapes is not in it as it is. */
	if (!source || node->kind != NODE_SCALAR ||
	    strncmp(source, node->text.ptr, node->text.len) != 0)
		return ret;
	ret.column += !node->plain;
	for (size_t i = 0; i < at;) {
		size_t n = utf8_decode(node->text.ptr + i, node->text.len - i, &code);

		i += n ? n : 1;
		ret.column++;
	}
	return ret;
}

/* Levenshtein's distance without regard to case. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t n = strlen(b);

	if (strlen(a) > WORD_MAX || n > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i]; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < n; j++) {
			unsigned change = diagonal + (ascii_lower(a[i]) != ascii_lower(b[j]));
			unsigned shorter = row[j] + 1, longer = row[j + 1] + 1;

			diagonal = row[j + 1];
			row[j + 1] = shorter < longer ? shorter : longer;
			if (change < row[j + 1])
				row[j + 1] = change;
		}
	}
	return row[n];
}

const char *reader_nearest(const char *text, const char *const *words, size_t n)
{
	const char *best = NULL;
	unsigned nearest = WORD_MAX;

	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(text, words[i]);

		if (d < nearest) {
			nearest = d;
			best = words[i];
		}
	}
	/* A third of the word may be wrong, else it is another word. */
	return best && nearest * 3 <= strlen(best) + 1 ? best : NULL;
}

static void unknown_key(struct reader *r, const struct node *key, const char *what,
			const struct field *fields, size_t n)
{
	struct diag_item *item =
		reader_error(r, key, "unknown key \"%s\" in %s", key->text.ptr, what);
	const char **words = reader_alloc(r, (n + 1) * sizeof(*words));
	const char *near;

	if (!words)
		return;
	for (size_t i = 0; i < n; i++)
		words[i] = fields[i].key;
	near = reader_nearest(key->text.ptr, words, n);
	if (near)
		diag_hint(r->diag, item, "did you mean \"%s\"?", near);
	else if (span_eq(key->text, SPAN_LITERAL("<<")))
		diag_hint(r->diag, item, "YAML's merge key is not supported: write the keys out");
}

static void read_field(struct reader *r, const struct node *key, const struct node *value,
		       const char *what, const struct field *f, void *into)
{
	struct diag_item *item;

	if (f->refusal) {
		item = reader_error(r, key, "\"%s\" in %s is not supported: %s", f->key, what,
				    f->refusal);
		if (f->hint)
			diag_hint(r->diag, item, "%s", f->hint);
	} else if (f->read && node_is_null(value)) {
		item = reader_error(r, value, "\"%s\" has no value", f->key);
		diag_hint(r->diag, item, "%s",
			  r->null_hint ? r->null_hint
				       : "leave the key out for no restriction, or write [] for "
					 "none at all");
	} else if (f->read) {
		f->read(r, value, into);
	}
}

bool reader_fields(struct reader *r, const struct node *map, const char *what,
		   const struct field *fields, size_t n, void *into)
{
	if (map->kind != NODE_MAP) {
		reader_error(r, map, "%s must be a mapping, not %s", what, node_kind_name(map));
		return false;
	}
	for (size_t i = 0; i < map->n; i += 2) {
		const struct node *key = map->items[i];
		size_t at = 0;

		while (at < n && !span_eq(key->text, span_of(fields[at].key)))
			at++;
		if (at == n)
			unknown_key(r, key, what, fields, n);
		else
			read_field(r, key, map->items[i + 1], what, &fields[at], into);
	}
	return true;
}

bool reader_is_list(struct reader *r, const struct node *n, const char *what)
{
	struct diag_item *item;

	if (n->kind == NODE_LIST)
		return true;
	item = reader_error(r, n, "%s must be a list, not %s", what, node_kind_name(n));
	if (!node_is_null(n))
		diag_hint(r->diag, item, "put \"- \" before it");
	return false;
}

bool reader_is_string(struct reader *r, const struct node *n, const char *what)
{
	struct diag_item *item;

	if (node_is_string(n))
		return true;
	item = reader_error(r, n, "%s must be a string, not %s", what, node_kind_name(n));
	if (n->kind == NODE_SCALAR && !node_is_null(n))
		diag_hint(r->diag, item, "put it in quotes: \"%s\"", n->text.ptr);
	return false;
}

bool reader_is_bool(struct reader *r, const struct node *n, const char *what, bool *ret)
{
	if (node_is_bool(n, ret))
		return true;
	reader_error(r, n, "%s must be true or false, not %s", what,
		     n->kind == NODE_SCALAR && n->text.len ? n->text.ptr : node_kind_name(n));
	return false;
}

bool reader_is_number(struct reader *r, const struct node *n, const char *what, unsigned least,
		      unsigned most, unsigned *ret)
{
	unsigned value = 0;

	if (n->kind != NODE_SCALAR) {
		reader_error(r, n, "%s must be a number, not %s", what, node_kind_name(n));
		return false;
	}
	for (size_t i = 0; i < n->text.len; i++) {
		char c = n->text.ptr[i];

		if (c < '0' || c > '9' || value > most)
			goto refuse;
		value = value * 10 + (unsigned)(c - '0');
	}
	if (n->text.len && n->text.len <= 10 && value >= least && value <= most) {
		*ret = value;
		return true;
	}
refuse:
	reader_error(r, n, "%s must be a number from %u to %u, not \"%s\"", what, least, most,
		     n->text.ptr);
	return false;
}
