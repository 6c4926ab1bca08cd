// SPDX-License-Identifier: Apache-2.0
/* The life of a policy: load, select, compile; then only questions. */
#include "policy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "l4_compile.h"
#include "lint.h"
#include "loader.h"

struct policy {
	atomic_uint refs;
	struct arena keep;
	struct l4 l4[L4_DIRECTIONS]; /* identities, address borders and rulesets */
	struct l4_table table;
	unsigned n_selected;
	uint64_t digest;	  /* of what it was made of */
	struct patterns patterns; /* what the next policy may take over */
	struct automata automata;
};

/* What exists while a policy is made. */
struct build {
	struct policy *policy;
	struct arena mem;
	struct loader loader;
	struct diag *diag;
	size_t before; /* errors that DIAG had at first */
};

static size_t count_errors(const struct diag *d)
{
	return d->n + d->dropped;
}

static int build_begin(struct build *b, const struct policy_options *options, struct diag *diag)
{
	memset(b, 0, sizeof(*b));
	b->diag = diag;
	b->before = count_errors(diag);
	if (hs_valid_platform() != HS_SUCCESS) {
		diag_hint(diag,
			  diag_add(diag, "libhs", 0, 0,
				   "this processor cannot run libhs, which matches requests"),
			  "it needs SSSE3 on x86-64");
		return -EINVAL;
	}
	b->policy = calloc(1, sizeof(*b->policy));
	if (!b->policy)
		return -ENOMEM;
	atomic_init(&b->policy->refs, 1);
	b->policy->automata.keep = &b->policy->keep;
	b->policy->patterns.keep = &b->policy->keep;
	b->policy->patterns.automata = &b->policy->automata;
	if (options->before) {
		b->policy->automata.before = &options->before->automata;
		b->policy->patterns.before = &options->before->patterns;
	}
	b->loader.reader = (struct reader){
		.mem = &b->mem,
		.keep = &b->policy->keep,
		.patterns = &b->policy->patterns,
		.options = options,
		.diag = diag,
		.digest = HASH_START,
	};
	return 0;
}

/* Without a document that says something of DIRECTION its table stays as it is: not enforced. */
static int compile_direction(struct build *b, enum l4_direction direction,
			     const struct label *labels, size_t n_labels)
{
	struct policy *p = b->policy;
	struct l4 *c = &p->l4[direction];
	struct selection s;
	int r = selection_make(&b->loader.model, direction, labels, n_labels, &b->mem, &s);

	if (r < 0 || s.n_documents == 0)
		return r;
	c->direction = direction;
	c->keep = &p->keep;
	c->mem = &b->mem;
	c->automata = &p->automata;
	c->rules = s.rules;
	c->n_rules = s.n_rules;
	c->lint = b->loader.reader.options->lint;
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

static int compile(struct build *b, const struct label *labels, size_t n_labels)
{
	int r = compile_direction(b, L4_EGRESS, labels, n_labels);

	if (r == 0)
		r = compile_direction(b, L4_INGRESS, labels, n_labels);
	if (r == 0)
		b->policy->n_selected = selection_count(&b->loader.model, labels, n_labels);
	return r;
}

/* A spec that is not about the workload is compiled by itself and thrown away. */
static int lint_alone(struct build *b, const struct section *section)
{
	struct l4 c = { .keep = &b->mem,
			.mem = &b->mem,
			.automata = &b->policy->automata,
			.rules = section->rules,
			.n_rules = section->n_rules,
			.lint = true };
	struct l4_table table = { .enforced = true };
	int r;

	if (!section->present || section->default_allow)
		return 0;
	r = l4_compile(&c, &table);
	if (r == 0)
		r = lint_overlap(&c, b->diag);
	return r == -EINVAL ? 0 : r;
}

static int lint_spec_alone(struct build *b, const struct spec *spec)
{
	int r = 0;

	for (size_t i = 0; r == 0 && !spec->selected && i < L4_DIRECTIONS; i++)
		r = lint_alone(b, &spec->sections[i]);
	return r;
}

static int lint(struct build *b)
{
	const struct model *m = &b->loader.model;
	int r = 0;

	for (size_t i = 0; r == 0 && i < L4_DIRECTIONS; i++)
		r = lint_overlap(&b->policy->l4[i], b->diag);
	for (size_t i = 0; r == 0 && i < m->n; i++)
		for (size_t j = 0; r == 0 && j < m->documents[i]->n_specs; j++)
			r = lint_spec_alone(b, m->documents[i]->specs[j]);
	return r;
}

/* Pointers into the builder's memory, which ends now. */
static void forget_compiler(struct l4 *c)
{
	c->automata = NULL;
	c->mem = NULL;
	c->rules = NULL;
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

static void forget_build(struct policy *p)
{
	p->automata.before = NULL;
	p->patterns.before = NULL;
	automata_prune(&p->automata);
	for (size_t i = 0; i < L4_DIRECTIONS; i++)
		forget_compiler(&p->l4[i]);
}

static int build_end(struct build *b, const struct label *labels, size_t n_labels, int r,
		     struct policy **ret)
{
	if (r == 0 && (b->loader.reader.oom || b->diag->oom))
		r = -ENOMEM;
	if (r == 0 && count_errors(b->diag) != b->before)
		r = b->loader.error ? b->loader.error : -EINVAL;
	if (r == 0)
		r = compile(b, labels, n_labels);
	if (r == 0 && b->loader.reader.options->lint)
		r = lint(b);
	if (r == 0) {
		forget_build(b->policy);
		b->policy->digest = b->loader.reader.digest;
	}
	if (r == 0 && b->diag->oom)
		r = -ENOMEM;
	if (r == -ENOMEM)
		b->diag->oom = 1;
	diag_sort_warnings(b->diag);
	arena_done(&b->mem);
	if (r == 0)
		*ret = b->policy;
	else
		policy_unref(b->policy);
	return r;
}

int policy_load(const struct policy_options *options, struct policy **ret, struct diag *diag)
{
	struct build b;
	int r = build_begin(&b, options, diag);

	for (size_t i = 0; r == 0 && i < options->n_paths; i++)
		loader_path(&b.loader, options->paths[i]);
	for (size_t i = 0; r == 0 && i < options->n_texts; i++)
		loader_text(&b.loader, options->texts[i].name, options->texts[i].text,
			    options->texts[i].len);
	return build_end(&b, options->labels, options->n_labels, r, ret);
}

int policy_load_text(const char *name, const char *text, size_t len, const struct label *labels,
		     size_t n_labels, struct policy **ret, struct diag *diag)
{
	const struct policy_text from = { .name = name, .text = text, .len = len };
	const struct policy_options options = {
		.labels = labels, .n_labels = n_labels, .texts = &from, .n_texts = 1
	};

	return policy_load(&options, ret, diag);
}

struct policy *policy_ref(struct policy *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

struct policy *policy_unref(struct policy *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	automata_done(&p->automata);
	arena_done(&p->keep);
	free(p);
	return NULL;
}

unsigned policy_n_selected(const struct policy *p)
{
	return p->n_selected;
}

bool policy_same_text(const struct policy *a, const struct policy *b)
{
	return a->digest == b->digest;
}

const struct l4_table *policy_l4_table(const struct policy *p)
{
	return &p->table;
}

static enum l4_action find_action(const struct l4 *c, const struct address *peer, bool local,
				  uint8_t protocol, const struct ruleset **ret)
{
	const struct l4_identity *id;
	const struct l4_range *range;

	if ((peer->family != AF_INET && peer->family != AF_INET6) ||
	    (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return L4_REFUSE;
	id = l4_find_identity(c, peer->family == AF_INET ? 4 : 6, peer->ip, local);
	if (!id)
		return L4_REFUSE;
	range = l4_find_range(protocol == IPPROTO_TCP ? &id->tcp : &id->udp, peer->port);
	if (!range)
		return L4_REFUSE;
	if (range->action == L4_STEER)
		*ret = range->rules;
	return range->action;
}

enum l4_action policy_l4(const struct policy *p, const struct address *destination, bool local,
			 uint8_t protocol, const struct ruleset **ret)
{
	if (!p->table.enforced)
		return L4_ALLOW;
	return find_action(&p->l4[L4_EGRESS], destination, local, protocol, ret);
}

enum l4_action policy_l4_ingress(const struct policy *p, const struct address *client,
				 uint16_t port, bool local, uint8_t protocol,
				 const struct ruleset **ret)
{
	struct address peer = *client;

	if (!p->table.ingress_enforced)
		return L4_ALLOW;
	peer.port = port;
	return find_action(&p->l4[L4_INGRESS], &peer, local, protocol, ret);
}

static void count_rulesets(const struct l4 *c, struct policy_stats *ret)
{
	ret->rulesets += c->n_rulesets;
	for (size_t i = 0; i < c->n_rulesets; i++)
		ret->rules += c->rulesets[i]->rules.n_rules;
}

void policy_stats(const struct policy *p, struct policy_stats *ret)
{
	*ret = (struct policy_stats){ .patterns = p->patterns.n,
				      .compiled = p->automata.compiled,
				      .reused = p->automata.reused };
	for (size_t i = 0; i < L4_DIRECTIONS; i++)
		count_rulesets(&p->l4[i], ret);
	for (size_t i = 0; i < p->automata.n; i++)
		ret->automata += p->automata.items[i] != NULL;
}

/* The highest numbers of any ruleset. */
struct sizes {
	size_t paths, methods, hosts, conditions, names;
};

static void raise_to(size_t *size, size_t least)
{
	if (*size < least)
		*size = least;
}

static bool measure(struct judge_scratch *s, const struct l4 *c, struct sizes *most)
{
	bool ok = true;

	for (size_t i = 0; i < c->n_rulesets; i++) {
		const struct ruleset *rs = &c->rulesets[i]->rules;

		raise_to(&most->paths, rs->paths.n);
		raise_to(&most->methods, rs->methods.n);
		raise_to(&most->hosts, rs->hosts.n);
		raise_to(&most->conditions, rs->n_conditions);
		raise_to(&most->names, rs->n_names);
		ok = ok && matcher_scratch(&rs->paths, &s->hs) == 0 &&
		     matcher_scratch(&rs->methods, &s->hs) == 0 &&
		     matcher_scratch(&rs->hosts, &s->hs) == 0;
	}
	return ok;
}

static bool scratch_fill(struct judge_scratch *s, const struct policy *p)
{
	struct sizes most = { 0, 0, 0, 0, 0 };
	bool ok = measure(s, &p->l4[L4_EGRESS], &most) && measure(s, &p->l4[L4_INGRESS], &most);

	s->seen = calloc(most.names + 1, sizeof(*s->seen));
	s->seen_names = calloc(most.names + 1, sizeof(*s->seen_names));
	return ok && s->seen && s->seen_names && hits_init(&s->paths, most.paths) == 0 &&
	       hits_init(&s->methods, most.methods) == 0 && hits_init(&s->hosts, most.hosts) == 0 &&
	       hits_init(&s->conditions, most.conditions) == 0;
}

struct judge_scratch *judge_scratch_new(const struct policy *p)
{
	struct judge_scratch *s = calloc(1, sizeof(*s));

	if (s && !scratch_fill(s, p)) {
		judge_scratch_free(s);
		return NULL;
	}
	return s;
}

void judge_scratch_free(struct judge_scratch *s)
{
	if (!s)
		return;
	hs_free_scratch(s->hs);
	hits_done(&s->paths);
	hits_done(&s->methods);
	hits_done(&s->hosts);
	hits_done(&s->conditions);
	free(s->seen);
	free(s->seen_names);
	free(s);
}
