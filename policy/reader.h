/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h - what every part of the loader needs: reporting at a node, tables of keys, types.
 *
 * An error does not end the reading: the next key is looked at, so that one run finds all of them.
 * What was read of a wrong document is thrown away by the caller, who sees that errors were
 * counted. */
#ifndef SLUICE_READER_H
#define SLUICE_READER_H

#include <stdint.h>
#include "hash.h"
#include "node.h"

struct patterns;
struct policy_options;

struct reader {
	struct arena *mem;  /* lives as long as the model; the tree of a file does not */
	struct arena *keep; /* lives as long as any policy */
	struct patterns *patterns;
	struct diag *diag;
	const char *file;
	const struct policy_options *options;
	const char *namespace_; /* of the document that is being read */
	const char *null_hint;	/* what to do where there is no value; NULL: as in a policy */
	size_t rules;		/* HTTP rules read so far, in all files */
	uint64_t digest;	/* of everything that was read: names, texts, secrets */
	bool oom;
};

/* One key that a mapping may have. Either READ takes its value, or REFUSAL says why it is refused
 * (and HINT what to do), or both are NULL: the key is accepted and carries no meaning. */
struct field {
	const char *key;
	void (*read)(struct reader *r, const struct node *value, void *into);
	const char *refusal, *hint;
};

__attribute__((format(printf, 3, 4))) struct diag_item *
reader_error(struct reader *r, const struct node *at, const char *format, ...);

__attribute__((format(printf, 3, 4))) struct diag_item *
reader_warn(struct reader *r, const struct node *at, const char *format, ...);

/* The policy depends on these bytes, which come from outside. */
static inline void reader_depends(struct reader *r, const void *bytes, size_t len)
{
	r->digest = hash_bytes(hash_bytes(r->digest, &len, sizeof(len)), bytes, len);
}

/* Memory from r->mem; notes when there is none. */
void *reader_alloc(struct reader *r, size_t size);
void *reader_extend(struct reader *r, void *list, size_t n, size_t size);

/* A copy of a node's text, with a NUL behind it; empty when there is no memory. */
struct span reader_copy(struct reader *r, struct span text);

/* Read the mapping MAP, which is called WHAT in messages, by the table. False if it is no mapping.
 */
bool reader_fields(struct reader *r, const struct node *map, const char *what,
		   const struct field *fields, size_t n, void *into);

/* Where in the file the AT-th byte of the scalar NODE stands. Exact where the file has the value as
 * it is, in one line; else the place of the scalar. */
struct node reader_within(const struct node *node, size_t at);

/* Check the type of a value, called WHAT in messages. False, and an error, if it is another. */
bool reader_is_list(struct reader *r, const struct node *n, const char *what);
bool reader_is_string(struct reader *r, const struct node *n, const char *what);
bool reader_is_bool(struct reader *r, const struct node *n, const char *what, bool *ret);

/* A number between LEAST and MOST, in digits only, with or without quotes. */
bool reader_is_number(struct reader *r, const struct node *n, const char *what, unsigned least,
		      unsigned most, unsigned *ret);

/* The one of N words that is nearest to TEXT, or NULL if none is near. */
const char *reader_nearest(const char *text, const char *const *words, size_t n);

#endif
