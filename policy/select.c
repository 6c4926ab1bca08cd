// SPDX-License-Identifier: Apache-2.0
/* Which documents are about a workload, and what follows from several of them. */
#include <errno.h>

#include "loader.h"

/* A namespaced policy is about workloads of its namespace. A workload that says nothing of its
 * namespace is taken to be in whichever it needs to be: `sluice run` has no namespaces. */
static bool is_in_namespace(const char *name, const struct label *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *key = labels[i].key;

		if (strncmp(key, "k8s:", 4) == 0)
			key += 4;
		if (strcmp(key, "io.kubernetes.pod.namespace") == 0)
			return !*name || strcmp(labels[i].value, name) == 0;
	}
	return true;
}

static int add_rule(struct selection *s, struct arena *mem, struct rule *rule)
{
	s->rules = arena_extend(mem, s->rules, s->n_rules, sizeof(struct rule *));
	if (!s->rules)
		return -ENOMEM;
	s->rules[s->n_rules++] = rule;
	return 0;
}

static int add_spec(struct selection *s, struct arena *mem, struct spec *spec)
{
	int r = 0;

	spec->selected = true;
	s->default_deny |= !spec->default_allow;
	for (size_t i = 0; r == 0 && i < spec->n_rules; i++) {
		struct rule *rule = spec->rules[i];

		/* A policy that denies nothing by default must not restrict by its L7 part. */
		for (size_t j = 0; spec->default_allow && j < rule->n_ports; j++)
			rule->ports[j].l7 = false;
		r = add_rule(s, mem, rule);
	}
	return r;
}

int selection_make(const struct model *model, const struct label *labels, size_t n_labels,
		   struct arena *mem, struct selection *ret)
{
	int r = 0;

	*ret = (struct selection){ .rules = NULL };
	for (size_t i = 0; r == 0 && i < model->n; i++) {
		const struct document *doc = model->documents[i];
		bool selected = false;

		if (!is_in_namespace(doc->namespace_, labels, n_labels))
			continue;
		for (size_t j = 0; r == 0 && j < doc->n_specs; j++) {
			struct spec *spec = doc->specs[j];

			if (!spec->has_egress ||
			    !selector_matches(&spec->selector, labels, n_labels))
				continue;
			selected = true;
			r = add_spec(ret, mem, spec);
		}
		ret->n_documents += selected;
	}
	if (r == 0 && ret->n_documents && !ret->default_deny) {
		struct rule *open = arena_alloc(mem, sizeof(*open));

		if (!open)
			return -ENOMEM;
		*open = (struct rule){ .peers.any = true, .any_port = true };
		r = add_rule(ret, mem, open);
	}
	return r;
}
