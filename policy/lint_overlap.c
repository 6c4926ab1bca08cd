// SPDX-License-Identifier: Apache-2.0
/* Rules that another rule makes superfluous. Found from what was compiled, so that documents which
 * are united are looked at together. A rule is superfluous if one other rule allows all that it
 * allows, in every union in which it is. */
#include "lint.h"

#include <errno.h>
#include <stdlib.h>

#define CANDIDATES_MAX 1000 /* rules that one rule is compared with */

struct overlap {
	const struct ruleset *rs;
	hs_scratch_t *hs;
	struct hits hits;
};

static bool begins_with(struct span text, struct span prefix)
{
	return text.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0);
}

/* Whether A has a string or prefix that covers TEXT, or with REST everything that begins so. */
static bool has_literal(const struct pattern *a, struct span text, bool rest)
{
	for (size_t i = 0; i < a->n_literals; i++) {
		const struct regex_literal *l = &a->literals[i];

		if (l->prefix ? begins_with(text, l->text) : !rest && span_eq(l->text, text))
			return true;
	}
	return false;
}

/* Whether A matches all that B matches, as far as strings and prefixes show it; NULL is any. */
static bool covers(const struct pattern *a, const struct pattern *b)
{
	if (!a || a == b)
		return true;
	if (!b)
		return false;
	if (b->expression)
		return has_literal(a, b->prefix, true);
	for (size_t i = 0; i < b->n_literals; i++)
		if (!has_literal(a, b->literals[i].text, b->literals[i].prefix))
			return false;
	return true;
}

static bool covers_headers(const struct ruleset *rs, const struct l7_rule *a,
			   const struct http_rule *b)
{
	for (size_t i = 0; i < a->n_conditions; i++) {
		size_t j = 0;

		while (j < b->n_headers &&
		       ruleset_find_condition(rs, &b->headers[j]) != a->conditions[i])
			j++;
		if (j == b->n_headers)
			return false;
	}
	return true;
}

static const struct pattern *pattern_of(const struct matcher *m, uint32_t number)
{
	return number ? m->patterns[number] : NULL;
}

/* PATH: it is known already that A's path covers B's. */
static bool covers_rule(const struct ruleset *rs, const struct l7_rule *a,
			const struct http_rule *b, bool path)
{
	return (path || covers(pattern_of(&rs->paths, a->path), b->path)) &&
	       covers(pattern_of(&rs->methods, a->method), b->method) &&
	       covers(pattern_of(&rs->hosts, a->host), b->host) && covers_headers(rs, a, b);
}

/* Of two rules that allow the same the first is the one that counts. */
static bool is_equal(const struct ruleset *rs, const struct l7_rule *a, const struct http_rule *b)
{
	return covers(b->path, pattern_of(&rs->paths, a->path)) &&
	       covers(b->method, pattern_of(&rs->methods, a->method)) &&
	       covers(b->host, pattern_of(&rs->hosts, a->host)) && b->n_headers == a->n_conditions;
}

static const struct rule_ref *search_group(const struct overlap *o, uint32_t path,
					   const struct http_rule *b, uint32_t order, bool known,
					   size_t *left)
{
	const struct path_group *g = &o->rs->groups[path];

	for (uint32_t i = 0; i < g->n && *left; i++, --*left) {
		const struct l7_rule *a = &o->rs->rules[g->first + i];

		if (a->ref != b->ref && covers_rule(o->rs, a, b, known) &&
		    (a->order < order || !is_equal(o->rs, a, b)))
			return a->ref;
	}
	return NULL;
}

/* The rules worth a look: those for any path, for the same path, and those whose path matches a
 * string, or the beginning, of this one's. */
static const struct rule_ref *find_wider(struct overlap *o, const struct http_rule *b,
					 uint32_t order)
{
	const struct pattern *p = b->path;
	bool one_string = p && p->n_literals == 1 && !p->literals[0].prefix;
	size_t left = CANDIDATES_MAX;
	const struct rule_ref *ret = search_group(o, 0, b, order, false, &left);

	if (ret || !p)
		return ret;
	ret = search_group(o, matcher_number(&o->rs->paths, p), b, order, false, &left);
	if (p->expression)
		matcher_find(&o->rs->paths, p->prefix, o->hs, &o->hits);
	else if (p->n_literals)
		matcher_find(&o->rs->paths, p->literals[0].text, o->hs, &o->hits);
	else
		return ret;
	for (size_t i = 0; !ret && i < o->hits.n; i++)
		ret = search_group(o, o->hits.ids[i], b, order, one_string, &left);
	return ret;
}

static void look_at_rule(struct overlap *o, struct http_rule *rule, uint32_t order)
{
	const struct rule_ref *wider;

	/* What it wants done with headers is done beside whatever else allows the request. */
	for (size_t i = 0; i < rule->n_headers; i++)
		if (rule->headers[i].mismatch != MISMATCH_FAIL)
			return;
	wider = find_wider(o, rule, order);
	rule->uses++;
	if (!wider)
		return;
	rule->shadowed++;
	rule->shadow = wider;
}

static int look_at_ruleset(const struct l4 *c, const struct l4_ruleset *of)
{
	struct overlap o = { .rs = &of->rules };
	uint32_t order = 0;
	int r = hits_init(&o.hits, of->rules.paths.n);

	if (r == 0)
		r = matcher_scratch(&of->rules.paths, &o.hs);
	for (size_t i = 0; r == 0 && i < of->n_ports; i++) {
		struct port_rule *ports = c->port_rules[of->ports[i]];

		for (size_t j = 0; j < ports->n_http; j++)
			look_at_rule(&o, &ports->http[j], order++);
	}
	hs_free_scratch(o.hs);
	hits_done(&o.hits);
	return r;
}

static void name_place(struct diag *diag, struct diag_item *item, const char *here,
		       const char *file, unsigned line)
{
	if (strcmp(here, file) == 0)
		diag_hint(diag, item, "see line %u", line);
	else
		diag_hint(diag, item, "see line %u of %s", line, file);
}

static void warn_of_rule(struct diag *diag, const struct http_rule *rule)
{
	const struct rule_ref *ref = rule->ref;
	struct diag_item *item;

	if (!rule->uses || rule->shadowed != rule->uses)
		return;
	item = diag_warn(diag, ref->file, ref->line, ref->column,
			 "another rule allows all that this one allows");
	name_place(diag, item, ref->file, rule->shadow->file, rule->shadow->line);
}

static void warn_of_ports(struct diag *diag, const struct port_rule *ports)
{
	struct diag_item *item;

	if (ports->opened && !ports->steered && ports->opener) {
		item = diag_warn(diag, ports->place.file, ports->place.line, ports->place.column,
				 "these rules restrict nothing: another rule opens the same ports");
		name_place(diag, item, ports->place.file, ports->opener->file, ports->opener->line);
	}
	for (size_t i = 0; i < ports->n_http; i++)
		warn_of_rule(diag, &ports->http[i]);
}

int lint_overlap(const struct l4 *c, struct diag *diag)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_rulesets; i++)
		r = look_at_ruleset(c, c->rulesets[i]);
	for (size_t i = 0; r == 0 && i < c->n_rules; i++)
		for (size_t j = 0; j < c->rules[i]->n_ports; j++)
			warn_of_ports(diag, &c->rules[i]->ports[j]);
	return r;
}
