/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cgroup_pattern.h"
#include "sluice/fnv.h"

/* ---- loading ---- */

static int load_set(struct agent_plan *p, const struct agent_plan *before, struct diag *diag)
{
	const struct agent_config *c = p->config;
	const struct policy_options options = {
		.paths = c->policies,
		.n_paths = c->n_policies,
		.ports = c->ports,
		.n_ports = c->n_ports,
		.secrets = c->secrets,
		.endpoints_known = true,
		.endpoints = c->peers,
		.n_endpoints = c->n_peers,
		.before_set = before ? before->set : NULL,
	};

	return policy_set_load(&options, &p->set, diag);
}

/* What the plan before says of the entry of that name. */
static const struct agent_rule *rule_before(const struct agent_plan *before,
					    const struct agent_entry *e)
{
	for (size_t i = 0; before && i < before->config->n_entries; i++) {
		const struct agent_entry *other = &before->config->entries[i];

		if (strcmp(e->name, other->name) == 0 &&
		    strcmp(e->namespace_, other->namespace_) == 0)
			return &before->rules[i];
	}
	return NULL;
}

static int make_info(const struct agent_entry *e, struct agent_rule *rule,
		     const struct agent_rule *before, struct diag *diag, const char *file)
{
	const struct workload_names names = { .name = e->name,
					      .namespace_ = e->namespace_[0] ? e->namespace_ : NULL,
					      .labels = e->labels,
					      .n_labels = e->n_labels };
	struct error err = { "" };
	int r = workload_info_new(&names, &rule->info, &err);

	if (r < 0) {
		diag_add(diag, file, e->line, e->column, "%s", err.text);
		return r;
	}
	if (before && strcmp(before->info->record, rule->info->record) == 0) {
		workload_info_unref(rule->info);
		rule->info = workload_info_ref(before->info);
	}
	return 0;
}

static int make_rule(struct agent_plan *p, size_t i, const struct agent_plan *before,
		     struct diag *diag)
{
	const struct agent_entry *e = &p->config->entries[i];
	const struct agent_rule *old = rule_before(before, e);
	struct agent_rule *rule = &p->rules[i];
	int r = policy_set_policy(p->set, e->labels, e->n_labels, &rule->policy, diag);

	if (r < 0)
		return r;
	if (old && policy_same(rule->policy, old->policy)) {
		policy_unref(rule->policy);
		rule->policy = policy_ref(old->policy);
	}
	return make_info(e, rule, old, diag, p->config->file);
}

static int load(struct agent_plan *p, const char *path, const struct agent_plan *before,
		struct diag *diag)
{
	int r = agent_config_read(path, &p->config, diag);

	if (r == 0)
		r = load_set(p, before, diag);
	if (r < 0)
		return r;
	p->rules = calloc(p->config->n_entries + 1, sizeof(*p->rules));
	if (!p->rules) {
		diag->oom = 1;
		return -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < p->config->n_entries; i++)
		r = make_rule(p, i, before, diag);
	if (r < 0)
		return r;
	policy_set_trim(p->set);
	policy_set_stats(p->set, &p->stats);
	p->digest = hash_bytes(policy_set_digest(p->set), &p->config->settings.digest,
			       sizeof(p->config->settings.digest));
	clock_gettime(CLOCK_REALTIME, &p->loaded);
	return 0;
}

int agent_plan_load(const char *path, const struct agent_plan *before, struct agent_plan **ret,
		    struct diag *diag)
{
	struct agent_plan *p = calloc(1, sizeof(*p));
	int r;

	if (!p) {
		diag->oom = 1;
		return -ENOMEM;
	}
	r = load(p, path, before, diag);
	if (r == 0)
		*ret = p;
	else
		agent_plan_free(p);
	return r;
}

void agent_plan_free(struct agent_plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; p->rules && i < p->config->n_entries; i++) {
		policy_unref(p->rules[i].policy);
		workload_info_unref(p->rules[i].info);
	}
	free(p->rules);
	policy_set_free(p->set);
	agent_config_unref(p->config);
	free(p);
}

/* ---- asking ---- */

long agent_plan_entry(const struct agent_plan *p, const char *root, const char *path)
{
	for (size_t i = 0; i < p->config->n_entries; i++)
		if (cgroup_pattern_matches(
			    cgroup_pattern_within(p->config->entries[i].pattern, root), path))
			return (long)i;
	return -1;
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
	for (size_t i = 0; i < p->config->n_entries; i++) {
		ret->unselected += policy_n_selected(p->rules[i].policy) == 0;
		if (!is_first(p, i))
			continue;
		policy_stats(p->rules[i].policy, &one);
		ret->rules += one.rules;
	}
}
