/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent_plan_entries.h"
#include "cgroup_pattern.h"
#include "sluice/fnv.h"

/* Plans of the same files share it. It is used by whoever loads, one at a time. */
struct plan_set {
	atomic_uint refs;
	struct policy_set *set;
};

static struct plan_set *set_ref(struct plan_set *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void set_unref(struct plan_set *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	policy_set_free(s->set);
	free(s);
}

/* ---- loading ---- */

/* The configuration's peers, and the pods that have addresses. For the caller to free. */
static struct policy_endpoint *list_endpoints(const struct agent_plan *p, size_t *n)
{
	const struct agent_config *c = p->config;
	size_t most = c->n_peers + (p->pods ? p->pods->n : 0);
	struct policy_endpoint *ret = calloc(most + 1, sizeof(*ret));

	*n = 0;
	for (size_t i = 0; ret && i < c->n_peers; i++)
		ret[(*n)++] = c->peers[i];
	for (size_t i = 0; ret && p->pods && i < p->pods->n; i++) {
		const struct pod *pod = p->pods->items[i];

		if (pod->n_addresses > 0)
			ret[(*n)++] = (struct policy_endpoint){ .labels = pod->labels,
								.n_labels = pod->n_labels,
								.addresses = pod->addresses,
								.n_addresses = pod->n_addresses,
								.ports = pod->ports,
								.n_ports = pod->n_ports };
	}
	return ret;
}

static int load_set(struct agent_plan *p, const struct agent_plan *before, struct diag *diag)
{
	const struct agent_config *c = p->config;
	struct policy_options options = {
		.paths = c->policies,
		.n_paths = c->n_policies,
		.ports = c->ports,
		.n_ports = c->n_ports,
		.secrets = c->secrets,
		.own_ports = c->pods.wanted,
		.endpoints_known = true,
		.before_set = before ? before->set->set : NULL,
	};
	struct policy_endpoint *endpoints = list_endpoints(p, &options.n_endpoints);
	int r = -ENOMEM;

	p->set = calloc(1, sizeof(*p->set));
	if (p->set && endpoints) {
		atomic_init(&p->set->refs, 1);
		options.endpoints = endpoints;
		r = policy_set_load(&options, &p->set->set, diag);
	} else {
		diag->oom = 1;
	}
	free(endpoints);
	return r;
}

static int renew_set(struct agent_plan *p, const struct agent_plan *before, struct diag *diag)
{
	size_t n;
	struct policy_endpoint *endpoints = list_endpoints(p, &n);
	int r = -ENOMEM;

	p->set = set_ref(before->set);
	if (endpoints)
		r = policy_set_endpoints(p->set->set, endpoints, n);
	if (r < 0)
		diag->oom = 1;
	free(endpoints);
	return r;
}

/* What is the same for all plans of a set. */
static int make_rules(struct agent_plan *p, const struct agent_plan *before, struct diag *diag)
{
	int r = agent_plan_make_entries(p, diag);

	policy_set_stats(p->set->set, &p->stats);
	if (r == 0)
		r = agent_plan_make_rules(p, p->set->set, before, diag);
	if (r == 0)
		r = agent_plan_make_names(p, diag);
	if (r < 0)
		return r;
	policy_set_trim(p->set->set);
	policy_set_stats(p->set->set, &p->stats);
	p->digest = hash_bytes(policy_set_digest(p->set->set), &p->config->settings.digest,
			       sizeof(p->config->settings.digest));
	return 0;
}

static int finish(struct agent_plan *p, int r, struct agent_plan **ret)
{
	if (r == 0)
		*ret = p;
	else
		agent_plan_free(p);
	return r;
}

static struct agent_plan *new_plan(struct pod_list *pods, struct diag *diag)
{
	struct agent_plan *p = calloc(1, sizeof(*p));

	if (p)
		p->pods = pod_list_ref(pods);
	else
		diag->oom = 1;
	return p;
}

/* Else all pods would be unknown at once, or free. */
static int check_runtime(const struct agent_plan *p, const struct agent_plan *before,
			 struct diag *diag)
{
	if (!before || agent_config_same_runtime(before->config, p->config))
		return 0;
	diag_hint(diag,
		  diag_add(diag, p->config->file, 0, 0,
			   "\"pods\" cannot come, go, or have another \"runtime\" while the agent "
			   "runs"),
		  "start it again");
	return -EINVAL;
}

int agent_plan_load(const char *path, struct pod_list *pods, const struct agent_plan *before,
		    struct agent_plan **ret, struct diag *diag)
{
	struct agent_plan *p = new_plan(pods, diag);
	int r;

	if (!p)
		return -ENOMEM;
	r = agent_config_read(path, &p->config, diag);
	if (r == 0)
		r = check_runtime(p, before, diag);
	if (r == 0)
		r = load_set(p, before, diag);
	if (r == 0)
		r = make_rules(p, before, diag);
	clock_gettime(CLOCK_REALTIME, &p->loaded);
	return finish(p, r, ret);
}

int agent_plan_renew(const struct agent_plan *before, struct pod_list *pods,
		     struct agent_plan **ret, struct diag *diag)
{
	struct agent_plan *p = new_plan(pods, diag);
	int r;

	if (!p)
		return -ENOMEM;
	p->config = agent_config_ref(before->config);
	p->loaded = before->loaded;
	r = renew_set(p, before, diag);
	if (r == 0)
		r = make_rules(p, before, diag);
	return finish(p, r, ret);
}

void agent_plan_free(struct agent_plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; p->rules && i < p->n_entries; i++) {
		policy_unref(p->rules[i].policy);
		workload_info_unref(p->rules[i].info);
	}
	free(p->rules);
	free(p->entries);
	free(p->patterns);
	endpoint_names_unref(p->names);
	set_unref(p->set);
	pod_list_unref(p->pods);
	agent_config_unref(p->config);
	free(p);
}

/* ---- asking ---- */

static bool stands_for(const char *pattern, const char *root, const char *path)
{
	return cgroup_pattern_matches(cgroup_pattern_within(pattern, root), path);
}

static bool entry_stands_for(const struct agent_plan *p, const struct agent_entry *e,
			     const char *root, const char *path)
{
	const struct agent_pods_config *pods = &p->config->pods;

	if (e->kind == AGENT_CONFIGURED)
		return stands_for(e->pattern, root, path);
	if (e->kind == AGENT_POD)
		return pod_has_cgroup(e->pod, path);
	for (size_t i = 0; i < pods->n_cgroups; i++)
		if (stands_for(pods->cgroups[i], root, path))
			return true;
	return false;
}

long agent_plan_entry(const struct agent_plan *p, const char *root, const char *path)
{
	for (size_t i = 0; i < p->n_entries; i++)
		if (entry_stands_for(p, &p->entries[i], root, path))
			return (long)i;
	return -1;
}

bool agent_plan_same_cgroups(const struct agent_plan *a, const struct agent_plan *b)
{
	if (a->n_patterns != b->n_patterns || a->config->n_entries != b->config->n_entries)
		return false;
	for (size_t i = 0; i < a->n_patterns; i++)
		if (strcmp(a->patterns[i], b->patterns[i]) != 0)
			return false;
	return true;
}

static bool is_first(const struct agent_plan *p, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (p->rules[j].policy == p->rules[i].policy)
			return false;
	return true;
}

void agent_plan_sum_up(const struct agent_plan *p, struct agent_plan_sums *ret)
{
	struct policy_stats one;

	*ret = (struct agent_plan_sums){ .policies = p->stats.documents };
	for (size_t i = 0; i < p->n_entries; i++) {
		if (p->entries[i].kind == AGENT_UNKNOWN_POD)
			continue;
		if (p->entries[i].kind == AGENT_CONFIGURED)
			ret->unselected += policy_n_selected(p->rules[i].policy) == 0;
		if (!is_first(p, i))
			continue;
		policy_stats(p->rules[i].policy, &one);
		ret->rules += one.rules;
	}
}
