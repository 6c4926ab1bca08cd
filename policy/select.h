/* SPDX-License-Identifier: Apache-2.0 */
/* select.h - which documents are about a workload, and what follows from several of them. */
#ifndef SLUICE_SELECT_H
#define SLUICE_SELECT_H

#include "endpoints.h"

struct selected {
	const struct document *document;
	const struct spec *spec;
};

/* Lives as long as the memory in which it was made, and not beyond endpoints_set(). */
struct selection {
	struct selected *items; /* in the order in which they were read */
	size_t n;
	size_t n_documents;
	const char *namespace_; /* of the workload, or "" */
	const struct policy_endpoint *who;
	/* What tells selections apart: with the same key everything is the same. */
	uint64_t *key;
	size_t n_key;
};

/* The rules of one direction. */
struct selected_rules {
	struct rule **items;
	const struct address_list **endpoints; /* whom a rule's selectors select, or NULL */
	size_t n;
	bool present; /* a document says something of it */
};

/* 0 or -ENOMEM. */
int selection_make(const struct model *model, struct endpoints *endpoints,
		   const struct policy_endpoint *who, struct arena *mem, struct selection *ret);
int selection_rules(const struct selection *s, struct endpoints *endpoints,
		    enum l4_direction direction, struct arena *mem, struct selected_rules *ret);

/* select_ports.c: the rules for which RULE stands, in *RET, since ports have names in it that mean
 * different ports for different servers. All of them live as long as MEM. 0 or -ENOMEM. */
int selection_named(const struct selection *s, struct endpoints *endpoints,
		    enum l4_direction direction, struct rule *rule, struct arena *mem,
		    struct selected_rules *ret);
bool rule_has_names(const struct rule *rule);

#endif
