// SPDX-License-Identifier: Apache-2.0
/* The life of a set: load, then make policies, each selection once. */
#include <errno.h>
#include <hs/hs.h>
#include <stdlib.h>

#include "loader.h"
#include "policy_private.h"

struct policy_base *policy_base_ref(struct policy_base *b)
{
	if (b)
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void policy_base_unref(struct policy_base *b)
{
	if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	automata_done(&b->pool);
	arena_done(&b->pool_mem);
	arena_done(&b->keep);
	free(b);
}

static const struct policy_base *base_before(const struct policy_options *o)
{
	if (o->before_set)
		return o->before_set->base;
	return o->before ? o->before->base : NULL;
}

static int base_new(const struct policy_base *before, struct policy_base **ret)
{
	struct policy_base *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*ret = b;
	atomic_init(&b->refs, 1);
	b->pool.keep = &b->pool_mem;
	b->patterns.keep = &b->keep;
	b->patterns.automata = &b->pool;
	if (!before)
		return 0;
	b->patterns.before = &before->patterns;
	return automata_take(&b->pool, &before->pool);
}

static bool can_match(struct diag *diag)
{
	if (hs_valid_platform() == HS_SUCCESS)
		return true;
	diag_hint(diag,
		  diag_add(diag, "libhs", 0, 0,
			   "this processor cannot run libhs, which matches requests"),
		  "it needs SSSE3 on x86-64");
	return false;
}

static int read_all(struct policy_set *set, const struct policy_options *options, struct diag *diag)
{
	size_t before = diag_count(diag);
	struct loader l = { .reader = { .mem = &set->mem,
					.keep = &set->base->keep,
					.patterns = &set->base->patterns,
					.options = options,
					.diag = diag,
					.digest = HASH_START } };

	for (size_t i = 0; i < options->n_paths; i++)
		loader_path(&l, options->paths[i]);
	for (size_t i = 0; i < options->n_texts; i++)
		loader_text(&l, options->texts[i].name, options->texts[i].text,
			    options->texts[i].len);
	set->base->patterns.before = NULL;
	set->model = l.model;
	set->digest = l.reader.digest;
	if (l.reader.oom || diag->oom)
		return -ENOMEM;
	if (diag_count(diag) != before)
		return l.error ? l.error : -EINVAL;
	return 0;
}

int policy_set_load(const struct policy_options *options, struct policy_set **ret,
		    struct diag *diag)
{
	struct policy_set *set;
	int r;

	if (!can_match(diag))
		return -EINVAL;
	set = calloc(1, sizeof(*set));
	r = set ? base_new(base_before(options), &set->base) : -ENOMEM;
	if (r == 0)
		r = read_all(set, options, diag);
	if (r == 0)
		r = policy_set_endpoints(set, options->endpoints, options->n_endpoints);
	if (r == -ENOMEM)
		diag->oom = 1;
	diag_sort_warnings(diag);
	if (r == 0)
		*ret = set;
	else
		policy_set_free(set);
	return r;
}

static void forget_made(struct made_policy *m)
{
	policy_unref(m->policy);
	free(m->key);
}

void policy_set_free(struct policy_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->n_made; i++)
		forget_made(&set->made[i]);
	free(set->made);
	endpoints_done(&set->endpoints);
	arena_done(&set->mem);
	policy_base_unref(set->base);
	free(set);
}

static uint64_t hash_key(const struct selection *s)
{
	return hash_final(hash_bytes(HASH_START, s->key, s->n_key * sizeof(*s->key)));
}

static struct policy *find_made(const struct policy_set *set, const struct selection *s,
				uint64_t hash)
{
	for (size_t i = 0; i < set->n_made; i++) {
		const struct made_policy *m = &set->made[i];

		if (m->hash == hash && m->n_key == s->n_key &&
		    memcmp(m->key, s->key, s->n_key * sizeof(*s->key)) == 0)
			return m->policy;
	}
	return NULL;
}

static int keep_made(struct policy_set *set, const struct selection *s, uint64_t hash,
		     struct policy *p)
{
	size_t bytes = s->n_key * sizeof(*s->key);
	uint64_t *key = malloc(bytes);

	if (!key)
		return -ENOMEM;
	if (set->n_made == set->size_made) {
		size_t size = set->size_made ? set->size_made * 2 : 4;
		struct made_policy *longer = realloc(set->made, size * sizeof(*longer));

		if (!longer) {
			free(key);
			return -ENOMEM;
		}
		set->made = longer;
		set->size_made = size;
	}
	memcpy(key, s->key, bytes);
	set->made[set->n_made++] = (struct made_policy){
		.policy = policy_ref(p), .hash = hash, .key = key, .n_key = s->n_key
	};
	return 0;
}

static int make(struct policy_set *set, const struct selection *s, bool lint, struct policy **ret,
		struct diag *diag)
{
	uint64_t hash = hash_key(s);
	struct policy *p = find_made(set, s, hash);
	int r;

	if (p) {
		*ret = policy_ref(p);
		return 0;
	}
	r = policy_build(set, s, lint, &p, diag);
	if (r < 0)
		return r;
	r = keep_made(set, s, hash, p);
	if (r == 0)
		*ret = p;
	else
		policy_unref(p);
	return r;
}

int policy_set_make(struct policy_set *set, const struct policy_endpoint *who, bool lint,
		    struct policy **ret, struct diag *diag)
{
	struct arena mem = { .blocks = NULL };
	struct policy *p = NULL;
	struct selection s;
	int r = selection_make(&set->model, &set->endpoints, who, &mem, &s);

	if (r == 0)
		r = make(set, &s, lint, &p, diag);
	arena_done(&mem);
	if (r == 0 && diag->oom) {
		policy_unref(p);
		return -ENOMEM;
	}
	if (r == 0)
		*ret = p;
	else if (r == -ENOMEM)
		diag->oom = 1;
	return r;
}

int policy_set_policy(struct policy_set *set, const struct label *labels, size_t n_labels,
		      struct policy **ret, struct diag *diag)
{
	const struct policy_endpoint who = { .labels = labels, .n_labels = n_labels };

	return policy_set_make(set, &who, false, ret, diag);
}

int policy_set_policy_of(struct policy_set *set, const struct policy_endpoint *who,
			 struct policy **ret, struct diag *diag)
{
	return policy_set_make(set, who, false, ret, diag);
}

int policy_set_endpoints(struct policy_set *set, const struct policy_endpoint *endpoints,
			 size_t n_endpoints)
{
	return endpoints_set(&set->endpoints, endpoints, n_endpoints);
}

void policy_set_trim(struct policy_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n_made; i++) {
		struct made_policy m = set->made[i];

		if (atomic_load_explicit(&m.policy->refs, memory_order_relaxed) > 1)
			set->made[n++] = m;
		else
			forget_made(&m);
	}
	set->n_made = n;
	automata_prune(&set->base->pool);
}

uint64_t policy_set_digest(const struct policy_set *set)
{
	return set->digest;
}

static bool mentions(const struct model *model, enum l4_direction direction)
{
	for (size_t i = 0; i < model->n; i++)
		for (size_t j = 0; j < model->documents[i]->n_specs; j++)
			if (model->documents[i]->specs[j]->sections[direction].present)
				return true;
	return false;
}

void policy_set_stats(const struct policy_set *set, struct policy_set_stats *ret)
{
	*ret = (struct policy_set_stats){ .documents = set->model.n,
					  .policies = set->n_made,
					  .compiled = set->base->pool.compiled,
					  .reused = set->base->pool.reused,
					  .egress = mentions(&set->model, L4_EGRESS),
					  .ingress = mentions(&set->model, L4_INGRESS) };
}
