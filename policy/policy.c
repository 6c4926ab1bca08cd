// SPDX-License-Identifier: Apache-2.0
/* The life of a policy that has been made, and the questions to it. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "policy_private.h"

int policy_load(const struct policy_options *options, struct policy **ret, struct diag *diag)
{
	struct policy_set *set = NULL;
	int r = policy_set_load(options, &set, diag);

	if (r < 0)
		return r;
	r = policy_set_make(set,
			    &(struct policy_endpoint){ .labels = options->labels,
						       .n_labels = options->n_labels },
			    options->lint, ret, diag);
	diag_sort_warnings(diag);
	policy_set_trim(set);
	policy_set_free(set);
	return r;
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
	policy_base_unref(p->base);
	free(p);
	return NULL;
}

unsigned policy_n_selected(const struct policy *p)
{
	return (unsigned)p->n_documents;
}

const struct policy_document *policy_documents(const struct policy *p, size_t *n)
{
	*n = p->n_documents;
	return p->documents;
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
	*ret = (struct policy_stats){ .patterns = p->base->patterns.n,
				      .compiled = p->base->pool.compiled,
				      .reused = p->base->pool.reused,
				      .automata = p->automata.n };
	for (size_t i = 0; i < L4_DIRECTIONS; i++)
		count_rulesets(&p->l4[i], ret);
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

static bool seen_fill(struct judge_scratch *s, size_t n)
{
	if (n <= s->n_seen)
		return true;
	free(s->seen);
	free(s->seen_names);
	s->seen = calloc(n, sizeof(*s->seen));
	s->seen_names = calloc(n, sizeof(*s->seen_names));
	s->n_seen = n;
	return s->seen && s->seen_names;
}

static bool scratch_fill(struct judge_scratch *s, const struct policy *p)
{
	struct sizes most = { 0, 0, 0, 0, 0 };
	bool ok = measure(s, &p->l4[L4_EGRESS], &most) && measure(s, &p->l4[L4_INGRESS], &most);

	return ok && seen_fill(s, most.names + 1) && hits_init(&s->paths, most.paths) == 0 &&
	       hits_init(&s->methods, most.methods) == 0 && hits_init(&s->hosts, most.hosts) == 0 &&
	       hits_init(&s->conditions, most.conditions) == 0;
}

int judge_scratch_fit(struct judge_scratch **s, const struct policy *p)
{
	if (!*s)
		*s = calloc(1, sizeof(**s));
	if (*s && scratch_fill(*s, p))
		return 0;
	judge_scratch_free(*s);
	*s = NULL;
	return -ENOMEM;
}

struct judge_scratch *judge_scratch_new(const struct policy *p)
{
	struct judge_scratch *s = NULL;

	judge_scratch_fit(&s, p);
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
