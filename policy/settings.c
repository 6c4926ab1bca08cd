// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include "settings_document.h"

/* One file on its way. */
struct reading {
	const struct settings_section *sections;
	size_t n;
	struct settings *settings;
};

static bool is_key(const struct settings_section *section, const struct node *key)
{
	for (size_t i = 0; i < section->n_keys; i++)
		if (span_eq(key->text, span_of(section->keys[i])))
			return true;
	return false;
}

static void read_section(struct reader *r, struct settings *s,
			 const struct settings_section *section, const struct node *map)
{
	struct field *fields = reader_alloc(r, (section->n_keys + 1) * sizeof(*fields));

	if (!fields)
		return;
	for (size_t i = 0; i < section->n_keys; i++)
		fields[i].key = section->keys[i];
	if (!reader_fields(r, map, section->name, fields, section->n_keys, NULL))
		return;
	for (size_t i = 0; i < map->n; i += 2)
		if (is_key(section, map->items[i]))
			settings_add(r, section->name, map->items[i], map->items[i + 1], &s->items,
				     &s->n);
}

static bool is_known(const struct settings_section *section)
{
	return section->keys || section->read;
}

static void read_root(struct reader *r, const struct node *root, void *ctx)
{
	const struct reading *g = ctx;
	struct field *fields = reader_alloc(r, (g->n + 1) * sizeof(*fields));

	if (!fields)
		return;
	for (size_t i = 0; i < g->n; i++)
		fields[i] = (struct field){ .key = g->sections[i].name,
					    .refusal = is_known(&g->sections[i])
							       ? NULL
							       : g->sections[i].why };
	if (!reader_fields(r, root, "the configuration", fields, g->n, NULL))
		return;
	for (size_t i = 0; i < g->n; i++) {
		const struct node *map = node_get(root, g->sections[i].name);

		if (map && g->sections[i].keys)
			read_section(r, g->settings, &g->sections[i], map);
		else if (map && g->sections[i].read)
			g->sections[i].read(r, map, g->sections[i].ctx);
	}
}

int settings_read(const char *path, const struct settings_section *sections, size_t n,
		  struct settings *ret, struct diag *diag)
{
	struct reading g = { sections, n, ret };
	struct settings_document doc = { .reader = { .mem = &ret->mem, .diag = diag },
					 .read_root = read_root,
					 .ctx = &g };
	int error = settings_read_document(&doc, path);

	ret->file = doc.reader.file;
	return error;
}

void settings_done(struct settings *s)
{
	arena_done(&s->mem);
	*s = (struct settings){ .n = 0 };
}
