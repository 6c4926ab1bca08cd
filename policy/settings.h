/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h - a configuration file in YAML or JSON: sections, and in each of them keys with a
 * plain value.
 *
 *	limits:
 *	  head-size: 32k
 *
 * What the keys mean is the caller's business: it says which there are, and gets their values as
 * they are written, each with its place, for messages of the form file:line:column. A section of
 * another shape is read by a function of its own. */
#ifndef SLUICE_SETTINGS_H
#define SLUICE_SETTINGS_H

#include "arena.h"
#include "diag.h"

struct node;
struct reader;

struct settings_section {
	const char *name;
	const char *const *keys;
	size_t n_keys;
	/* Without KEYS: reads what stands there, into CTX and the arena of the settings; or NULL:
	 * the section is refused, and WHY says what to do. */
	void (*read)(struct reader *r, const struct node *value, void *ctx);
	void *ctx;
	const char *why;
};

struct setting {
	const char *section, *key, *value;
	unsigned line, column; /* of the value */
	unsigned key_line, key_column;
};

/* Zero it before first use. */
struct settings {
	struct arena mem;
	const char *file;
	struct setting *items; /* in the order of the file; no key appears twice */
	size_t n;
};

/* Read the file PATH. On failure the errors are in DIAG and the result is -EINVAL (what is right
 * was stored all the same, so that the caller can look for more errors), -ENOMEM, or the errno of a
 * file that cannot be read. settings_done() has to be called in any case. */
int settings_read(const char *path, const struct settings_section *sections, size_t n,
		  struct settings *ret, struct diag *diag);
void settings_done(struct settings *s);

#endif
