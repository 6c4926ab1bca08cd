/* SPDX-License-Identifier: Apache-2.0 */
/* settings_document.h - what the readers of configuration files have in common: one document in one
 * file. */
#ifndef SLUICE_SETTINGS_DOCUMENT_H
#define SLUICE_SETTINGS_DOCUMENT_H

#include "reader.h"
#include "settings.h"

struct settings_document {
	struct reader reader; /* with MEM and DIAG */
	void (*read_root)(struct reader *r, const struct node *root, void *ctx);
	void *ctx;
	bool found; /* there was a document */
};

/* Read the file PATH, or TEXT, which is called NAME, and give its document to READ_ROOT. Returns 0,
 * -EINVAL with errors in DIAG, -ENOMEM, or the errno of a file that cannot be read. */
int settings_read_document(struct settings_document *doc, const char *path);
int settings_read_document_text(struct settings_document *doc, const char *name, const char *text,
				size_t len);

/* Append one key and its plain value to the N ITEMS of a section. */
void settings_add(struct reader *r, const char *section, const struct node *key,
		  const struct node *value, struct setting **items, size_t *n);
/* The same for all of a mapping, whatever its keys. */
void settings_read_map(struct reader *r, const struct node *map, const char *section,
		       struct setting **items, size_t *n);

#endif
