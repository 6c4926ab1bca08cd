// SPDX-License-Identifier: Apache-2.0
/* Ports with names that mean what the server calls so.
 *
 * In ingress the server is the workload: a rule gets its numbers. In egress each endpoint is asked
 * by itself, since another one's port of that name may be another port: of a rule there is one more
 * for each number, about those whose number it is and nobody else. A name that nobody has stands
 * for no port. */
#include "select.h"

#include <errno.h>

struct naming {
	const struct rule *rule;
	const struct port_rule *ports; /* the entry of toPorts that is being looked at */
	const struct port_name *name;
	struct arena *mem;
	struct selected_rules *ret;
	size_t first; /* of RET's rules, those that are of PORTS */
};

bool rule_has_names(const struct rule *rule)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		if (rule->ports[i].n_names)
			return true;
	return false;
}

static int add_rule(struct naming *x, struct rule *rule, struct address_list *list)
{
	struct selected_rules *ret = x->ret;
	struct rule **items = arena_extend(x->mem, ret->items, ret->n, sizeof(struct rule *));
	const struct address_list **lists =
		arena_extend(x->mem, ret->endpoints, ret->n, sizeof(struct address_list *));

	if (!items || !lists)
		return -ENOMEM;
	ret->items = items;
	ret->endpoints = lists;
	items[ret->n] = rule;
	lists[ret->n++] = list;
	return 0;
}

/* A copy of the rule that has only the entry, and of it only one port. */
static struct rule *narrow(struct naming *x, unsigned protocols, uint16_t port)
{
	struct rule *rule = arena_alloc(x->mem, sizeof(*rule));
	struct port_rule *ports = arena_alloc(x->mem, sizeof(*ports));
	struct port_range *range = arena_alloc(x->mem, sizeof(*range));

	if (!rule || !ports || !range)
		return NULL;
	*range = (struct port_range){ .protocols = protocols, .first = port, .last = port };
	*ports = *x->ports;
	ports->ranges = range;
	ports->n_ranges = 1;
	ports->n_names = 0; /* NAMES tells which entry it was */
	*rule = *x->rule;
	rule->ports = ports;
	rule->n_ports = 1;
	return rule;
}

/* The one that there is already for that port of the entry. */
static size_t find(const struct naming *x, unsigned protocols, uint16_t port)
{
	size_t i = x->first;

	while (i < x->ret->n) {
		const struct port_range *range = &x->ret->items[i]->ports[0].ranges[0];

		if (range->protocols == protocols && range->first == port)
			break;
		i++;
	}
	return i;
}

static int add_addresses(struct naming *x, struct address_list *list, const struct cidr *addresses,
			 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		list->items = arena_extend(x->mem, list->items, list->n, sizeof(*list->items));
		if (!list->items)
			return -ENOMEM;
		list->items[list->n++] = addresses[i];
	}
	return 0;
}

static int on_port(void *ctx, const struct named_port *port, const struct cidr *addresses, size_t n)
{
	struct naming *x = ctx;
	unsigned protocols = port_name_protocols(x->name, port);
	struct address_list *list;
	struct rule *rule;
	size_t i;

	if (!protocols || n == 0)
		return 0;
	i = find(x, protocols, port->port);
	if (i < x->ret->n)
		return add_addresses(x, (struct address_list *)(uintptr_t)x->ret->endpoints[i],
				     addresses, n);
	rule = narrow(x, protocols, port->port);
	list = arena_alloc(x->mem, sizeof(*list));
	if (!rule || !list || add_addresses(x, list, addresses, n) < 0)
		return -ENOMEM;
	/* About these addresses, and nobody else whom the rule may mean. */
	rule->peers = (struct peers){ .namespace_ = "" };
	return add_rule(x, rule, list);
}

static int name_workload(struct naming *x, const struct policy_endpoint *who,
			 const struct address_list *peers)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < who->n_ports; i++) {
		unsigned protocols = port_name_protocols(x->name, &who->ports[i]);
		struct rule *rule;

		if (!protocols || find(x, protocols, who->ports[i].port) < x->ret->n)
			continue;
		rule = narrow(x, protocols, who->ports[i].port);
		r = rule ? add_rule(x, rule, (struct address_list *)(uintptr_t)peers) : -ENOMEM;
	}
	return r;
}

int selection_named(const struct selection *s, struct endpoints *endpoints,
		    enum l4_direction direction, struct rule *rule, struct arena *mem,
		    struct selected_rules *ret)
{
	struct naming x = { .rule = rule, .mem = mem, .ret = ret };
	const struct address_list *peers = NULL;
	int r = 0;

	*ret = (struct selected_rules){ .items = NULL };
	if (direction == L4_INGRESS && rule->peers.n_endpoints)
		r = endpoints_select(endpoints, &rule->peers, s->namespace_, &peers);
	for (size_t i = 0; r == 0 && i < rule->n_ports; i++) {
		x.ports = &rule->ports[i];
		x.first = ret->n;
		for (size_t j = 0; r == 0 && j < x.ports->n_names; j++) {
			x.name = &x.ports->names[j];
			r = direction == L4_INGRESS
				    ? name_workload(&x, s->who, peers)
				    : endpoints_each_port(endpoints, &rule->peers, s->namespace_,
							  on_port, &x);
		}
	}
	return r;
}
