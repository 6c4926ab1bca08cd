// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "loader.h"

/* One file on its way. */
struct reading {
	struct reader reader;
	struct settings *settings;
};

static void add(struct reading *g, const char *section, const struct node *key,
		const struct node *value)
{
	struct settings *s = g->settings;
	struct reader *r = &g->reader;
	struct setting *items;

	if (value->kind != NODE_SCALAR || node_is_null(value)) {
		reader_error(r, value, "\"%s\" must have a single value, not %s", key->text.ptr,
			     node_kind_name(value));
		return;
	}
	items = reader_extend(r, s->items, s->n, sizeof(*items));
	if (!items)
		return;
	items[s->n++] = (struct setting){ .section = section,
					  .key = key->text.ptr,
					  .value = value->text.ptr,
					  .line = value->line,
					  .column = value->column };
	s->items = items;
}

static bool is_key(const struct settings_section *section, const struct node *key)
{
	for (size_t i = 0; i < section->n_keys; i++)
		if (span_eq(key->text, span_of(section->keys[i])))
			return true;
	return false;
}

static void read_section(struct reading *g, const struct settings_section *section,
			 const struct node *map)
{
	struct reader *r = &g->reader;
	struct field *fields = reader_alloc(r, (section->n_keys + 1) * sizeof(*fields));

	if (!fields)
		return;
	for (size_t i = 0; i < section->n_keys; i++)
		fields[i].key = section->keys[i];
	if (!reader_fields(r, map, section->name, fields, section->n_keys, NULL))
		return;
	for (size_t i = 0; i < map->n; i += 2)
		if (is_key(section, map->items[i]))
			add(g, section->name, map->items[i], map->items[i + 1]);
}

static void read_root(struct reading *g, const struct node *root,
		      const struct settings_section *sections, size_t n)
{
	struct reader *r = &g->reader;
	struct field *fields = reader_alloc(r, (n + 1) * sizeof(*fields));

	if (!fields)
		return;
	for (size_t i = 0; i < n; i++)
		fields[i] = (struct field){ .key = sections[i].name,
					    .refusal = sections[i].keys ? NULL : sections[i].why };
	if (!reader_fields(r, root, "the configuration", fields, n, NULL))
		return;
	for (size_t i = 0; i < n; i++) {
		const struct node *map = node_get(root, sections[i].name);

		if (map && sections[i].keys)
			read_section(g, &sections[i], map);
	}
}

static int read_file(const char *path, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		return errno;
	error = loader_read_all(fd, text, len);
	close(fd);
	return error;
}

static int read_text(struct reading *g, const char *text, size_t len,
		     const struct settings_section *sections, size_t n)
{
	struct reader *r = &g->reader;
	struct node_list docs = { NULL, 0 };
	int error = yaml_read(r->mem, r->file, text, len, &docs, r->diag);

	if (error == 0 && docs.n > 1)
		reader_error(r, docs.items[1], "a second document: all settings belong into one");
	if (error == 0 && docs.n > 0)
		read_root(g, docs.items[0], sections, n);
	return error;
}

int settings_read(const char *path, const struct settings_section *sections, size_t n,
		  struct settings *ret, struct diag *diag)
{
	struct reading g = { .reader = { .mem = &ret->mem, .diag = diag }, .settings = ret };
	char *text = NULL;
	size_t len = 0;
	int error = read_file(path, &text, &len);

	if (error) {
		diag_add(diag, path, 0, 0, "cannot be read: %s", strerror(error));
		return -error;
	}
	ret->file = g.reader.file = arena_copy(&ret->mem, path, strlen(path));
	error = ret->file ? read_text(&g, text, len, sections, n) : -ENOMEM;
	free(text);
	if (error == 0 && (g.reader.oom || diag->oom))
		error = -ENOMEM;
	if (error == 0 && diag_count(diag) > 0)
		error = -EINVAL;
	if (error == -ENOMEM)
		diag->oom = 1;
	return error;
}

void settings_done(struct settings *s)
{
	arena_done(&s->mem);
	*s = (struct settings){ .n = 0 };
}
