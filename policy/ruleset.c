// SPDX-License-Identifier: Apache-2.0
/* Building a ruleset: every pattern and condition gets its number, then the rules are sorted by
 * path and put into the table of combinations. */
#include "ruleset.h"

#include <errno.h>
#include <stdlib.h>

uint64_t ruleset_name_hash(struct span name)
{
	uint64_t h = HASH_START;

	for (size_t i = 0; i < name.len; i++)
		h = hash_byte(h, ascii_lower(name.ptr[i]));
	return hash_final(h);
}

uint64_t ruleset_condition_hash(uint32_t name, bool any_value, struct span value)
{
	uint64_t h = hash_bytes(HASH_START, &name, sizeof(name));

	h = hash_byte(h, any_value);
	return hash_final(hash_bytes(h, value.ptr, value.len));
}

uint64_t ruleset_key_hash(uint32_t path, uint32_t method, uint32_t host, uint32_t condition)
{
	uint64_t h = ((uint64_t)path << 32 | condition) * UINT64_C(0x9e3779b97f4a7c15);

	return hash_final(h ^ ((uint64_t)method << 32 | host));
}

static uint32_t find_name(const struct ruleset *rs, struct span name)
{
	uint64_t hash = ruleset_name_hash(name);
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&rs->by_name, hash, &at)) != HASH_NONE)
		if (span_eq_nocase(rs->names[i].text, name))
			break;
	return i;
}

static uint32_t name_number(struct ruleset *rs, struct arena *keep, struct span name)
{
	uint64_t hash = ruleset_name_hash(name);
	uint32_t i = find_name(rs, name);
	struct header_name *names;
	char *copy;

	if (i != HASH_NONE)
		return i;
	names = arena_extend(keep, rs->names, rs->n_names, sizeof(*names));
	copy = arena_copy(keep, name.ptr, name.len);
	if (!names || !copy)
		return UINT32_MAX;
	rs->names = names;
	if (hash_table_add(&rs->by_name, keep, hash, (uint32_t)rs->n_names) < 0)
		return UINT32_MAX;
	rs->names[rs->n_names] = (struct header_name){ .text = { copy, name.len } };
	return (uint32_t)rs->n_names++;
}

/* Secrets are found by their header's name only, and one that is missing not at all. */
static int condition_index(struct ruleset *rs, struct arena *keep, uint32_t i)
{
	struct condition *c = &rs->conditions[i];
	struct header_name *name = &rs->names[c->name];

	if (c->never)
		return 0;
	if (!c->secret)
		return hash_table_add(&rs->by_condition, keep,
				      ruleset_condition_hash(c->name, c->any_value, c->value), i);
	c->next_secret = name->first_secret;
	name->first_secret = i;
	return 0;
}

static uint32_t condition_new(struct ruleset *rs, struct arena *keep, struct condition c)
{
	struct condition *list = arena_extend(
		keep, rs->conditions, rs->n_conditions ? rs->n_conditions + 1 : 0, sizeof(*list));

	if (!list)
		return 0;
	rs->conditions = list;
	c.value.ptr = arena_copy(keep, c.value.ptr, c.value.len);
	if (!c.value.ptr)
		return 0;
	rs->conditions[rs->n_conditions + 1] = c;
	if (condition_index(rs, keep, (uint32_t)rs->n_conditions + 1) < 0)
		return 0;
	return (uint32_t)++rs->n_conditions;
}

static uint32_t find_secret(const struct ruleset *rs, uint32_t name, struct span value)
{
	uint32_t i = rs->names[name].first_secret;

	while (i && !span_eq(rs->conditions[i].value, value))
		i = rs->conditions[i].next_secret;
	return i;
}

static uint32_t find_plain(const struct ruleset *rs, uint32_t name, bool any_value,
			   struct span value)
{
	uint64_t hash = ruleset_condition_hash(name, any_value, value);
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&rs->by_condition, hash, &at)) != HASH_NONE) {
		const struct condition *c = &rs->conditions[i];

		if (c->name == name && c->any_value == any_value && span_eq(c->value, value))
			return i;
	}
	return 0;
}

uint32_t ruleset_find_condition(const struct ruleset *rs, const struct header_match *h)
{
	uint32_t name = find_name(rs, h->name);

	if (name == HASH_NONE || h->never)
		return 0;
	if (h->secret)
		return find_secret(rs, name, h->value);
	return find_plain(rs, name, h->any_value, h->value);
}

/* From 1; 0 when out of memory. */
static uint32_t condition_number(struct ruleset *rs, struct arena *keep,
				 const struct header_match *h)
{
	uint32_t i = ruleset_find_condition(rs, h), name;

	if (i)
		return i;
	name = name_number(rs, keep, h->name);
	if (name == UINT32_MAX)
		return 0;
	return condition_new(rs, keep,
			     (struct condition){ .name = name,
						 .any_value = h->any_value,
						 .secret = h->secret,
						 .never = h->never,
						 .value = h->value });
}

/* A missing secret is a condition whatever is to be done without it: it never holds. */
static bool is_action(const struct header_match *h)
{
	return h->mismatch != MISMATCH_FAIL && !h->never;
}

static void set_action(const struct ruleset *rs, uint32_t condition, const struct header_match *h,
		       struct l7_action *a)
{
	static const enum header_action_kind kinds[] = {
		[MISMATCH_FAIL] = HEADER_LOG,	   [MISMATCH_LOG] = HEADER_LOG,
		[MISMATCH_ADD] = HEADER_ADD,	   [MISMATCH_REPLACE] = HEADER_REPLACE,
		[MISMATCH_DELETE] = HEADER_DELETE,
	};
	const struct condition *c = &rs->conditions[condition];

	a->condition = condition;
	a->action = (struct header_action){ .kind = kinds[h->mismatch],
					    .secret = c->secret,
					    .name = rs->names[c->name].text,
					    .value = c->value };
}

static int add_conditions(struct ruleset *rs, struct arena *keep, const struct http_rule *from,
			  struct l7_rule *to)
{
	struct l7_action *actions = arena_alloc(keep, (from->n_headers + 1) * sizeof(*actions));

	to->conditions = arena_alloc(keep, (from->n_headers + 1) * sizeof(*to->conditions));
	if (!to->conditions || !actions)
		return -ENOMEM;
	to->actions = actions;
	for (size_t i = 0; i < from->n_headers; i++) {
		uint32_t c = condition_number(rs, keep, &from->headers[i]);

		if (c == 0)
			return -ENOMEM;
		if (is_action(&from->headers[i])) {
			set_action(rs, c, &from->headers[i], &actions[to->n_actions++]);
			continue;
		}
		to->conditions[to->n_conditions++] = c;
		rs->conditions[c].uses++;
	}
	return 0;
}

static int add_rule(struct ruleset *rs, struct arena *keep, const struct http_rule *from,
		    struct l7_rule *to)
{
	to->path = matcher_add(&rs->paths, keep, from->path);
	to->method = matcher_add(&rs->methods, keep, from->method);
	to->host = matcher_add(&rs->hosts, keep, from->host);
	to->ref = from->ref;
	to->order = (uint32_t)rs->n_rules;
	if (to->path == UINT32_MAX || to->method == UINT32_MAX || to->host == UINT32_MAX)
		return -ENOMEM;
	return from->n_headers ? add_conditions(rs, keep, from, to) : 0;
}

/* The rarest condition leads: by it the rule is found. */
static void sort_conditions(const struct ruleset *rs, struct l7_rule *rule)
{
	for (size_t i = 1; i < rule->n_conditions; i++) {
		uint32_t c = rule->conditions[0];

		if (rs->conditions[rule->conditions[i]].uses < rs->conditions[c].uses) {
			rule->conditions[0] = rule->conditions[i];
			rule->conditions[i] = c;
		}
	}
}

/* By path; the rules of one path stay in the order in which they were written. */
static int compare_rules(const void *left, const void *right)
{
	const struct l7_rule *a = *(const struct l7_rule *const *)left;
	const struct l7_rule *b = *(const struct l7_rule *const *)right;

	if (a->path != b->path)
		return a->path < b->path ? -1 : 1;
	return (a > b) - (a < b);
}

static int sort_rules(struct ruleset *rs, struct arena *keep)
{
	struct l7_rule **order = calloc(rs->n_rules + 1, sizeof(*order));
	struct l7_rule *sorted = arena_alloc(keep, (rs->n_rules + 1) * sizeof(*sorted));

	if (!order || !sorted) {
		free(order);
		return -ENOMEM;
	}
	for (size_t i = 0; i < rs->n_rules; i++)
		order[i] = &rs->rules[i];
	qsort(order, rs->n_rules, sizeof(*order), compare_rules);
	for (size_t i = 0; i < rs->n_rules; i++)
		sorted[i] = *order[i];
	rs->rules = sorted;
	free(order);
	return 0;
}

static bool same_rule(const struct l7_rule *a, const struct l7_rule *b)
{
	if (a->path != b->path || a->method != b->method || a->host != b->host ||
	    a->n_conditions != b->n_conditions || a->n_actions || b->n_actions)
		return false;
	for (size_t i = 0; i < a->n_conditions; i++)
		if (a->conditions[i] != b->conditions[i])
			return false;
	return true;
}

static bool is_known(const struct ruleset *rs, uint64_t key, const struct l7_rule *rule)
{
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&rs->by_key, key, &at)) != HASH_NONE)
		if (same_rule(&rs->rules[i], rule))
			return true;
	return false;
}

static void add_to_group(struct path_group *g, uint32_t index, const struct l7_rule *rule)
{
	if (g->n++ == 0)
		g->first = index;
	g->method_any |= rule->method == 0;
	g->method_some |= rule->method != 0;
	g->host_any |= rule->host == 0;
	g->host_some |= rule->host != 0;
	g->header_none |= rule->n_conditions == 0;
	g->header_some |= rule->n_conditions != 0 || rule->n_actions != 0;
}

static int index_acting(struct ruleset *rs, struct arena *keep)
{
	for (size_t i = 0; i < rs->n_rules; i++) {
		struct path_group *g = &rs->groups[rs->rules[i].path];
		uint32_t *list;

		if (rs->rules[i].n_actions == 0)
			continue;
		list = arena_extend(keep, rs->acting, rs->n_acting, sizeof(*list));
		if (!list)
			return -ENOMEM;
		rs->acting = list;
		if (g->n_acting++ == 0)
			g->first_acting = (uint32_t)rs->n_acting;
		rs->acting[rs->n_acting++] = (uint32_t)i;
	}
	return 0;
}

/* Drops the repetitions on the way: the first of equal rules is the one that verdicts name. */
static int index_rules(struct ruleset *rs, struct arena *keep)
{
	size_t n = rs->n_rules;

	rs->n_rules = 0;
	rs->groups = arena_alloc(keep, (rs->paths.n + 1) * sizeof(*rs->groups));
	if (!rs->groups)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct l7_rule rule = rs->rules[i];
		uint64_t key = ruleset_key_hash(rule.path, rule.method, rule.host,
						rule.n_conditions ? rule.conditions[0] : 0);

		if (is_known(rs, key, &rule))
			continue;
		rs->rules[rs->n_rules] = rule;
		if (hash_table_add(&rs->by_key, keep, key, (uint32_t)rs->n_rules) < 0)
			return -ENOMEM;
		add_to_group(&rs->groups[rule.path], (uint32_t)rs->n_rules, &rule);
		rs->n_rules++;
	}
	return 0;
}

int ruleset_build(struct ruleset *rs, struct arena *keep, struct automata *automata,
		  const struct http_rule *const *rules, size_t n, const char **why)
{
	int r;

	memset(rs, 0, sizeof(*rs));
	rs->rules = arena_alloc(keep, (n + 1) * sizeof(*rs->rules));
	if (!rs->rules)
		return -ENOMEM;
	for (rs->n_rules = 0; rs->n_rules < n; rs->n_rules++)
		if (add_rule(rs, keep, rules[rs->n_rules], &rs->rules[rs->n_rules]) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sort_conditions(rs, &rs->rules[i]);
	r = sort_rules(rs, keep);
	if (r == 0)
		r = index_rules(rs, keep);
	if (r == 0)
		r = index_acting(rs, keep);
	if (r == 0)
		r = matcher_build(&rs->paths, keep, automata, why);
	if (r == 0)
		r = matcher_build(&rs->methods, keep, automata, why);
	if (r == 0)
		r = matcher_build(&rs->hosts, keep, automata, why);
	return r;
}
