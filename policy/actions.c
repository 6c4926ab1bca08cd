// SPDX-License-Identifier: Apache-2.0
/* What an allowed request's headers are to be made of. Every rule that allows the request has its
 * say, not only the first: elsewhere a rule with header actions is applied beside a wider one, too.
 */
#include "ruleset.h"

/* In the order in which they were written, each once however many readings it allows. */
static bool note(struct judge_scratch *s, const struct l7_rule *rule)
{
	size_t at = s->n_acting;

	for (size_t i = 0; i < s->n_acting; i++)
		if (s->acting[i] == rule)
			return true;
	if (at == VERDICT_ACTIONS_MAX)
		return false;
	for (; at > 0 && s->acting[at - 1]->order > rule->order; at--)
		s->acting[at] = s->acting[at - 1];
	s->acting[at] = rule;
	s->n_acting++;
	return true;
}

static bool is_there(const struct ruleset *rs, const struct judge_scratch *s, uint32_t condition)
{
	return s->seen[rs->conditions[condition].name].round == s->round;
}

static bool wants(const struct ruleset *rs, const struct judge_scratch *s,
		  const struct l7_action *a)
{
	if (hits_has(&s->conditions, a->condition))
		return false;
	return a->action.kind != HEADER_DELETE || is_there(rs, s, a->condition);
}

static bool wants_any(const struct ruleset *rs, const struct judge_scratch *s,
		      const struct l7_rule *rule)
{
	for (size_t i = 0; i < rule->n_actions; i++)
		if (wants(rs, s, &rule->actions[i]))
			return true;
	return false;
}

static bool collect_group(const struct ruleset *rs, const struct request *req, uint32_t path,
			  struct judge_scratch *s)
{
	const struct path_group *g = &rs->groups[path];

	if (g->n_acting == 0)
		return true;
	judge_find_group(rs, req, g, s);
	for (uint32_t i = 0; i < g->n_acting; i++) {
		const struct l7_rule *rule = &rs->rules[rs->acting[g->first_acting + i]];

		if (judge_rule_holds(rule, s) && wants_any(rs, s, rule) && !note(s, rule))
			return false;
	}
	return true;
}

bool actions_collect(const struct ruleset *rs, const struct request *req, struct judge_scratch *s)
{
	for (size_t i = 0; i < s->paths.n; i++)
		if (!collect_group(rs, req, s->paths.ids[i], s))
			return false;
	return collect_group(rs, req, 0, s);
}

static bool same_action(const struct header_action *a, const struct header_action *b)
{
	return a->kind == b->kind && a->secret == b->secret && span_eq_nocase(a->name, b->name) &&
	       span_eq(a->value, b->value);
}

static bool is_listed(const struct verdict *v, const struct header_action *a)
{
	for (unsigned i = 0; i < v->n_actions; i++)
		if (same_action(v->actions[i], a))
			return true;
	return false;
}

/* A proxy behind us would take out what we add. */
static bool is_in_vain(const struct ruleset *rs, const struct judge_scratch *s,
		       const struct l7_action *a)
{
	return (a->action.kind == HEADER_ADD || a->action.kind == HEADER_REPLACE) &&
	       s->seen[rs->conditions[a->condition].name].dropped_round == s->round;
}

bool actions_list(const struct ruleset *rs, const struct judge_scratch *s, struct verdict *v)
{
	for (size_t i = 0; i < s->n_acting; i++)
		for (size_t j = 0; j < s->acting[i]->n_actions; j++) {
			const struct l7_action *a = &s->acting[i]->actions[j];

			if (!wants(rs, s, a) || is_listed(v, &a->action))
				continue;
			if (v->n_actions == VERDICT_ACTIONS_MAX || is_in_vain(rs, s, a))
				return false;
			v->actions[v->n_actions++] = &a->action;
		}
	return true;
}
