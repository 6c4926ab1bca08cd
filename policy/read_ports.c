// SPDX-License-Identifier: Apache-2.0
/* toPorts: ports, protocols, and which kind of L7 rules hold on them. */
#include "read_policy.h"

#include <netinet/in.h>
#include <stdio.h>

#include "sluice/array.h"

#define PORT_NAME_MAX 15
#define NOT_L7	      "only rules.http and rules.grpc are supported"

struct port_reader {
	struct port_range *range;
	const struct node *name; /* of the port, if it has no number */
};

struct entry_reader {
	struct rule *rule;
	struct port_rule *ports;
	const struct place *place;
};

bool policy_is_port_name(struct span name)
{
	bool letter = false;
	char before = '-';

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

		if (!is_letter && !(c >= '0' && c <= '9') && !(c == '-' && before != '-'))
			return false;
		letter |= is_letter;
		before = c;
	}
	return letter && before != '-' && name.len <= PORT_NAME_MAX;
}

/* What is neither a number nor a name was meant as what it resembles. */
static bool resembles_name(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((text.ptr[i] | 0x20) >= 'a' && (text.ptr[i] | 0x20) <= 'z')
			return true;
	return false;
}

/* Elsewhere 010 is eight: whatever was meant, it is written without zeros before it. */
static bool is_padded(const struct node *n)
{
	return n->kind == NODE_SCALAR && n->text.len > 1 && n->text.ptr[0] == '0' &&
	       strspn(n->text.ptr, "0123456789") == n->text.len;
}

static void read_port(struct reader *r, const struct node *value, void *into)
{
	struct port_reader *x = into;
	struct diag_item *item;

	if (value->kind == NODE_SCALAR && policy_is_port_name(value->text)) {
		x->name = value;
	} else if (value->kind == NODE_SCALAR && resembles_name(value->text)) {
		item = reader_error(r, value, "\"%s\" is no name of a port", value->text.ptr);
		diag_hint(r->diag, item, "it has 1 to %d letters, digits and single dashes within",
			  PORT_NAME_MAX);
	} else if (is_padded(value)) {
		item = reader_error(r, value, "\"%s\" begins with a zero", value->text.ptr);
		diag_hint(r->diag, item, "it can be read as octal: write the number without it");
	} else {
		reader_is_number(r, value, "\"port\"", 0, 65535, &x->range->first);
	}
}

static void read_end_port(struct reader *r, const struct node *value, void *into)
{
	struct port_reader *x = into;

	reader_is_number(r, value, "\"endPort\"", 1, 65535, &x->range->last);
}

static void read_protocol(struct reader *r, const struct node *value, void *into)
{
	static const struct {
		const char *name;
		unsigned protocols;
	} known[] = { { "TCP", PROTO_TCP },
		      { "UDP", PROTO_UDP },
		      { "ANY", PROTO_TCP | PROTO_UDP } };
	struct port_reader *x = into;
	struct diag_item *item;

	if (!reader_is_string(r, value, "\"protocol\""))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (span_eq(value->text, span_of(known[i].name))) {
			x->range->protocols = known[i].protocols;
			return;
		}
	item = reader_error(r, value, "protocol \"%s\" is not supported", value->text.ptr);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (span_eq_nocase(value->text, span_of(known[i].name)))
			diag_hint(r->diag, item, "write it as %s", known[i].name);
	diag_hint(r->diag, item, "it must be TCP, UDP or ANY; others are never carried");
}

/* Port 0 stands for all ports. */
static void check_range(struct reader *r, const struct node *node, struct port_range *range)
{
	const struct node *end = node_get(node, "endPort");

	if (!end) {
		range->last = range->first ? range->first : 65535;
		return;
	}
	if (range->first == 0)
		reader_error(r, end, "\"endPort\" needs a \"port\" that is not 0");
	else if (range->last && range->last < range->first)
		reader_error(r, end, "\"endPort\" is below \"port\"");
}

static void add_range(struct reader *r, struct port_rule *ports, const struct port_range *range)
{
	ports->ranges = reader_extend(r, ports->ranges, ports->n_ranges, sizeof(*range));
	if (ports->ranges)
		ports->ranges[ports->n_ranges++] = *range;
}

unsigned port_name_protocols(const struct port_name *name, const struct named_port *port)
{
	unsigned protocols = PROTO_TCP | PROTO_UDP;

	if (!span_eq_nocase(name->name, span_of(port->name)))
		return 0;
	if (port->protocol)
		protocols = port->protocol == IPPROTO_TCP ? PROTO_TCP : PROTO_UDP;
	return protocols & name->protocols;
}

static void add_name(struct reader *r, struct port_rule *ports, struct port_name name)
{
	name.name = reader_copy(r, name.name);
	ports->names = reader_extend(r, ports->names, ports->n_names, sizeof(name));
	if (ports->names)
		ports->names[ports->n_names++] = name;
}

/* Every port of that name, as far as the protocol goes. */
static void add_named_port(struct reader *r, const struct node *node, const struct node *name,
			   const struct port_range *range, struct port_rule *ports)
{
	const struct policy_options *o = r->options;
	const struct port_name meant = { name->text, range->protocols };
	struct diag_item *item;
	bool found = false;

	if (node_get(node, "endPort"))
		reader_error(r, node_get(node, "endPort"),
			     "\"endPort\" needs a \"port\" that is a number");
	for (size_t i = 0; i < o->n_ports; i++) {
		unsigned protocols = port_name_protocols(&meant, &o->ports[i]);
		struct port_range one = { .protocols = protocols,
					  .first = o->ports[i].port,
					  .last = o->ports[i].port };

		if (!protocols)
			continue;
		found = true;
		add_range(r, ports, &one);
	}
	if (!found && o->own_ports)
		add_name(r, ports, meant);
	if (found || o->own_ports)
		return;
	item = reader_error(r, name, "no port of the name \"%s\" is known", name->text.ptr);
	diag_hint(r->diag, item, "write its number, or say which it is: --port %s=NUMBER",
		  name->text.ptr);
}

static void read_one_port(struct reader *r, const struct node *node, struct port_rule *ports)
{
	static const struct field fields[] = {
		{ "port", read_port, NULL, NULL },
		{ "endPort", read_end_port, NULL, NULL },
		{ "protocol", read_protocol, NULL, NULL },
	};
	struct port_range range = { .protocols = PROTO_TCP | PROTO_UDP, .first = 1 };
	struct port_reader x = { .range = &range };

	if (!reader_fields(r, node, "a port", fields, ARRAY_SIZE(fields), &x))
		return;
	if (!node_get(node, "port"))
		diag_hint(r->diag, reader_error(r, node, "an entry of \"ports\" has no \"port\""),
			  "port: \"0\" stands for all ports");
	else if (!x.name)
		check_range(r, node, &range);
	if (x.name)
		add_named_port(r, node, x.name, &range, ports);
	else
		add_range(r, ports, &range);
}

static void read_port_list(struct reader *r, const struct node *value, void *into)
{
	struct entry_reader *x = into;
	struct diag_item *item;

	if (!reader_is_list(r, value, "\"ports\""))
		return;
	if (value->n > MODEL_PORTS_MAX) {
		item = reader_error(r, value->items[MODEL_PORTS_MAX],
				    "more than %d ports in one entry", MODEL_PORTS_MAX);
		diag_hint(r->diag, item, "make several entries of it, or use endPort");
		return;
	}
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_one_port(r, value->items[i], x->ports);
}

static void read_http_rules(struct reader *r, const struct node *value, void *into)
{
	struct entry_reader *x = into;

	x->ports->l7 = true;
	if (x->rule->deny)
		return;
	read_http(r, value, x->ports, x->place);
}

static void read_grpc_rules(struct reader *r, const struct node *value, void *into)
{
	struct entry_reader *x = into;

	x->ports->l7 = true;
	if (x->rule->deny)
		return;
	read_grpc(r, value, x->ports, x->place);
}

static void read_l7_rules(struct reader *r, const struct node *value, void *into)
{
	static const struct field fields[] = {
		{ "http", read_http_rules, NULL, NULL },
		{ "kafka", NULL, "Cilium is removing it as well", NOT_L7 },
		{ "dns", NULL, "names are not followed yet",
		  "allow port 53 without rules, or leave it out" },
		{ "l7", NULL, "Envoy's generic parsers are not known here", NOT_L7 },
		{ "l7proto", NULL, "Envoy's generic parsers are not known here", NOT_L7 },
		{ "grpc", read_grpc_rules, NULL, NULL },
	};
	struct entry_reader *x = into;

	if (!reader_fields(r, value, "rules", fields, ARRAY_SIZE(fields), x))
		return;
	x->ports->place = (struct text_place){ r->file, value->line, value->column };
	if (node_get(value, "http") && node_get(value, "grpc"))
		diag_hint(r->diag,
			  reader_error(r, node_get(value, "grpc"),
				       "two kinds of L7 rules in one entry of toPorts"),
			  "make two entries of it: their rules are united");
	if (x->rule->deny && value->n)
		diag_hint(r->diag,
			  reader_error(r, value->items[0], "a deny rule cannot have L7 rules"),
			  "deny the port, or allow only what is wanted");
}

static const struct field entry_fields[] = {
	{ "ports", read_port_list, NULL, NULL },
	{ "rules", read_l7_rules, NULL, NULL },
	{ "listener", NULL, "Envoy's listeners are not known here",
	  "leave it out if the ports may be reached without it" },
	{ "terminatingTLS", NULL, "TLS is not opened", "use rules on a port without TLS" },
	{ "originatingTLS", NULL, "TLS is not opened", "use rules on a port without TLS" },
	{ "serverNames", NULL, "the name in a TLS handshake is not checked yet",
	  "use toCIDR with the addresses" },
	{ "description", NULL, NULL, NULL },
};

/* What libraries of policies get wrong: L7 rules on something that is not known to be TCP. */
static void check_l7_ports(struct reader *r, const struct node *node)
{
	const struct node *list = node_get(node, "ports"), *protocol, *port;

	for (size_t i = 0; list->kind == NODE_LIST && i < list->n; i++) {
		if (list->items[i]->kind != NODE_MAP)
			continue;
		protocol = node_get(list->items[i], "protocol");
		port = node_get(list->items[i], "port");
		if (!protocol || !span_eq(protocol->text, SPAN_LITERAL("TCP")))
			diag_hint(r->diag,
				  reader_error(r, list->items[i],
					       "HTTP rules need a port of protocol TCP"),
				  "add protocol: TCP");
		if (port && port->text.len && strspn(port->text.ptr, "0") == port->text.len)
			diag_hint(r->diag,
				  reader_error(r, list->items[i],
					       "port 0, all ports, cannot have HTTP rules"),
				  "name the port");
	}
}

/* An allow rule for no port allows nothing. A deny rule for no port would deny nothing, and an
 * empty toPorts denies every port elsewhere: nobody can have meant it. */
static void check_deny_list(struct reader *r, const struct node *list, const struct rule *rule)
{
	if (rule->deny && list->kind == NODE_LIST && list->n == 0)
		diag_hint(r->diag, reader_error(r, list, "a deny rule with an empty list of ports"),
			  "leave toPorts out to deny every port");
}

static void read_entry(struct reader *r, const struct node *node, struct rule *rule,
		       const struct place *place)
{
	struct port_rule *ports;
	struct entry_reader x = { .rule = rule, .place = place };

	rule->ports = reader_extend(r, rule->ports, rule->n_ports, sizeof(*ports));
	if (!rule->ports)
		return;
	ports = &rule->ports[rule->n_ports++];
	memset(ports, 0, sizeof(*ports));
	x.ports = ports;
	if (!reader_fields(r, node, "an entry of toPorts", entry_fields, ARRAY_SIZE(entry_fields),
			   &x))
		return;
	if (!node_get(node, "ports"))
		diag_hint(r->diag, reader_error(r, node, "an entry of toPorts has no \"ports\""),
			  "write port: \"0\" for all ports, or [] for none");
	else if (ports->l7)
		check_l7_ports(r, node);
	if (node_get(node, "ports"))
		check_deny_list(r, node_get(node, "ports"), rule);
}

void read_to_ports(struct reader *r, const struct node *list, struct rule *rule,
		   const struct place *place)
{
	struct place here = *place;

	if (!reader_is_list(r, list, "\"toPorts\""))
		return;
	check_deny_list(r, list, rule);
	for (size_t i = 0; i < list->n && !r->oom; i++) {
		snprintf(here.path, sizeof(here.path), "%.100s.toPorts[%zu]", place->path, i);
		read_entry(r, list->items[i], rule, &here);
	}
}
