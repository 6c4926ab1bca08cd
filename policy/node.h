/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - a YAML or JSON document as a tree in which every node knows its place.
 *
 * Built from libfyaml's events rather than taken from its document tree, so that depth, size and
 * what aliases expand to are bounded here, and a duplicate key is an error with a place. An alias
 * is the node of its anchor, shared; the tree is never changed after it is built. */
#ifndef SLUICE_NODE_H
#define SLUICE_NODE_H

#include <stdbool.h>
#include "arena.h"
#include "diag.h"
#include "sluice/span.h"

#define YAML_BYTES_MAX	 (16 * 1024 * 1024) /* of one file */
#define YAML_DEPTH_MAX	 40		    /* lists and mappings within each other */
#define YAML_NODES_MAX	 4000000 /* of one file, aliases counted as what they stand for */
#define YAML_ANCHORS_MAX 1000	 /* of one document */

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;
	bool plain; /* a scalar without quotes, so that 1, true and null are not strings */
	unsigned line, column;
	const char *source;  /* where the scalar's first byte is in the file's text, or NULL */
	struct span text;    /* of a scalar, in UTF-8, with a NUL behind it */
	struct node **items; /* of a list; of a mapping: key, value, key, value ... */
	size_t n;	     /* nodes in ITEMS */
	size_t weight;	     /* how many nodes this is, itself included, with aliases expanded */
};

struct node_list {
	struct node **items;
	size_t n;
};

/* Read all documents of TEXT, which came from the file NAME, into MEM; empty documents are left
 * out. Errors go to DIAG. Returns 0, -EINVAL or -ENOMEM. TEXT has to outlive the nodes. */
int yaml_read(struct arena *mem, const char *name, const char *text, size_t len,
	      struct node_list *ret, struct diag *diag);

/* The value of KEY in the mapping MAP, or NULL. */
const struct node *node_get(const struct node *map, const char *key);

bool node_is_null(const struct node *n);

/* Whether YAML 1.1, by which Kubernetes reads, takes the scalar for a string. */
bool node_is_string(const struct node *n);

/* Whether it is true or false; stored in *RET. */
bool node_is_bool(const struct node *n, bool *ret);

/* "a string", "a number", "a list" ...: for messages. */
const char *node_kind_name(const struct node *n);

#endif
