// SPDX-License-Identifier: Apache-2.0
/* What stands side by side in a list, and what a spec makes of its rules. */
#include "lint.h"
#include "policy.h"
#include "sluice/array.h"

static bool is_disjoint(const struct node *a, const struct node *b)
{
	for (size_t i = 0; i < a->n; i += 2)
		if (node_get(b, a->items[i]->text.ptr))
			return false;
	return true;
}

/* "- method: GET" and "- path: /x", one below the other: two rules, each wide. Where one was meant,
 * no key is in both. */
void lint_l7_list(struct reader *r, const struct node *list)
{
	for (size_t i = 1; r->options->lint && i < list->n; i++) {
		const struct node *a = list->items[i - 1], *b = list->items[i];

		if (a->kind != NODE_MAP || b->kind != NODE_MAP || !a->n || !b->n ||
		    !is_disjoint(a, b))
			continue;
		diag_hint(r->diag,
			  reader_warn(r, b,
				      "this rule allows more than its keys and those of the rule "
				      "before it say together"),
			  "if they are one rule, leave out the dash before \"%s\"",
			  b->items[0]->text.ptr);
	}
}

static bool has_peer(const struct node *rule, enum l4_direction direction)
{
	static const char *const keys[L4_DIRECTIONS][4] = {
		[L4_EGRESS] = { "toCIDR", "toCIDRSet", "toEntities", "toEndpoints" },
		[L4_INGRESS] = { "fromCIDR", "fromCIDRSet", "fromEntities", "fromEndpoints" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys[direction]); i++)
		if (node_get(rule, keys[direction][i]))
			return true;
	return false;
}

/* "- toCIDR: ..." and "- toPorts: ...": all ports there, and these ports everywhere. */
void lint_rule_list(struct reader *r, const struct node *list, enum l4_direction direction)
{
	for (size_t i = 1; r->options->lint && i < list->n; i++) {
		const struct node *a = list->items[i - 1], *b = list->items[i];

		if (!has_peer(a, direction) || node_get(a, "toPorts") || has_peer(b, direction) ||
		    !node_get(b, "toPorts"))
			continue;
		diag_hint(
			r->diag,
			reader_warn(r, b,
				    "this rule is about every address, and the one before it about "
				    "every port"),
			"if they are one rule, leave out the dash before \"%s\"",
			b->items[0]->text.ptr);
	}
}

void lint_empty_rule(struct reader *r, const struct node *rule, enum l4_direction direction)
{
	if (r->options->lint)
		diag_hint(r->diag, reader_warn(r, rule, "this rule allows nothing"),
			  "write %sEntities: [all] to allow everything", direction_peer(direction));
}

static void lint_section(struct reader *r, const struct section *section,
			 enum l4_direction direction)
{
	if (!section->default_allow)
		return;
	for (size_t i = 0; i < section->n_rules; i++)
		for (size_t j = 0; j < section->rules[i]->n_ports; j++) {
			const struct port_rule *p = &section->rules[i]->ports[j];

			if (!p->l7)
				continue;
			diag_hint(r->diag,
				  diag_warn(r->diag, p->place.file, p->place.line, p->place.column,
					    "these rules restrict nothing"),
				  "the policy has enableDefaultDeny: {%s: false}",
				  direction_name(direction));
		}
}

void lint_spec(struct reader *r, const struct spec *spec)
{
	if (!r->options->lint)
		return;
	lint_section(r, &spec->sections[L4_EGRESS], L4_EGRESS);
	lint_section(r, &spec->sections[L4_INGRESS], L4_INGRESS);
}
