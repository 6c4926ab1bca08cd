// SPDX-License-Identifier: Apache-2.0
/* Whether two policies mean the same. Both were made by the same steps, so that what means the same
 * came out alike, part by part. */
#include "policy_private.h"

static bool same_words(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool same_ref(const struct rule_ref *a, const struct rule_ref *b)
{
	return same_words(a->policy, b->policy) && same_words(a->namespace_, b->namespace_) &&
	       same_words(a->path, b->path);
}

static bool same_matcher(const struct matcher *a, const struct matcher *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 1; i <= a->n; i++)
		if (!span_eq(a->patterns[i]->text, b->patterns[i]->text))
			return false;
	return true;
}

static bool same_conditions(const struct ruleset *a, const struct ruleset *b)
{
	if (a->n_conditions != b->n_conditions || a->n_names != b->n_names)
		return false;
	for (size_t i = 0; i < a->n_names; i++)
		if (!span_eq(a->names[i].text, b->names[i].text))
			return false;
	for (size_t i = 1; i <= a->n_conditions; i++) {
		const struct condition *x = &a->conditions[i], *y = &b->conditions[i];

		if (x->name != y->name || x->any_value != y->any_value || x->secret != y->secret ||
		    x->never != y->never || !span_eq(x->value, y->value))
			return false;
	}
	return true;
}

static bool same_actions(const struct l7_rule *a, const struct l7_rule *b)
{
	if (a->n_actions != b->n_actions)
		return false;
	for (size_t i = 0; i < a->n_actions; i++) {
		const struct l7_action *x = &a->actions[i], *y = &b->actions[i];

		/* The condition has name, value and secrecy. */
		if (x->condition != y->condition || x->action.kind != y->action.kind)
			return false;
	}
	return true;
}

static bool same_rule(const struct l7_rule *a, const struct l7_rule *b)
{
	return a->path == b->path && a->method == b->method && a->host == b->host &&
	       a->order == b->order && a->n_conditions == b->n_conditions &&
	       (a->n_conditions == 0 || memcmp(a->conditions, b->conditions,
					       a->n_conditions * sizeof(*a->conditions)) == 0) &&
	       same_actions(a, b) && same_ref(a->ref, b->ref);
}

static bool same_ruleset(const struct ruleset *a, const struct ruleset *b)
{
	if (a->n_rules != b->n_rules || !same_matcher(&a->paths, &b->paths) ||
	    !same_matcher(&a->methods, &b->methods) || !same_matcher(&a->hosts, &b->hosts) ||
	    !same_conditions(a, b))
		return false;
	for (size_t i = 0; i < a->n_rules; i++)
		if (!same_rule(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

static bool same_ranges(const struct l4_ranges *a, const struct l4_ranges *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct l4_range *x = &a->items[i], *y = &b->items[i];

		if (x->first != y->first || x->last != y->last || x->action != y->action ||
		    (x->action == L4_STEER && x->rules->number != y->rules->number))
			return false;
	}
	return true;
}

/* Identities and rulesets have numbers in the order in which they turned up. */
static bool same_tree(const struct l4 *a, const struct l4 *b, size_t tree)
{
	const struct l4_tree *x = &a->trees[tree], *y = &b->trees[tree];

	if (x->n_borders != y->n_borders)
		return false;
	for (size_t i = 0; i < x->n_borders; i++)
		if (memcmp(x->borders[i].ip, y->borders[i].ip, 16) != 0 ||
		    a->identities[x->borders[i].identity].number !=
			    b->identities[y->borders[i].identity].number)
			return false;
	return true;
}

static bool same_direction(const struct l4 *a, const struct l4 *b)
{
	bool same = a->n_rulesets == b->n_rulesets && a->n_identities == b->n_identities;

	for (size_t i = 0; same && i < a->n_rulesets; i++)
		same = same_ruleset(&a->rulesets[i]->rules, &b->rulesets[i]->rules);
	for (size_t i = 0; same && i < a->n_identities; i++) {
		const struct l4_identity *x = &a->identities[i], *y = &b->identities[i];

		same = x->number == y->number && same_ranges(&x->tcp, &y->tcp) &&
		       same_ranges(&x->udp, &y->udp);
	}
	for (size_t i = 0; same && i < L4_TREES; i++)
		same = same_tree(a, b, i);
	return same;
}

static bool same_documents(const struct policy *a, const struct policy *b)
{
	if (a->n_documents != b->n_documents)
		return false;
	for (size_t i = 0; i < a->n_documents; i++) {
		const struct policy_document *x = &a->documents[i], *y = &b->documents[i];

		if (!same_words(x->name, y->name) || !same_words(x->namespace_, y->namespace_) ||
		    !same_words(x->file, y->file))
			return false;
	}
	return true;
}

bool policy_same(const struct policy *a, const struct policy *b)
{
	if (a == b)
		return true;
	return a->table.enforced == b->table.enforced &&
	       a->table.ingress_enforced == b->table.ingress_enforced && same_documents(a, b) &&
	       same_direction(&a->l4[L4_EGRESS], &b->l4[L4_EGRESS]) &&
	       same_direction(&a->l4[L4_INGRESS], &b->l4[L4_INGRESS]);
}
