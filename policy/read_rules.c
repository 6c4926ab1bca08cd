// SPDX-License-Identifier: Apache-2.0
/* One entry of egress, egressDeny, ingress or ingressDeny: whom it is about; its ports are
 * read_ports.c's. */
#include "read_policy.h"

#include <stdio.h>

#include "lint.h"
#include "sluice/array.h"

struct rule_reader {
	struct rule *rule;
	enum l4_direction direction;
	struct place *place;
	const struct node *first_peer; /* the first peer key's value: one kind of peer in a rule */
};

static void count_peer(struct reader *r, const struct node *value, struct rule_reader *x)
{
	if (x->first_peer)
		diag_hint(r->diag,
			  reader_error(r, value, "two kinds of peer in one rule are not supported"),
			  "make two rules of it");
	x->first_peer = value;
	x->rule->peers.any = false;
}

static void read_cidr_key(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	count_peer(r, value, x);
	read_cidr_list(r, value, x->direction, &x->rule->peers);
}

static void read_cidr_set_key(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	count_peer(r, value, x);
	read_cidr_sets(r, value, x->direction, &x->rule->peers);
}

static void read_entities_key(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	count_peer(r, value, x);
	read_entities(r, value, x->direction, &x->rule->peers);
}

static void read_endpoints_key(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	count_peer(r, value, x);
	read_endpoints(r, value, x->direction, x->place->doc, &x->rule->peers);
}

static void read_ports_key(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	x->rule->any_port = false;
	read_to_ports(r, value, x->rule, x->place);
}

/* What means the same in either direction. */
/* clang-format off */
#define FIELDS_OF_BOTH \
	{ "icmps", NULL, "ICMP that TCP and UDP need is always carried, other ICMP never", \
	  "leave the rule out" }, \
	{ "authentication", NULL, "mutual authentication is Cilium's own", \
	  "leave it out if the rule is to allow without it" }, \
	{ "description", NULL, NULL, NULL }, \
	{ "labels", NULL, NULL, NULL }
/* clang-format on */

static const struct field egress_fields[] = {
	{ "toCIDR", read_cidr_key, NULL, NULL },
	{ "toCIDRSet", read_cidr_set_key, NULL, NULL },
	{ "toEntities", read_entities_key, NULL, NULL },
	{ "toPorts", read_ports_key, NULL, NULL },
	{ "toEndpoints", read_endpoints_key, NULL, NULL },
	{ "toFQDNs", NULL, "names are not followed yet", "use toCIDR with the addresses" },
	{ "toServices", NULL, "services are not known here", "use toCIDR with the addresses" },
	{ "toRequires", NULL, "Cilium has removed it", "write it into endpointSelector" },
	{ "toNodes", NULL, "nodes are not known here", "use toCIDR with the addresses" },
	{ "toGroups", NULL, "cloud providers' groups are not known here",
	  "use toCIDR with the addresses" },
	FIELDS_OF_BOTH,
	{ "fromCIDR", NULL, "it belongs to ingress", "in egress it is toCIDR" },
	{ "fromCIDRSet", NULL, "it belongs to ingress", "in egress it is toCIDRSet" },
	{ "fromEntities", NULL, "it belongs to ingress", "in egress it is toEntities" },
	{ "fromEndpoints", NULL, "it belongs to ingress", "in egress it is toEndpoints" },
};

static const struct field ingress_fields[] = {
	{ "fromCIDR", read_cidr_key, NULL, NULL },
	{ "fromCIDRSet", read_cidr_set_key, NULL, NULL },
	{ "fromEntities", read_entities_key, NULL, NULL },
	{ "toPorts", read_ports_key, NULL, NULL },
	{ "fromEndpoints", read_endpoints_key, NULL, NULL },
	{ "fromRequires", NULL, "Cilium has removed it", "write it into endpointSelector" },
	{ "fromNodes", NULL, "nodes are not known here", "use fromCIDR with the addresses" },
	{ "fromGroups", NULL, "cloud providers' groups are not known here",
	  "use fromCIDR with the addresses" },
	FIELDS_OF_BOTH,
	{ "toCIDR", NULL, "it belongs to egress", "in ingress it is fromCIDR" },
	{ "toCIDRSet", NULL, "it belongs to egress", "in ingress it is fromCIDRSet" },
	{ "toEntities", NULL, "it belongs to egress", "in ingress it is fromEntities" },
	{ "toEndpoints", NULL, "it belongs to egress", "in ingress it is fromEndpoints" },
	{ "toFQDNs", NULL, "it belongs to egress", NULL },
	{ "toServices", NULL, "it belongs to egress", NULL },
};

/* A rule that says neither whom nor which ports. Cilium's documents write it to allow nothing,
 * those of Kubernetes to allow everything; nothing is what can be taken back. Nobody can tell what
 * it would deny. */
static void check_empty(struct reader *r, const struct node *node, struct rule *rule,
			enum l4_direction direction)
{
	bool empty = true;

	for (size_t i = 0; i < node->n; i += 2)
		empty = empty && (span_eq(node->items[i]->text, SPAN_LITERAL("description")) ||
				  span_eq(node->items[i]->text, SPAN_LITERAL("labels")));
	if (!empty)
		return; /* nor if what it says was refused */
	rule->peers.any = false;
	if (rule->deny)
		diag_hint(r->diag, reader_error(r, node, "a deny rule that says nothing"),
			  "write %sEntities: [all] to deny everything", direction_peer(direction));
	else
		lint_empty_rule(r, node, direction);
}

static bool read_keys(struct reader *r, const struct node *node, struct rule_reader *x)
{
	if (x->direction == L4_INGRESS)
		return reader_fields(r, node, "a rule", ingress_fields, ARRAY_SIZE(ingress_fields),
				     x);
	return reader_fields(r, node, "a rule", egress_fields, ARRAY_SIZE(egress_fields), x);
}

static void read_rule(struct reader *r, const struct node *node, struct section *section,
		      struct rule_reader x, bool deny)
{
	struct rule *rule = reader_alloc(r, sizeof(*rule));

	x.rule = rule;
	if (!rule)
		return;
	*rule = (struct rule){ .deny = deny,
			       .peers.any = true,
			       .any_port = true,
			       .place = { r->file, node->line, node->column } };
	if (!read_keys(r, node, &x))
		return;
	check_empty(r, node, rule, x.direction);
	section->rules = reader_extend(r, section->rules, section->n_rules, sizeof(struct rule *));
	if (section->rules)
		section->rules[section->n_rules++] = rule;
}

void read_rules(struct reader *r, const struct node *list, struct spec *spec,
		enum l4_direction direction, const struct place *place, const char *key)
{
	struct section *section = &spec->sections[direction];
	bool deny = strcmp(key, direction_name(direction)) != 0;
	struct place here = *place;
	const struct rule_reader x = { .direction = direction, .place = &here };

	section->present = true;
	if (!reader_is_list(r, list, key))
		return;
	if (!deny)
		lint_rule_list(r, list, direction);
	for (size_t i = 0; i < list->n && !r->oom; i++) {
		snprintf(here.path, sizeof(here.path), "%.64s%s[%zu]", place->path, key, i);
		read_rule(r, list->items[i], section, x, deny);
	}
}
