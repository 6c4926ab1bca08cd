// SPDX-License-Identifier: Apache-2.0
/* Judging one request. */
#include "ruleset.h"
#include "secret.h"
#include "sluice/array.h"

/* A path with so few rules is looked through; beyond, combinations are looked up. */
#define FEW_RULES 8

/* The number of a header's name, or HASH_NONE if no rule has it. */
static uint32_t find_name(const struct ruleset *rs, struct span text)
{
	uint64_t hash = ruleset_name_hash(text);
	size_t at = 0;
	uint32_t name;

	while ((name = hash_table_next(&rs->by_name, hash, &at)) != HASH_NONE)
		if (span_eq_nocase(rs->names[name].text, text))
			break;
	return name;
}

/* Fields that belong to one connection, and have to be named where they are used. */
static bool is_hop_by_hop(struct span name)
{
	static const char *const names[] = { "upgrade", "te", "keep-alive", "http2-settings",
					     "proxy-connection" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (span_eq_nocase(name, span_of(names[i])))
			return true;
	return false;
}

/* What Connection names, the next proxy takes out, and the server behind it never sees: no rule is
 * met by it. LIST has been held to the grammar: tokens, commas and blanks. */
static void note_dropped(const struct ruleset *rs, struct span list, struct judge_scratch *s)
{
	const char *at = list.ptr, *end = list.ptr + list.len;

	while (at < end) {
		struct span token = { at, 0 };
		uint32_t name;

		while (at < end && !strchr(", \t", *at))
			at++;
		token.len = (size_t)(at - token.ptr);
		while (at < end && strchr(", \t", *at))
			at++;
		name = find_name(rs, token);
		if (name != HASH_NONE && !is_hop_by_hop(token))
			s->seen[name].dropped_round = s->round;
	}
}

static void find_headers(const struct ruleset *rs, const struct request *req,
			 struct judge_scratch *s, size_t *n_seen)
{
	*n_seen = 0;
	for (size_t i = 0; i < req->n_headers; i++) {
		const struct header *h = &req->headers[i];
		uint32_t name = find_name(rs, h->name);

		if (span_eq_nocase(h->name, SPAN_LITERAL("connection")))
			note_dropped(rs, h->value, s);
		if (name == HASH_NONE)
			continue;
		if (s->seen[name].round == s->round) {
			s->seen[name].differs |= !span_eq(s->seen[name].first->value, h->value);
			continue;
		}
		s->seen[name].first = h;
		s->seen[name].differs = false;
		s->seen[name].round = s->round;
		s->seen_names[(*n_seen)++] = name;
	}
}

static void find_condition(const struct ruleset *rs, uint32_t name, bool any_value,
			   struct span value, struct hits *hits)
{
	uint64_t hash = ruleset_condition_hash(name, any_value, value);
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&rs->by_condition, hash, &at)) != HASH_NONE) {
		const struct condition *c = &rs->conditions[i];

		if (c->name == name && c->any_value == any_value && span_eq(c->value, value))
			hits_add(hits, i);
	}
}

/* Every secret that a header may have is looked at, and each is compared to its end. */
static void find_secrets(const struct ruleset *rs, uint32_t name, struct span value,
			 struct hits *hits)
{
	for (uint32_t i = rs->names[name].first_secret; i; i = rs->conditions[i].next_secret)
		if (secret_equal(rs->conditions[i].value, value))
			hits_add(hits, i);
}

static void find_conditions(const struct ruleset *rs, const struct request *req,
			    struct judge_scratch *s)
{
	size_t n_seen;

	if (s->have_conditions)
		return;
	s->have_conditions = true;
	hits_clear(&s->conditions);
	if (rs->n_conditions == 0)
		return;
	s->round++;
	find_headers(rs, req, s, &n_seen);
	for (size_t i = 0; i < n_seen; i++) {
		const struct header_seen *h = &s->seen[s->seen_names[i]];

		if (h->dropped_round == s->round)
			continue;
		find_condition(rs, s->seen_names[i], true, SPAN_LITERAL(""), &s->conditions);
		if (h->differs)
			continue;
		find_condition(rs, s->seen_names[i], false, h->first->value, &s->conditions);
		find_secrets(rs, s->seen_names[i], h->first->value, &s->conditions);
	}
}

static void find_methods(const struct ruleset *rs, const struct request *req,
			 struct judge_scratch *s)
{
	if (!s->have_methods)
		matcher_find(&rs->methods, req->method, s->hs, &s->methods);
	s->have_methods = true;
}

static void find_hosts(const struct ruleset *rs, const struct request *req, struct judge_scratch *s)
{
	if (!s->have_hosts)
		matcher_find(&rs->hosts, req->authority, s->hs, &s->hosts);
	s->have_hosts = true;
}

bool judge_conditions_hold(const struct l7_rule *rule, const struct judge_scratch *s)
{
	for (size_t i = 0; i < rule->n_conditions; i++)
		if (!hits_has(&s->conditions, rule->conditions[i]))
			return false;
	return true;
}

bool judge_rule_holds(const struct l7_rule *rule, const struct judge_scratch *s)
{
	return (rule->method == 0 || hits_has(&s->methods, rule->method)) &&
	       (rule->host == 0 || hits_has(&s->hosts, rule->host)) &&
	       judge_conditions_hold(rule, s);
}

static const struct l7_rule *look_through(const struct ruleset *rs, const struct path_group *g,
					  const struct judge_scratch *s)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (judge_rule_holds(&rs->rules[g->first + i], s))
			return &rs->rules[g->first + i];
	return NULL;
}

static const struct l7_rule *look_up(const struct ruleset *rs, uint32_t path, uint32_t method,
				     uint32_t host, uint32_t condition,
				     const struct judge_scratch *s)
{
	uint64_t key = ruleset_key_hash(path, method, host, condition);
	size_t at = 0;
	uint32_t i;

	while ((i = hash_table_next(&rs->by_key, key, &at)) != HASH_NONE) {
		const struct l7_rule *rule = &rs->rules[i];

		if (rule->path == path && rule->method == method && rule->host == host &&
		    (rule->n_conditions ? rule->conditions[0] : 0) == condition &&
		    judge_conditions_hold(rule, s))
			return rule;
	}
	return NULL;
}

/* Number AT of: any, then each hit. */
static uint32_t choice(const struct hits *hits, size_t at)
{
	return at ? hits->ids[at - 1] : 0;
}

static const struct l7_rule *look_up_all(const struct ruleset *rs, uint32_t path,
					 const struct path_group *g, const struct judge_scratch *s)
{
	size_t methods = g->method_some ? s->methods.n : 0;
	size_t hosts = g->host_some ? s->hosts.n : 0;
	size_t conditions = g->header_some ? s->conditions.n : 0;

	if ((methods + 1) * (hosts + 1) * (conditions + 1) >= g->n)
		return look_through(rs, g, s);
	for (size_t m = g->method_any ? 0 : 1; m <= methods; m++)
		for (size_t h = g->host_any ? 0 : 1; h <= hosts; h++)
			for (size_t c = g->header_none ? 0 : 1; c <= conditions; c++) {
				const struct l7_rule *rule =
					look_up(rs, path, choice(&s->methods, m),
						choice(&s->hosts, h), choice(&s->conditions, c), s);

				if (rule)
					return rule;
			}
	return NULL;
}

void judge_find_group(const struct ruleset *rs, const struct request *req,
		      const struct path_group *g, struct judge_scratch *s)
{
	if (g->method_some)
		find_methods(rs, req, s);
	if (g->host_some)
		find_hosts(rs, req, s);
	if (g->header_some)
		find_conditions(rs, req, s);
}

static const struct l7_rule *try_path(const struct ruleset *rs, const struct request *req,
				      uint32_t path, struct judge_scratch *s)
{
	const struct path_group *g = &rs->groups[path];

	if (g->n == 0)
		return NULL;
	judge_find_group(rs, req, g, s);
	return g->n <= FEW_RULES ? look_through(rs, g, s) : look_up_all(rs, path, g, s);
}

const struct l7_rule *judge_reading(const struct ruleset *rs, const struct request *req,
				    struct span reading, struct judge_scratch *s)
{
	const struct l7_rule *rule;

	matcher_find(&rs->paths, reading, s->hs, &s->paths);
	for (size_t i = 0; i < s->paths.n; i++) {
		rule = try_path(rs, req, s->paths.ids[i], s);
		if (rule)
			return rule;
	}
	return try_path(rs, req, 0, s);
}

void judge_begin(struct judge_scratch *s)
{
	s->have_methods = s->have_hosts = s->have_conditions = false;
	s->n_acting = 0;
	s->unmet = NULL;
}

void judge_fields(const struct ruleset *rs, const struct request *req, struct judge_scratch *s)
{
	find_methods(rs, req, s);
	find_hosts(rs, req, s);
	find_conditions(rs, req, s);
}

/* What cannot be done as a whole is not done at all. */
static struct verdict undoable(const struct l7_rule *rule)
{
	return (struct verdict){ .action = VERDICT_DENY,
				 .rule = rule->ref,
				 .failed = FIELD_HEADERS };
}

struct verdict ruleset_judge(const struct ruleset *rs, const struct request *req,
			     struct judge_scratch *scratch)
{
	struct verdict v = { .action = VERDICT_DENY };
	const struct l7_rule *first = NULL;

	if (!scratch)
		return v;
	judge_begin(scratch);
	if (!rs || req->n_readings == 0)
		return v;
	for (size_t i = 0; i < req->n_readings; i++) {
		const struct l7_rule *rule = judge_reading(rs, req, req->readings[i], scratch);

		if (!rule) {
			scratch->unmet = &req->readings[i];
			return v;
		}
		if (rs->n_acting && !actions_collect(rs, req, scratch))
			return undoable(rule);
		if (i == 0)
			first = rule;
	}
	if (rs->n_acting && !actions_list(rs, scratch, &v))
		return undoable(first);
	v.action = VERDICT_ALLOW;
	v.rule = first->ref;
	return v;
}
