// SPDX-License-Identifier: Apache-2.0
#include "diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct diag_item *item_lost(struct diag *d)
{
	d->oom = 1;
	return NULL;
}

static struct diag_item *item_new(struct diag *d)
{
	struct diag_item *item;

	if (!d->items)
		d->items = calloc(DIAG_ITEMS_MAX, sizeof(*d->items));
	if (!d->items)
		return NULL;
	item = &d->items[d->n];
	memset(item, 0, sizeof(*item));
	return item;
}

struct diag_item *diag_add(struct diag *d, const char *file, unsigned line, unsigned column,
			   const char *format, ...)
{
	struct diag_item *item;
	va_list ap;
	int r;

	if (d->n == DIAG_ITEMS_MAX) {
		d->dropped++;
		return NULL;
	}
	item = item_new(d);
	if (!item)
		return item_lost(d);
	va_start(ap, format);
	r = vasprintf(&item->message, format, ap);
	va_end(ap);
	if (r < 0)
		return item_lost(d);
	item->file = strdup(file);
	if (!item->file) {
		free(item->message);
		return item_lost(d);
	}
	item->line = line;
	item->column = column;
	d->n++;
	return item;
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

/* A stable insertion sort: there are at most DIAG_ITEMS_MAX, nearly in order. */
void diag_sort(struct diag *d, size_t from)
{
	for (size_t i = from + 1; i < d->n; i++) {
		struct diag_item item = d->items[i];
		size_t at = i;

		while (at > from && (d->items[at - 1].line > item.line ||
				     (d->items[at - 1].line == item.line &&
				      d->items[at - 1].column > item.column))) {
			d->items[at] = d->items[at - 1];
			at--;
		}
		d->items[at] = item;
	}
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

void diag_print(const struct diag *d, FILE *to)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct diag_item *item = &d->items[i];

		print_escaped(item->file, to);
		if (item->line)
			fprintf(to, ":%u:%u", item->line, item->column);
		fputs(": ", to);
		print_escaped(item->message, to);
		if (item->hint) {
			fputs("; ", to);
			print_escaped(item->hint, to);
		}
		fputc('\n', to);
	}
	if (d->dropped)
		fprintf(to, "and %zu more\n", d->dropped);
	if (d->oom)
		fputs("out of memory\n", to);
}

void diag_done(struct diag *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->items[i].file);
		free(d->items[i].message);
		free(d->items[i].hint);
	}
	free(d->items);
	memset(d, 0, sizeof(*d));
}
