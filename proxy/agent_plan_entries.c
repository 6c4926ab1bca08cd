/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_plan_entries.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cgroup_pattern.h"

/* ---- entries ---- */

static void add_pods(struct agent_plan *p)
{
	const struct agent_pods_config *c = &p->config->pods;

	for (size_t i = 0; p->pods && i < p->pods->n; i++) {
		const struct pod *pod = p->pods->items[i];

		p->entries[p->n_entries++] = (struct agent_entry){
			.kind = AGENT_POD,
			.name = pod->name,
			.namespace_ = pod->namespace_,
			.pod = pod,
			.problem = pod->problem,
			.labels = pod->labels,
			.n_labels = pod->n_labels,
			.hold_loopback = c->hold_loopback,
			.hold_host = c->hold_host,
		};
	}
	p->entries[p->n_entries++] = (struct agent_entry){
		.kind = AGENT_UNKNOWN_POD,
		.name = "unknown-pod",
		.namespace_ = "",
		.problem = "the container runtime has not told whose cgroup it is",
		.hold_loopback = c->hold_loopback,
		.hold_host = c->hold_host,
	};
}

/* Where a kubelet has it anyhow. */
static bool is_found(const struct agent_config *c, const char *cgroup)
{
	for (size_t i = 0; i < c->pods.n_cgroups; i++)
		if (cgroup_pattern_matches(c->pods.cgroups[i], cgroup))
			return true;
	return false;
}

static int make_patterns(struct agent_plan *p)
{
	const struct agent_config *c = p->config;
	size_t most = c->n_entries + c->pods.n_cgroups;

	for (size_t i = 0; p->pods && i < p->pods->n; i++)
		most += p->pods->items[i]->n_cgroups;
	p->patterns = calloc(most + 1, sizeof(*p->patterns));
	if (!p->patterns)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_entries; i++)
		p->patterns[p->n_patterns++] = c->entries[i].pattern;
	for (size_t i = 0; i < c->pods.n_cgroups; i++)
		p->patterns[p->n_patterns++] = c->pods.cgroups[i];
	for (size_t i = 0; p->pods && i < p->pods->n; i++)
		for (size_t j = 0; j < p->pods->items[i]->n_cgroups; j++)
			if (!is_found(c, p->pods->items[i]->cgroups[j]))
				p->patterns[p->n_patterns++] = p->pods->items[i]->cgroups[j];
	return 0;
}

int agent_plan_make_entries(struct agent_plan *p, struct diag *diag)
{
	const struct agent_config *c = p->config;
	size_t n_pods = p->pods ? p->pods->n : 0;
	int r = -ENOMEM;

	p->entries = calloc(c->n_entries + n_pods + 1, sizeof(*p->entries));
	if (p->entries) {
		for (size_t i = 0; i < c->n_entries; i++)
			p->entries[p->n_entries++] = c->entries[i];
		if (c->pods.wanted)
			add_pods(p);
		r = make_patterns(p);
	}
	if (r < 0)
		diag->oom = 1;
	return r;
}

/* ---- rules ---- */

/* What the plan before says of the entry of that name. */
static const struct agent_rule *rule_before(const struct agent_plan *before,
					    const struct agent_entry *e)
{
	for (size_t i = 0; before && i < before->n_entries; i++) {
		const struct agent_entry *other = &before->entries[i];

		if (e->kind == other->kind && strcmp(e->name, other->name) == 0 &&
		    strcmp(e->namespace_, other->namespace_) == 0)
			return &before->rules[i];
	}
	return NULL;
}

/* Whoever made a pod chose its labels: if they are too many for a record it is named without. */
static int name_pod(struct workload_names *names, struct workload_info **ret, struct error *err)
{
	int r;

	names->n_labels = 0;
	r = workload_info_new(names, ret, err);
	if (r == -E2BIG) {
		names->name = names->namespace_ = NULL;
		r = workload_info_new(names, ret, err);
	}
	return r;
}

static int make_info(const struct agent_entry *e, struct agent_rule *rule,
		     const struct agent_rule *before, struct diag *diag, const char *file)
{
	struct workload_names names = { .name = e->name,
					.namespace_ = e->namespace_[0] ? e->namespace_ : NULL,
					.labels = e->labels,
					.n_labels = e->n_labels };
	struct error err = { "" };
	int r = workload_info_new(&names, &rule->info, &err);

	if (r == -E2BIG && e->kind == AGENT_POD)
		r = name_pod(&names, &rule->info, &err);
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

/* A policy that refuses everything in these directions, or leaves all alone. */
static int make_refusal(bool egress, bool ingress, struct policy **ret, struct diag *diag)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
			   "apiVersion: cilium.io/v2\n"
			   "kind: CiliumClusterwideNetworkPolicy\n"
			   "metadata: {name: not-known-yet}\n"
			   "spec:\n"
			   "  endpointSelector: {%s}\n"
			   "%s%s",
			   egress || ingress ? "" : "matchLabels: {\"reserved:nobody\": \"\"}",
			   egress || !ingress ? "  egress: []\n" : "",
			   ingress ? "  ingress: []\n" : "");

	return policy_load_text("sluice", text, (size_t)len, NULL, 0, ret, diag);
}

/* The reasons are not the files': they are the entry's. */
static int make_pod_policy(const struct agent_plan *p, struct policy_set *set,
			   struct agent_entry *e, struct policy **ret, struct diag *diag)
{
	const struct policy_endpoint who = { .labels = e->labels,
					     .n_labels = e->n_labels,
					     .ports = e->pod->ports,
					     .n_ports = e->pod->n_ports };
	struct diag own = { 0 };
	int r = policy_set_policy_of(set, &who, ret, &own);

	diag->oom |= own.oom;
	diag_done(&own);
	if (r != -EINVAL)
		return r;
	e->problem = "what selects it cannot be compiled together: everything is refused";
	return make_refusal(p->stats.egress, p->stats.ingress, ret, diag);
}

static int make_policy(const struct agent_plan *p, struct policy_set *set, struct agent_entry *e,
		       struct policy **ret, struct diag *diag)
{
	bool hold = p->config->pods.hold;

	switch (e->kind) {
	case AGENT_CONFIGURED:
		return policy_set_policy(set, e->labels, e->n_labels, ret, diag);
	case AGENT_POD:
		return make_pod_policy(p, set, e, ret, diag);
	case AGENT_UNKNOWN_POD:
		return make_refusal(hold && p->stats.egress, hold && p->stats.ingress, ret, diag);
	}
	return -EINVAL;
}

static int make_rule(struct agent_plan *p, size_t i, struct policy_set *set,
		     const struct agent_plan *before, struct diag *diag)
{
	struct agent_entry *e = &p->entries[i];
	const struct agent_rule *old = rule_before(before, e);
	struct agent_rule *rule = &p->rules[i];
	int r = make_policy(p, set, e, &rule->policy, diag);

	if (r < 0)
		return r;
	if (old && policy_same(rule->policy, old->policy)) {
		policy_unref(rule->policy);
		rule->policy = policy_ref(old->policy);
	}
	return make_info(e, rule, old, diag, p->config->file);
}

int agent_plan_make_rules(struct agent_plan *p, struct policy_set *set,
			  const struct agent_plan *before, struct diag *diag)
{
	int r = 0;

	p->rules = calloc(p->n_entries + 1, sizeof(*p->rules));
	if (!p->rules) {
		diag->oom = 1;
		return -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < p->n_entries; i++)
		r = make_rule(p, i, set, before, diag);
	return r;
}

/* ---- names ---- */

static const char *namespace_of(const struct policy_endpoint *peer)
{
	for (size_t i = 0; i < peer->n_labels; i++)
		if (strcmp(peer->labels[i].key, AGENT_NAMESPACE_LABEL) == 0)
			return peer->labels[i].value;
	return NULL;
}

/* A peer has no name of its own. One whose labels are too many for a record is not named. */
static int name_peer(const struct policy_endpoint *peer, struct named_endpoint *ret)
{
	const struct workload_names names = { .namespace_ = namespace_of(peer),
					      .labels = peer->labels,
					      .n_labels = peer->n_labels };
	struct error err = { "" };
	int r = workload_info_new(&names, &ret->info, &err);

	ret->addresses = peer->addresses;
	ret->n_addresses = r == 0 ? peer->n_addresses : 0;
	return r == -E2BIG ? 0 : r;
}

static int list_names(const struct agent_plan *p, struct named_endpoint *list, size_t *n)
{
	const struct agent_config *c = p->config;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_peers; i++)
		r = name_peer(&c->peers[i], &list[(*n)++]);
	for (size_t i = 0; r == 0 && i < p->n_entries; i++)
		if (p->entries[i].kind == AGENT_POD)
			list[(*n)++] = (struct named_endpoint){
				.info = workload_info_ref(p->rules[i].info),
				.addresses = p->entries[i].pod->addresses,
				.n_addresses = p->entries[i].pod->n_addresses,
			};
	return r;
}

int agent_plan_make_names(struct agent_plan *p, struct diag *diag)
{
	struct named_endpoint *list = calloc(p->config->n_peers + p->n_entries + 1, sizeof(*list));
	size_t n = 0;
	int r = list ? list_names(p, list, &n) : -ENOMEM;

	if (r == 0)
		r = endpoint_names_new(list, n, &p->names);
	for (size_t i = 0; i < n; i++)
		workload_info_unref(list[i].info);
	free(list);
	if (r < 0)
		diag->oom = 1;
	return r;
}
