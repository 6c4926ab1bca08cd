// SPDX-License-Identifier: Apache-2.0
/* One entry of egress or egressDeny: whom it is about; its ports are read_ports.c's. */
#include "read_policy.h"

#include <stdio.h>

#include "lint.h"
#include "sluice/array.h"

struct rule_reader {
	struct rule *rule;
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

static void read_to_cidr(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	count_peer(r, value, x);
	read_cidr_list(r, value, &x->rule->peers);
}

static void read_to_cidr_set(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	count_peer(r, value, x);
	read_cidr_sets(r, value, &x->rule->peers);
}

static void read_to_entities(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	count_peer(r, value, x);
	read_entities(r, value, &x->rule->peers);
}

static void read_ports_key(struct reader *r, const struct node *value, void *into)
{
	struct rule_reader *x = into;

	x->rule->any_port = false;
	read_to_ports(r, value, x->rule, x->place);
}

static const struct field rule_fields[] = {
	{ "toCIDR", read_to_cidr, NULL, NULL },
	{ "toCIDRSet", read_to_cidr_set, NULL, NULL },
	{ "toEntities", read_to_entities, NULL, NULL },
	{ "toPorts", read_ports_key, NULL, NULL },
	{ "toEndpoints", NULL, "sluice does not know which addresses other workloads have",
	  "use toCIDR or toEntities" },
	{ "toFQDNs", NULL, "names are not followed yet", "use toCIDR with the addresses" },
	{ "toServices", NULL, "services are not known here", "use toCIDR with the addresses" },
	{ "toRequires", NULL, "Cilium has removed it", "write it into endpointSelector" },
	{ "toNodes", NULL, "nodes are not known here", "use toCIDR with the addresses" },
	{ "toGroups", NULL, "cloud providers' groups are not known here",
	  "use toCIDR with the addresses" },
	{ "icmps", NULL, "ICMP that TCP and UDP need is always carried, other ICMP never",
	  "leave the rule out" },
	{ "authentication", NULL, "mutual authentication is Cilium's own",
	  "leave it out if the rule is to allow without it" },
	{ "description", NULL, NULL, NULL },
	{ "labels", NULL, NULL, NULL },
	{ "fromCIDR", NULL, "it belongs to ingress", "in egress it is toCIDR" },
	{ "fromCIDRSet", NULL, "it belongs to ingress", "in egress it is toCIDRSet" },
	{ "fromEntities", NULL, "it belongs to ingress", "in egress it is toEntities" },
	{ "fromEndpoints", NULL, "it belongs to ingress", NULL },
};

/* A rule that says neither whom nor which ports. Cilium's documents write it to allow nothing,
 * those of Kubernetes to allow everything; nothing is what can be taken back. Nobody can tell what
 * it would deny. */
static void check_empty(struct reader *r, const struct node *node, struct rule *rule)
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
			  "write toEntities: [all] to deny everything");
	else
		lint_empty_rule(r, node);
}

static void read_rule(struct reader *r, const struct node *node, struct spec *spec,
		      struct place *place, bool deny)
{
	struct rule *rule = reader_alloc(r, sizeof(*rule));
	struct rule_reader x = { .rule = rule, .place = place };

	if (!rule)
		return;
	*rule = (struct rule){ .deny = deny,
			       .peers.any = true,
			       .any_port = true,
			       .place = { r->file, node->line, node->column } };
	if (!reader_fields(r, node, "a rule", rule_fields, ARRAY_SIZE(rule_fields), &x))
		return;
	check_empty(r, node, rule);
	spec->rules = reader_extend(r, spec->rules, spec->n_rules, sizeof(struct rule *));
	if (spec->rules)
		spec->rules[spec->n_rules++] = rule;
}

void read_egress(struct reader *r, const struct node *list, struct spec *spec,
		 const struct place *place, const char *key)
{
	struct place here = *place;

	if (!reader_is_list(r, list, key))
		return;
	if (strcmp(key, "egress") == 0)
		lint_egress_list(r, list);
	for (size_t i = 0; i < list->n && !r->oom; i++) {
		snprintf(here.path, sizeof(here.path), "%.64s%s[%zu]", place->path, key, i);
		read_rule(r, list->items[i], spec, &here, strcmp(key, "egressDeny") == 0);
	}
}
