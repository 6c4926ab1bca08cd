// SPDX-License-Identifier: Apache-2.0
#include "select.h"

#include <errno.h>

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

/* A rule that selects endpoints depends on which they are. */
static int add_section_key(struct selection *s, struct arena *mem, struct endpoints *endpoints,
			   const struct section *section)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < section->n_rules; i++) {
		struct peers *peers = &section->rules[i]->peers;
		const struct address_list *list;

		if (!peers->n_endpoints)
			continue;
		r = endpoints_select(endpoints, peers, s->namespace_, &list);
		if (r == 0)
			r = add_key(s, mem, list->serial);
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
			r = add_section_key(s, mem, endpoints, &spec->sections[j]);
	}
	if (r == 0 && splits)
		r = add_key(s, mem, endpoints->known.serial);
	return r;
}

int selection_make(const struct model *model, struct endpoints *endpoints,
		   const struct label *labels, size_t n_labels, struct arena *mem,
		   struct selection *ret)
{
	const char *name = labels_namespace(labels, n_labels);
	int r = 0;

	*ret = (struct selection){ .namespace_ = name ? name : "" };
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

static int add_section(const struct selection *s, struct endpoints *endpoints,
		       const struct section *section, struct arena *mem, struct selected_rules *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < section->n_rules; i++) {
		struct peers *peers = &section->rules[i]->peers;
		const struct address_list *list = NULL;

		if (peers->n_endpoints)
			r = endpoints_select(endpoints, peers, s->namespace_, &list);
		if (r == 0)
			r = add_rule(ret, mem, section->rules[i], list);
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
		r = add_section(s, endpoints, section, mem, ret);
	}
	if (r < 0 || !ret->present || default_deny)
		return r;
	open = arena_alloc(mem, sizeof(*open));
	if (!open)
		return -ENOMEM;
	*open = (struct rule){ .peers.any = true, .any_port = true };
	return add_rule(ret, mem, open, NULL);
}
