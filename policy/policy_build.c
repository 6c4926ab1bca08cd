// SPDX-License-Identifier: Apache-2.0
/* From what was selected to a policy. */
#include <errno.h>
#include <stdlib.h>

#include "lint.h"
#include "policy_private.h"

/* What exists while a policy is made. */
struct build {
	struct policy_set *set;
	const struct selection *selection;
	struct policy *policy;
	struct arena mem;
	bool lint;
	struct diag *diag;
};

static int build_begin(struct build *b)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	b->policy = p;
	atomic_init(&p->refs, 1);
	p->base = policy_base_ref(b->set->base);
	p->digest = b->set->digest;
	p->keep.wipe = b->set->mem.wipe;
	p->automata.keep = &p->keep;
	p->automata.pool = &p->base->pool;
	return 0;
}

/* Without a document that says something of DIRECTION its table stays as it is: not enforced. */
static int compile_direction(struct build *b, enum l4_direction direction)
{
	struct policy *p = b->policy;
	struct l4 *c = &p->l4[direction];
	struct selected_rules rules;
	int r = selection_rules(b->selection, &b->set->endpoints, direction, &b->mem, &rules);

	if (r < 0 || !rules.present)
		return r;
	c->direction = direction;
	c->keep = &p->keep;
	c->mem = &b->mem;
	c->automata = &p->automata;
	c->rules = rules.items;
	c->endpoints = rules.endpoints;
	c->n_rules = rules.n;
	c->known = &b->set->endpoints.known;
	c->lint = b->lint;
	r = l4_compile(c, &p->table);
	if (r == -EINVAL)
		diag_hint(b->diag,
			  diag_add(b->diag, "policy", 0, 0,
				   "the regular expressions cannot be used together: %s", c->why),
			  "make fewer or simpler expressions of it");
	if (direction == L4_INGRESS)
		p->table.ingress_enforced = true;
	else
		p->table.enforced = true;
	return r;
}

static int list_documents(struct policy *p, const struct selection *s)
{
	const struct document *last = NULL;

	p->documents = arena_alloc(&p->keep, (s->n_documents + 1) * sizeof(*p->documents));
	if (!p->documents)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		const struct document *doc = s->items[i].document;

		if (doc != last)
			p->documents[p->n_documents++] = (struct policy_document){
				.name = doc->name,
				.namespace_ = doc->namespace_,
				.file = doc->file,
			};
		last = doc;
	}
	return 0;
}

static bool is_selected(const struct build *b, const struct spec *spec)
{
	for (size_t i = 0; i < b->selection->n; i++)
		if (b->selection->items[i].spec == spec)
			return true;
	return false;
}

/* A spec that is not about the workload is compiled by itself and thrown away. */
static int lint_alone(struct build *b, struct document *doc, const struct spec *spec,
		      enum l4_direction direction)
{
	struct selected one = { doc, spec };
	const struct policy_endpoint nobody = { .labels = NULL };
	const struct selection s = { .items = &one, .n = 1, .namespace_ = "", .who = &nobody };
	struct l4 c = { .keep = &b->mem,
			.mem = &b->mem,
			.automata = &b->policy->automata,
			.known = &b->set->endpoints.known,
			.lint = true };
	struct l4_table table = { .enforced = true };
	struct selected_rules rules;
	int r;

	if (!spec->sections[direction].present || spec->sections[direction].default_allow)
		return 0;
	r = selection_rules(&s, &b->set->endpoints, direction, &b->mem, &rules);
	c.rules = rules.items;
	c.endpoints = rules.endpoints;
	c.n_rules = rules.n;
	if (r == 0)
		r = l4_compile(&c, &table);
	if (r == 0)
		r = lint_overlap(&c, b->diag);
	return r == -EINVAL ? 0 : r;
}

static int lint(struct build *b)
{
	const struct model *m = &b->set->model;
	int r = 0;

	for (size_t i = 0; r == 0 && i < L4_DIRECTIONS; i++)
		r = lint_overlap(&b->policy->l4[i], b->diag);
	for (size_t i = 0; r == 0 && i < m->n; i++)
		for (size_t j = 0; r == 0 && j < m->documents[i]->n_specs; j++) {
			const struct spec *spec = m->documents[i]->specs[j];

			for (size_t k = 0; r == 0 && !is_selected(b, spec) && k < L4_DIRECTIONS;
			     k++)
				r = lint_alone(b, m->documents[i], spec, (enum l4_direction)k);
		}
	return r;
}

/* Pointers into the builder's memory, which ends now, and into the model. */
static void forget_compiler(struct l4 *c)
{
	c->automata = NULL;
	c->mem = NULL;
	c->rules = NULL;
	c->endpoints = NULL;
	c->known = NULL;
	c->port_rules = NULL;
	c->first_port_rule = NULL;
	memset(&c->by_rules, 0, sizeof(c->by_rules));
	memset(&c->by_ports, 0, sizeof(c->by_ports));
	for (size_t i = 0; i < L4_TREES; i++)
		c->trees[i].nodes = NULL;
	for (size_t i = 0; i < c->n_identities; i++)
		c->identities[i].rules = NULL;
	for (size_t i = 0; i < c->n_rulesets; i++)
		c->rulesets[i]->ports = NULL;
}

static int build(struct build *b)
{
	int r = build_begin(b);

	for (size_t i = 0; r == 0 && i < L4_DIRECTIONS; i++)
		r = compile_direction(b, (enum l4_direction)i);
	if (r == 0)
		r = list_documents(b->policy, b->selection);
	if (r == 0 && b->lint)
		r = lint(b);
	if (r < 0)
		return r;
	b->policy->automata.pool = NULL;
	for (size_t i = 0; i < L4_DIRECTIONS; i++)
		forget_compiler(&b->policy->l4[i]);
	return 0;
}

int policy_build(struct policy_set *set, const struct selection *s, bool lint, struct policy **ret,
		 struct diag *diag)
{
	struct build b = { .set = set, .selection = s, .lint = lint, .diag = diag };
	int r = build(&b);

	b.mem.wipe = set->mem.wipe;
	arena_done(&b.mem);
	if (r == 0)
		*ret = b.policy;
	else
		policy_unref(b.policy);
	return r;
}
