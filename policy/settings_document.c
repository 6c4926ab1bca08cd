// SPDX-License-Identifier: Apache-2.0
#include "settings_document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "loader.h"

void settings_add(struct reader *r, const char *section, const struct node *key,
		  const struct node *value, struct setting **items, size_t *n)
{
	struct setting *longer;

	if (value->kind != NODE_SCALAR || node_is_null(value)) {
		reader_error(r, value, "\"%s\" must have a single value, not %s", key->text.ptr,
			     node_kind_name(value));
		return;
	}
	longer = reader_extend(r, *items, *n, sizeof(*longer));
	if (!longer)
		return;
	longer[(*n)++] = (struct setting){ .section = section,
					   .key = key->text.ptr,
					   .value = value->text.ptr,
					   .line = value->line,
					   .column = value->column,
					   .key_line = key->line,
					   .key_column = key->column };
	*items = longer;
}

void settings_read_map(struct reader *r, const struct node *map, const char *section,
		       struct setting **items, size_t *n)
{
	if (map->kind != NODE_MAP) {
		reader_error(r, map, "%s must be a mapping, not %s", section, node_kind_name(map));
		return;
	}
	for (size_t i = 0; i < map->n && !r->oom; i += 2)
		settings_add(r, section, map->items[i], map->items[i + 1], items, n);
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

static int read_text(struct settings_document *doc, const char *text, size_t len)
{
	struct reader *r = &doc->reader;
	struct node_list docs = { NULL, 0 };
	int error = yaml_read(r->mem, r->file, text, len, &docs, r->diag);

	if (error == 0 && docs.n > 1)
		reader_error(r, docs.items[1], "a second document: all settings belong into one");
	doc->found = docs.n > 0;
	if (error == 0 && docs.n > 0)
		doc->read_root(r, docs.items[0], doc->ctx);
	return error;
}

int settings_read_document_text(struct settings_document *doc, const char *name, const char *text,
				size_t len)
{
	struct reader *r = &doc->reader;
	struct diag *diag = r->diag;
	int error;

	reader_depends(r, text, len);
	r->file = arena_copy(r->mem, name, strlen(name));
	error = r->file ? read_text(doc, text, len) : -ENOMEM;
	if (error == 0 && (r->oom || diag->oom))
		error = -ENOMEM;
	if (error == 0 && diag_count(diag) > 0)
		error = -EINVAL;
	if (error == -ENOMEM)
		diag->oom = 1;
	return error;
}

int settings_read_document(struct settings_document *doc, const char *path)
{
	char *text = NULL;
	size_t len = 0;
	int error = read_file(path, &text, &len);

	if (error == ENOMEM)
		doc->reader.diag->oom = 1;
	else if (error)
		diag_add(doc->reader.diag, path, 0, 0, "cannot be read: %s", strerror(error));
	if (error)
		return -error;
	error = settings_read_document_text(doc, path, text, len);
	free(text);
	return error;
}
