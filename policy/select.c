// SPDX-License-Identifier: Apache-2.0
#include "select.h"

#include <errno.h>
#include <string.h>

static int add_spec(struct selection *s, struct arena *mem, const struct document *doc,
		    const struct spec *spec)
{
	struct selected *list = arena_extend(mem, s->items, s->n, sizeof(*list));

	if (!list)
		return -ENOMEM;
	s->items = list;
	s->n_documents += s->n == 0 || list[s->n - 1].document != doc;
	list[s->n++] = (struct selected){ .document = doc, .spec = spec };
	return 0;
}

static int add_key(struct selection *s, struct arena *mem, uint64_t value)
{
	uint64_t *list = arena_extend(mem, s->key, s->n_key, sizeof(*list));

	if (!list)
		return -ENOMEM;
	s->key = list;
	list[s->n_key++] = value;
	return 0;
}

static int add_addresses_key(struct selection *s, struct arena *mem,
			     const struct address_list *list)
{
	int r = add_key(s, mem, list ? list->n : 0);

	for (size_t i = 0; r == 0 && list && i < list->n; i++) {
		uint64_t half[2];

		memcpy(half, list->items[i].ip, sizeof(half));
		r = add_key(s, mem, list->items[i].family);
		for (size_t j = 0; r == 0 && j < 2; j++)
			r = add_key(s, mem, half[j]);
	}
	return r;
}

/* What the names of its ports stand for: all of it. */
static int add_named_key(struct selection *s, struct arena *mem, struct endpoints *endpoints,
			 struct rule *rule, enum l4_direction direction)
{
	struct selected_rules named;
	int r = selection_named(s, endpoints, direction, rule, mem, &named);

	if (r == 0)
		r = add_key(s, mem, named.n);
	for (size_t i = 0; r == 0 && i < named.n; i++) {
		const struct port_range *range = &named.items[i]->ports[0].ranges[0];

		r = add_key(s, mem, (uintptr_t)named.items[i]->ports[0].names);
		if (r == 0)
			r = add_key(s, mem, (uint64_t)range->first << 8 | range->protocols);
		if (r == 0)
			r = add_addresses_key(s, mem, named.endpoints[i]);
	}
	return r;
}

/* A rule that selects endpoints depends on which they are. */
static int add_section_key(struct selection *s, struct arena *mem, struct endpoints *endpoints,
			   const struct section *section, enum l4_direction direction)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < section->n_rules; i++) {
		struct peers *peers = &section->rules[i]->peers;
		const struct address_list *list;

		if (peers->n_endpoints) {
			r = endpoints_select(endpoints, peers, s->namespace_, &list);
			if (r == 0)
				r = add_key(s, mem, list->serial);
		}
		if (r == 0 && rule_has_names(section->rules[i]))
			r = add_named_key(s, mem, endpoints, section->rules[i], direction);
	}
	return r;
}

/* How many specs, their numbers, and the numbers of the lists of addresses on which they depend, of
 * which there are as many as the specs say. */
static int make_key(struct selection *s, struct arena *mem, struct endpoints *endpoints)
{
	bool splits = false;
	int r = add_key(s, mem, s->n);

	for (size_t i = 0; r == 0 && i < s->n; i++)
		r = add_key(s, mem, s->items[i].spec->number);
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		const struct spec *spec = s->items[i].spec;

		splits |= spec->splits_world;
		for (size_t j = 0; r == 0 && j < L4_DIRECTIONS; j++)
			r = add_section_key(s, mem, endpoints, &spec->sections[j],
					    (enum l4_direction)j);
	}
	if (r == 0 && splits)
		r = add_key(s, mem, endpoints->known.serial);
	return r;
}

int selection_make(const struct model *model, struct endpoints *endpoints,
		   const struct policy_endpoint *who, struct arena *mem, struct selection *ret)
{
	const struct label *labels = who->labels;
	size_t n_labels = who->n_labels;
	const char *name = labels_namespace(labels, n_labels);
	int r = 0;

	*ret = (struct selection){ .namespace_ = name ? name : "", .who = who };
	for (size_t i = 0; r == 0 && i < model->n; i++) {
		const struct document *doc = model->documents[i];

		if (!labels_in_namespace(doc->namespace_, labels, n_labels))
			continue;
		for (size_t j = 0; r == 0 && j < doc->n_specs; j++)
			if (selector_matches(&doc->specs[j]->selector, labels, n_labels))
				r = add_spec(ret, mem, doc, doc->specs[j]);
	}
	return r ? r : make_key(ret, mem, endpoints);
}

static int add_rule(struct selected_rules *s, struct arena *mem, struct rule *rule,
		    const struct address_list *endpoints)
{
	struct rule **items = arena_extend(mem, s->items, s->n, sizeof(struct rule *));
	const struct address_list **lists =
		arena_extend(mem, s->endpoints, s->n, sizeof(struct address_list *));

	if (!items || !lists)
		return -ENOMEM;
	s->items = items;
	s->endpoints = lists;
	items[s->n] = rule;
	lists[s->n++] = endpoints;
	return 0;
}

static int add_named(const struct selection *s, struct endpoints *endpoints, struct rule *rule,
		     enum l4_direction direction, struct arena *mem, struct selected_rules *ret)
{
	struct selected_rules named;
	int r = selection_named(s, endpoints, direction, rule, mem, &named);

	for (size_t i = 0; r == 0 && i < named.n; i++)
		r = add_rule(ret, mem, named.items[i], named.endpoints[i]);
	return r;
}

static int add_section(const struct selection *s, struct endpoints *endpoints,
		       const struct section *section, enum l4_direction direction,
		       struct arena *mem, struct selected_rules *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < section->n_rules; i++) {
		struct peers *peers = &section->rules[i]->peers;
		const struct address_list *list = NULL;

		if (peers->n_endpoints)
			r = endpoints_select(endpoints, peers, s->namespace_, &list);
		if (r == 0)
			r = add_rule(ret, mem, section->rules[i], list);
		if (r == 0 && rule_has_names(section->rules[i]))
			r = add_named(s, endpoints, section->rules[i], direction, mem, ret);
	}
	return r;
}

int selection_rules(const struct selection *s, struct endpoints *endpoints,
		    enum l4_direction direction, struct arena *mem, struct selected_rules *ret)
{
	bool default_deny = false;
	struct rule *open;
	int r = 0;

	*ret = (struct selected_rules){ .items = NULL };
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		const struct section *section = &s->items[i].spec->sections[direction];

		if (!section->present)
			continue;
		ret->present = true;
		default_deny |= !section->default_allow;
		r = add_section(s, endpoints, section, direction, mem, ret);
	}
	if (r < 0 || !ret->present || default_deny)
		return r;
	open = arena_alloc(mem, sizeof(*open));
	if (!open)
		return -ENOMEM;
	*open = (struct rule){ .peers.any = true, .any_port = true };
	return add_rule(ret, mem, open, NULL);
}
