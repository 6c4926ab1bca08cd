// SPDX-License-Identifier: Apache-2.0
#include "diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct diag_item *item_lost(struct diag *d)
{
	d->oom = 1;
	return NULL;
}

/* One of the two lists. */
struct list {
	struct diag_item **items;
	size_t *n, *dropped;
};

static struct diag_item *item_new(struct list *l)
{
	struct diag_item *item;

	if (!*l->items)
		*l->items = calloc(DIAG_ITEMS_MAX, sizeof(**l->items));
	if (!*l->items)
		return NULL;
	item = &(*l->items)[*l->n];
	memset(item, 0, sizeof(*item));
	return item;
}

__attribute__((format(printf, 3, 0))) static struct diag_item *
list_add(struct diag *d, struct list l, const char *format, va_list ap, const struct diag_item *at)
{
	struct diag_item *item;

	if (*l.n == DIAG_ITEMS_MAX) {
		++*l.dropped;
		return NULL;
	}
	item = item_new(&l);
	if (!item)
		return item_lost(d);
	if (vasprintf(&item->message, format, ap) < 0)
		return item_lost(d);
	item->file = strdup(at->file);
	if (!item->file) {
		free(item->message);
		return item_lost(d);
	}
	item->line = at->line;
	item->column = at->column;
	++*l.n;
	return item;
}

struct diag_item *diag_add(struct diag *d, const char *file, unsigned line, unsigned column,
			   const char *format, ...)
{
	struct diag_item at = { .file = (char *)file, .line = line, .column = column }, *ret;
	va_list ap;

	va_start(ap, format);
	ret = list_add(d, (struct list){ &d->items, &d->n, &d->dropped }, format, ap, &at);
	va_end(ap);
	return ret;
}

struct diag_item *diag_warn(struct diag *d, const char *file, unsigned line, unsigned column,
			    const char *format, ...)
{
	struct diag_item at = { .file = (char *)file, .line = line, .column = column }, *ret;
	struct list l = { &d->warnings, &d->n_warnings, &d->dropped_warnings };
	va_list ap;

	va_start(ap, format);
	ret = list_add(d, l, format, ap, &at);
	va_end(ap);
	return ret;
}

void diag_hint(struct diag *d, struct diag_item *item, const char *format, ...)
{
	char *hint;
	va_list ap;
	int r;

	if (!item || item->hint)
		return;
	va_start(ap, format);
	r = vasprintf(&hint, format, ap);
	va_end(ap);
	if (r < 0)
		d->oom = 1;
	else
		item->hint = hint;
}

static bool is_before(const struct diag_item *a, const struct diag_item *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* A stable insertion sort: there are at most DIAG_ITEMS_MAX, nearly in order. */
void diag_sort(struct diag *d, size_t from)
{
	for (size_t i = from + 1; i < d->n; i++) {
		struct diag_item item = d->items[i];
		size_t at = i;

		for (; at > from && is_before(&item, &d->items[at - 1]); at--)
			d->items[at] = d->items[at - 1];
		d->items[at] = item;
	}
}

static int compare_warnings(const void *left, const void *right)
{
	const struct diag_item *a = left, *b = right;
	int r = strcmp(a->file, b->file);

	if (r == 0)
		r = is_before(b, a) - is_before(a, b);
	return r ? r : strcmp(a->message, b->message);
}

void diag_sort_warnings(struct diag *d)
{
	if (d->n_warnings)
		qsort(d->warnings, d->n_warnings, sizeof(*d->warnings), compare_warnings);
}

static void print_escaped(const char *text, FILE *to)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		/* 0xc2 opens the C1 controls; a terminal would act on those, too. */
		if (c < 0x20 || c == 0x7f ||
		    (c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0))
			fprintf(to, "\\x%02x", c);
		else
			fputc(c, to);
	}
}

static void print_item(const struct diag_item *item, const char *kind, FILE *to)
{
	print_escaped(item->file, to);
	if (item->line)
		fprintf(to, ":%u:%u", item->line, item->column);
	fprintf(to, ": %s", kind);
	print_escaped(item->message, to);
	if (item->hint) {
		fputs("; ", to);
		print_escaped(item->hint, to);
	}
	fputc('\n', to);
}

void diag_print(const struct diag *d, FILE *to)
{
	for (size_t i = 0; i < d->n; i++)
		print_item(&d->items[i], "", to);
	if (d->dropped)
		fprintf(to, "and %zu more\n", d->dropped);
	for (size_t i = 0; i < d->n_warnings; i++)
		print_item(&d->warnings[i], "warning: ", to);
	if (d->dropped_warnings)
		fprintf(to, "and %zu more warnings\n", d->dropped_warnings);
	if (d->oom)
		fputs("out of memory\n", to);
}

static void free_items(struct diag_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(items[i].file);
		free(items[i].message);
		free(items[i].hint);
	}
	free(items);
}

void diag_done(struct diag *d)
{
	free_items(d->items, d->n);
	free_items(d->warnings, d->n_warnings);
	memset(d, 0, sizeof(*d));
}
