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

static int add_section(struct selection *s, struct arena *mem, const struct section *section)
{
	int r = 0;

	s->default_deny |= !section->default_allow;
	for (size_t i = 0; r == 0 && i < section->n_rules; i++) {
		struct rule *rule = section->rules[i];

		/* A policy that denies nothing by default must not restrict by its L7 part. */
		for (size_t j = 0; section->default_allow && j < rule->n_ports; j++)
			rule->ports[j].l7 = false;
		r = add_rule(s, mem, rule);
	}
	return r;
}

static bool is_about(const struct document *doc, const struct spec *spec,
		     const struct label *labels, size_t n_labels)
{
	return is_in_namespace(doc->namespace_, labels, n_labels) &&
	       selector_matches(&spec->selector, labels, n_labels);
}

int selection_make(const struct model *model, enum l4_direction direction,
		   const struct label *labels, size_t n_labels, struct arena *mem,
		   struct selection *ret)
{
	int r = 0;

	*ret = (struct selection){ .rules = NULL };
	for (size_t i = 0; r == 0 && i < model->n; i++) {
		const struct document *doc = model->documents[i];
		bool selected = false;

		for (size_t j = 0; r == 0 && j < doc->n_specs; j++) {
			struct spec *spec = doc->specs[j];
			const struct section *section = &spec->sections[direction];

			if (!section->present || !is_about(doc, spec, labels, n_labels))
				continue;
			spec->selected = selected = true;
			r = add_section(ret, mem, section);
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

unsigned selection_count(const struct model *model, const struct label *labels, size_t n_labels)
{
	unsigned n = 0;

	for (size_t i = 0; i < model->n; i++) {
		const struct document *doc = model->documents[i];
		bool selected = false;

		for (size_t j = 0; j < doc->n_specs; j++) {
			const struct section *s = doc->specs[j]->sections;

			selected |= (s[L4_EGRESS].present || s[L4_INGRESS].present) &&
				    is_about(doc, doc->specs[j], labels, n_labels);
		}
		n += selected;
	}
	return n;
}
