// SPDX-License-Identifier: Apache-2.0
/* What the rules of one identity say of each port.
 *
 * The ranges of all rules are cut where one begins or ends; between two cuts the answer is the
 * same: a deny wins, then a rule without L7 part allows everything, then the HTTP rules that are
 * there are united. */
#include "l4_compile.h"

#include <errno.h>
#include <stdlib.h>

enum effect { EFFECT_DENY, EFFECT_ALLOW, EFFECT_L7 };

struct cut {
	uint32_t at; /* up to 65536 */
	int delta;
	enum effect effect;
	uint32_t port_rule; /* for EFFECT_L7 */
};

struct sweep {
	struct l4 *c;
	const struct l4_identity *id;
	unsigned protocol;
	struct cut *cuts;
	size_t n_cuts, size;
	int deny, allow;
	uint32_t *l7; /* numbers of port_rules, sorted, with repetitions */
	size_t n_l7;
};

static int add_cuts(struct sweep *s, unsigned first, unsigned last, enum effect effect,
		    uint32_t port_rule)
{
	struct cut cut = { .at = first, .delta = 1, .effect = effect, .port_rule = port_rule };

	if (s->size - s->n_cuts < 2) {
		size_t size = s->size ? s->size * 2 : 16;
		struct cut *longer = realloc(s->cuts, size * sizeof(*longer));

		if (!longer)
			return -ENOMEM;
		s->cuts = longer;
		s->size = size;
	}
	s->cuts[s->n_cuts++] = cut;
	cut.at = last + 1;
	cut.delta = -1;
	s->cuts[s->n_cuts++] = cut;
	return 0;
}

static int add_rule_cuts(struct sweep *s, uint32_t index, unsigned protocol)
{
	const struct rule *rule = s->c->rules[index];
	enum effect plain = rule->deny ? EFFECT_DENY : EFFECT_ALLOW;
	int r = 0;

	if (rule->any_port)
		return add_cuts(s, 0, 65535, plain, 0);
	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct port_rule *ports = &rule->ports[i];
		enum effect effect = ports->l7 && !rule->deny ? EFFECT_L7 : plain;

		for (size_t j = 0; r == 0 && j < ports->n_ranges; j++)
			if (ports->ranges[j].protocols & protocol)
				r = add_cuts(s, ports->ranges[j].first, ports->ranges[j].last,
					     effect, s->c->first_port_rule[index] + (uint32_t)i);
	}
	return r;
}

static int compare_cuts(const void *left, const void *right)
{
	const struct cut *a = left, *b = right;

	return (a->at > b->at) - (a->at < b->at);
}

static void count_l7(struct sweep *s, uint32_t number, int delta)
{
	size_t at = 0;

	while (at < s->n_l7 && s->l7[at] < number)
		at++;
	if (delta > 0) {
		memmove(s->l7 + at + 1, s->l7 + at, (s->n_l7 - at) * sizeof(*s->l7));
		s->l7[at] = number;
		s->n_l7++;
	} else {
		s->n_l7--;
		memmove(s->l7 + at, s->l7 + at + 1, (s->n_l7 - at) * sizeof(*s->l7));
	}
}

static void apply_cut(struct sweep *s, const struct cut *cut)
{
	switch (cut->effect) {
	case EFFECT_DENY:
		s->deny += cut->delta;
		break;
	case EFFECT_ALLOW:
		s->allow += cut->delta;
		break;
	case EFFECT_L7:
		count_l7(s, cut->port_rule, cut->delta);
		break;
	}
}

static int build_ruleset(struct l4 *c, struct l4_ruleset *rs)
{
	const struct http_rule **rules;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < rs->n_ports; i++)
		n += c->port_rules[rs->ports[i]]->n_http;
	rules = calloc(n + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < rs->n_ports; i++) {
		const struct port_rule *ports = c->port_rules[rs->ports[i]];

		for (size_t j = 0; j < ports->n_http; j++)
			rules[n++] = &ports->http[j];
	}
	r = ruleset_build(&rs->rules, c->keep, c->automata, rules, n, &c->why);
	free(rules);
	return r;
}

static int new_ruleset(struct l4 *c, const uint32_t *ports, size_t n, uint64_t hash,
		       struct ruleset **ret)
{
	struct l4_ruleset **list, *rs = arena_alloc(c->keep, sizeof(*rs));
	void *copy = arena_copy(c->mem, (const char *)ports, n * sizeof(*ports));
	int r;

	list = arena_extend(c->keep, c->rulesets, c->n_rulesets, sizeof(struct l4_ruleset *));
	if (!rs || !copy || !list)
		return -ENOMEM;
	c->rulesets = list;
	if (hash_table_add(&c->by_ports, c->mem, hash, (uint32_t)c->n_rulesets) < 0)
		return -ENOMEM;
	rs->ports = copy;
	rs->n_ports = n;
	list[c->n_rulesets] = rs;
	*ret = &rs->rules;
	r = build_ruleset(c, rs);
	rs->rules.number = c->n_rulesets++;
	return r;
}

/* The ruleset of the HTTP rules that are active now. */
static int find_ruleset(struct sweep *s, struct ruleset **ret)
{
	struct l4 *c = s->c;
	uint32_t *set = calloc(s->n_l7, sizeof(*set)), i;
	size_t n = 0, at = 0;
	uint64_t hash;
	int r = -ENOENT;

	if (!set)
		return -ENOMEM;
	for (size_t j = 0; j < s->n_l7; j++)
		if (n == 0 || set[n - 1] != s->l7[j])
			set[n++] = s->l7[j];
	hash = hash_final(hash_bytes(HASH_START, set, n * sizeof(*set)));
	while (r < 0 && (i = hash_table_next(&c->by_ports, hash, &at)) != HASH_NONE) {
		struct l4_ruleset *rs = c->rulesets[i];

		if (rs->n_ports != n || memcmp(rs->ports, set, n * sizeof(*set)) != 0)
			continue;
		*ret = &rs->rules;
		r = 0;
	}
	if (r < 0)
		r = new_ruleset(c, set, n, hash, ret);
	free(set);
	return r;
}

static bool opens(const struct rule *rule, unsigned protocol, unsigned port)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		for (size_t j = 0; !rule->ports[i].l7 && j < rule->ports[i].n_ranges; j++) {
			const struct port_range *range = &rule->ports[i].ranges[j];

			if ((range->protocols & protocol) && port >= range->first &&
			    port <= range->last)
				return true;
		}
	return rule->any_port;
}

/* The first rule that allows everything on PORT. */
static const struct text_place *find_opener(const struct sweep *s, unsigned port)
{
	for (size_t i = 0; i < s->id->n_rules; i++) {
		const struct rule *rule = s->c->rules[s->id->rules[i]];

		if (!rule->deny && rule->place.file && opens(rule, s->protocol, port))
			return &rule->place;
	}
	return NULL;
}

/* Whether the HTTP rules that are active now count. */
static void note_effect(struct sweep *s, unsigned port)
{
	for (size_t i = 0; i < s->n_l7; i++) {
		struct port_rule *ports = s->c->port_rules[s->l7[i]];

		if (!s->allow) {
			ports->steered++;
		} else {
			ports->opened++;
			ports->opener = find_opener(s, port);
		}
	}
}

static int add_range(struct sweep *s, struct l4_ranges *ranges, uint32_t first, uint32_t last)
{
	struct l4_range range = { .first = (uint16_t)first, .last = (uint16_t)last };
	struct l4_range *before = ranges->n ? &ranges->items[ranges->n - 1] : NULL, *list;
	int r;

	if (s->deny || (!s->allow && !s->n_l7))
		return 0;
	if (s->c->lint)
		note_effect(s, first);
	range.action = s->allow ? L4_ALLOW : L4_STEER;
	if (range.action == L4_STEER) {
		r = find_ruleset(s, &range.rules);
		if (r < 0)
			return r;
	}
	if (before && before->last + 1u == first && before->action == range.action &&
	    before->rules == range.rules) {
		before->last = range.last;
		return 0;
	}
	list = arena_extend(s->c->keep, ranges->items, ranges->n, sizeof(*list));
	if (!list)
		return -ENOMEM;
	ranges->items = list;
	list[ranges->n++] = range;
	return 0;
}

static int sweep_ports(struct sweep *s, struct l4_ranges *ranges)
{
	size_t i = 0;
	int r = 0;

	if (s->n_cuts == 0)
		return 0;
	qsort(s->cuts, s->n_cuts, sizeof(*s->cuts), compare_cuts);
	s->l7 = malloc(s->n_cuts * sizeof(*s->l7));
	if (!s->l7)
		return -ENOMEM;
	while (r == 0 && i < s->n_cuts) {
		uint32_t at = s->cuts[i].at;

		for (; i < s->n_cuts && s->cuts[i].at == at; i++)
			if (s->cuts[i].delta > 0)
				apply_cut(s, &s->cuts[i]);
		/* Beginnings first, so that no count is below 0 in between. */
		for (size_t j = i; j-- > 0 && s->cuts[j].at == at;)
			if (s->cuts[j].delta < 0)
				apply_cut(s, &s->cuts[j]);
		if (i < s->n_cuts)
			r = add_range(s, ranges, at, s->cuts[i].at - 1);
	}
	free(s->l7);
	return r;
}

int l4_build_ports(struct l4 *c, struct l4_identity *id)
{
	static const unsigned protocols[] = { PROTO_TCP, PROTO_UDP };
	struct l4_ranges *ranges[] = { &id->tcp, &id->udp };
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		struct sweep s = { .c = c, .id = id, .protocol = protocols[i] };

		for (size_t j = 0; r == 0 && j < id->n_rules; j++)
			r = add_rule_cuts(&s, id->rules[j], protocols[i]);
		if (r == 0)
			r = sweep_ports(&s, ranges[i]);
		free(s.cuts);
	}
	return r;
}

const struct l4_range *l4_find_range(const struct l4_ranges *ranges, uint16_t port)
{
	size_t low = 0, high = ranges->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct l4_range *range = &ranges->items[middle];

		if (port > range->last)
			low = middle + 1;
		else if (port < range->first)
			high = middle;
		else
			return range;
	}
	return NULL;
}
