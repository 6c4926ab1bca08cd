/* SPDX-License-Identifier: Apache-2.0 */
/* ruleset.h - the HTTP rules of one destination, compiled: private to the compiler, match.c and
 * explain.c.
 *
 * A rule is a conjunction of a path, a method and a host pattern and some header conditions, each
 * known by a number (0: any). Judging finds the numbers that hold for the request, field by field,
 * and then looks the combinations up; no step visits all rules. */
#ifndef SLUICE_RULESET_H
#define SLUICE_RULESET_H

#include "matcher.h"
#include "model.h"

/* "The header NAME is there" or "each of its values is VALUE". */
struct condition {
	uint32_t name; /* index in names */
	bool any_value;
	bool secret; /* compared in constant time, and so not found by its hash */
	bool never;  /* its secret is missing: it never holds */
	struct span value;
	uint32_t uses;	      /* in how many rules */
	uint32_t next_secret; /* of that name; 0: none */
};

struct header_name {
	struct span text;
	uint32_t first_secret; /* the number of a condition; 0: none */
};

/* What a rule does where a header does not meet a condition. */
struct l7_action {
	uint32_t condition;
	struct header_action action;
};

struct l7_rule {
	uint32_t path, method, host;
	uint32_t order; /* of rules with actions: as they were written */
	const struct rule_ref *ref;
	uint32_t n_conditions, n_actions;
	uint32_t *conditions; /* numbers, from 1; the rarest first */
	const struct l7_action *actions;
};

/* The rules of one path pattern: a range of rules[], and what they look at. */
struct path_group {
	uint32_t first, n;
	uint32_t first_acting, n_acting; /* a range of acting[] */
	bool method_any, method_some, host_any, host_some, header_none, header_some;
};

struct ruleset {
	size_t number; /* among those of one direction */
	struct matcher paths, methods, hosts;
	struct l7_rule *rules; /* in order of their path's number */
	size_t n_rules;
	struct path_group *groups; /* by path number */
	struct hash_table by_key;  /* path, method, host and first condition -> rule */
	uint32_t *acting;	   /* the rules with actions, in order of their path's number */
	size_t n_acting;
	struct header_name *names;
	size_t n_names;
	struct hash_table by_name;
	struct condition *conditions; /* [0] is unused */
	size_t n_conditions;	      /* highest number in use */
	struct hash_table by_condition;
};

/* What one thread needs to judge by any ruleset of a policy. */
struct header_seen {
	const struct header *first;
	bool differs;	/* not all values are that of the first */
	uint64_t round; /* valid if it is that of the scratch */
	/* Likewise: Connection names it, so that the next proxy may take it out. */
	uint64_t dropped_round;
};

struct judge_scratch {
	hs_scratch_t *hs;
	struct hits paths, methods, hosts, conditions;
	struct header_seen *seen; /* by name */
	uint32_t *seen_names;
	size_t n_seen; /* names that fit */
	uint64_t round;
	const struct l7_rule *acting[VERDICT_ACTIONS_MAX]; /* those found for this request */
	size_t n_acting;
	bool have_methods, have_hosts, have_conditions; /* found for this request */
	/* Why it was denied: no rule allows this reading, of which PATHS has the hits. */
	const struct span *unmet;
};

/* Compile the union of N rules into KEEP. 0, -ENOMEM or -EINVAL with *WHY. */
int ruleset_build(struct ruleset *rs, struct arena *keep, struct automata *automata,
		  const struct http_rule *const *rules, size_t n, const char **why);

/* The number of a condition, or 0 if no rule has it. */
uint32_t ruleset_find_condition(const struct ruleset *rs, const struct header_match *h);

uint64_t ruleset_name_hash(struct span name);
uint64_t ruleset_condition_hash(uint32_t name, bool any_value, struct span value);
uint64_t ruleset_key_hash(uint32_t path, uint32_t method, uint32_t host, uint32_t condition);

/* Note in S the rules with actions that hold in the reading that was judged last; and at the end
 * list what they want to be done. False if it is more than fits, or cannot be done. */
bool actions_collect(const struct ruleset *rs, const struct request *req, struct judge_scratch *s);
bool actions_list(const struct ruleset *rs, const struct judge_scratch *s, struct verdict *v);

/* Of match.c, for explain.c and actions.c. */
void judge_find_group(const struct ruleset *rs, const struct request *req,
		      const struct path_group *g, struct judge_scratch *s);
bool judge_rule_holds(const struct l7_rule *rule, const struct judge_scratch *s);
void judge_begin(struct judge_scratch *s);
/* Find of the fields what has not been found yet. */
void judge_fields(const struct ruleset *rs, const struct request *req, struct judge_scratch *s);
bool judge_conditions_hold(const struct l7_rule *rule, const struct judge_scratch *s);
const struct l7_rule *judge_reading(const struct ruleset *rs, const struct request *req,
				    struct span reading, struct judge_scratch *s);

#endif
