// SPDX-License-Identifier: Apache-2.0
/* Which rule came nearest to a request that was denied. */
#include "ruleset.h"

#include <limits.h>

struct nearness {
	const struct l7_rule *rule;
	unsigned failed;	  /* how many fields differ */
	size_t common;		  /* how far the path pattern's text and the path agree */
	enum request_field first; /* the first that differs */
};

static size_t common_prefix(struct span a, struct span b)
{
	size_t i = 0;

	while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i])
		i++;
	return i;
}

static void note_failure(struct nearness *n, enum request_field field)
{
	if (n->failed++ == 0)
		n->first = field;
}

/* Which fields differ. */
static struct nearness measure(const struct l7_rule *rule, const struct judge_scratch *s)
{
	struct nearness n = { .rule = rule, .first = FIELD_NONE };

	if (rule->method && !hits_has(&s->methods, rule->method))
		note_failure(&n, FIELD_METHOD);
	if (rule->path && !hits_has(&s->paths, rule->path))
		note_failure(&n, FIELD_PATH);
	if (rule->host && !hits_has(&s->hosts, rule->host))
		note_failure(&n, FIELD_HOST);
	if (!judge_conditions_hold(rule, s))
		note_failure(&n, FIELD_HEADERS);
	return n;
}

/* Could TEXT and the reading agree in more than N bytes? */
static bool may_agree(struct span text, struct span reading, size_t n)
{
	return n < text.len && n < reading.len && text.ptr[n] == reading.ptr[n];
}

/* Is RULE nearer than *BEST? Of as many fields that differ, more of the path has to agree. */
static void consider(const struct ruleset *rs, const struct l7_rule *rule, struct span reading,
		     const struct judge_scratch *s, struct nearness *best)
{
	struct nearness n;
	struct span text = { 0 };
	unsigned least = rule->path && !hits_has(&s->paths, rule->path);

	if (rule->path)
		text = rs->paths.patterns[rule->path]->text;
	/* Most are out of the question at the first look. */
	if (least >= best->failed && !may_agree(text, reading, best->common))
		return;
	n = measure(rule, s);
	n.common = common_prefix(text, reading);
	if (n.failed < best->failed || (n.failed == best->failed && n.common > best->common))
		*best = n;
}

/* Look at the N rules from FIRST on, as far as *LEFT goes. */
static void search(const struct ruleset *rs, size_t first, size_t n, struct span reading,
		   const struct judge_scratch *s, size_t *left, struct nearness *best)
{
	for (size_t i = first; i < first + n && *left; i++, --*left)
		consider(rs, &rs->rules[i], reading, s, best);
}

/* The first reading that no rule allows is the one to explain; with it, s->paths is set. As a rule
 * that is as the judge left it. */
static struct span denied_reading(const struct ruleset *rs, const struct request *req,
				  struct judge_scratch *s)
{
	if (s->unmet)
		return *s->unmet;
	for (size_t i = 0; i < req->n_readings; i++)
		if (!judge_reading(rs, req, req->readings[i], s))
			return req->readings[i];
	return req->path;
}

void ruleset_explain(const struct ruleset *rs, const struct request *req,
		     struct judge_scratch *scratch, struct verdict *verdict)
{
	struct nearness best = { .failed = UINT_MAX };
	size_t left = RULESET_EXPLAIN_MAX;
	struct span reading;

	if (!rs || !scratch || verdict->action != VERDICT_DENY)
		return;
	if (!scratch->unmet)
		judge_begin(scratch);
	judge_fields(rs, req, scratch);
	reading = denied_reading(rs, req, scratch);
	/* Rules whose path fits come first: among very many, they are the likely ones. */
	for (size_t i = 0; i < scratch->paths.n; i++) {
		const struct path_group *g = &rs->groups[scratch->paths.ids[i]];

		search(rs, g->first, g->n, reading, scratch, &left, &best);
	}
	search(rs, 0, rs->n_rules, reading, scratch, &left, &best);
	/* A rule that differs in nothing is none: the request was not denied by this ruleset. */
	if (!best.rule || best.failed == 0)
		return;
	verdict->rule = best.rule->ref;
	verdict->failed = best.first;
}
