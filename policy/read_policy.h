/* SPDX-License-Identifier: Apache-2.0 */
/* read_policy.h - the parts of the loader, from a tree to the model, one function for one key. */
#ifndef SLUICE_READ_POLICY_H
#define SLUICE_READ_POLICY_H

#include "model.h"
#include "reader.h"

/* Where in a document the reader is, for struct rule_ref. */
struct place {
	const struct document *doc;
	char path[160]; /* "specs[1].egress[0].toPorts[2]" */
};

/* Add what the document ROOT says to MODEL. */
void read_document(struct reader *r, const struct node *root, struct model *model);

/* A selector, which is called WHAT in messages. False if it is no mapping. */
bool read_selector(struct reader *r, const struct node *value, const char *what,
		   struct selector *selector);

/* The list of rules under egress, egressDeny, ingress or ingressDeny, called KEY. */
void read_rules(struct reader *r, const struct node *list, struct spec *spec,
		enum l4_direction direction, const struct place *place, const char *key);

/* An address, or a prefix. False, and an error, if it is neither. */
bool read_cidr(struct reader *r, const struct node *node, struct cidr *ret);

/* toCIDR, toCIDRSet and toEntities, or what they are called in ingress. */
void read_cidr_list(struct reader *r, const struct node *value, enum l4_direction direction,
		    struct peers *peers);
void read_cidr_sets(struct reader *r, const struct node *value, enum l4_direction direction,
		    struct peers *peers);
void read_entities(struct reader *r, const struct node *value, enum l4_direction direction,
		   struct peers *peers);

/* ENTITY_* of the one whose label is reserved:NAME; false if it means nothing here. */
bool read_find_entity(struct span name, unsigned *ret);

/* toEndpoints or fromEndpoints of a document. */
void read_endpoints(struct reader *r, const struct node *value, enum l4_direction direction,
		    const struct document *doc, struct peers *peers);

void read_to_ports(struct reader *r, const struct node *list, struct rule *rule,
		   const struct place *place);

/* The lists under rules.http and rules.grpc. */
void read_http(struct reader *r, const struct node *list, struct port_rule *ports,
	       const struct place *place);
void read_grpc(struct reader *r, const struct node *list, struct port_rule *ports,
	       const struct place *place);

/* Two keys of a struct http_rule. */
void read_headers(struct reader *r, const struct node *value, void *into);
void read_header_matches(struct reader *r, const struct node *value, void *into);

#endif
