/* SPDX-License-Identifier: Apache-2.0 */
/* What the status says of pods: docs/agent.md names the members. */
#include "agent_parts.h"
#include "json_out.h"
#include "text.h"

/* Null for who is none, or not known to be one. */
void agent_status_pod(struct json_out *j, const struct agent_workload *w, const struct pod *pod)
{
	if (!pod) {
		json_out_text(j, "pod", NULL);
		return;
	}
	json_out_begin(j, "pod", '{');
	json_out_text(j, "uid", pod->uid);
	json_out_text(j, "sandbox", pod->id);
	json_out_bool(j, "ready", pod->ready);
	json_out_bool(j, "host_network", pod->host_network);
	json_out_begin(j, "addresses", '[');
	for (size_t i = 0; i < pod->n_addresses; i++) {
		char buf[ADDRESS_TEXT_MAX];
		struct text text = TEXT_INIT(buf);

		text_add_ip(&text, &pod->addresses[i]);
		json_out_span(j, NULL, (struct span){ buf, text.len });
	}
	json_out_end(j, '[');
	json_out_text(j, "cgroup_layout", pod_cgroup_how_name(pod->how));
	if (w->is_known) {
		json_out_number(j, "held_after_ms", w->held_ms);
		json_out_number(j, "known_after_ms", w->known_ms);
	}
	json_out_end(j, '{');
}

static void add_window(struct json_out *j, const char *name, const struct agent_window *w)
{
	json_out_begin(j, name, '{');
	json_out_number(j, "pods", w->pods);
	json_out_number(j, "before_first_process", w->first);
	json_out_number(j, "mean_ms", w->pods ? w->sum_ms / w->pods : 0);
	json_out_number(j, "max_ms", w->max_ms);
	json_out_end(j, '{');
}

static uint64_t count_unknown(const struct agent *a)
{
	uint64_t n = 0;

	for (const struct agent_workload *w = a->workloads; w; w = w->next)
		n += w->state < AGENT_WORKLOAD_GONE &&
		     a->plan->entries[w->entry].kind == AGENT_UNKNOWN_POD;
	return n;
}

/* What the container runtime tells; null where it is not asked. */
void agent_status_pods(struct json_out *j, const struct agent *a)
{
	const struct agent_pods *p = &a->pods;

	json_out_line(j);
	if (!p->cri) {
		json_out_text(j, "pods", NULL);
		return;
	}
	json_out_begin(j, "pods", '{');
	json_out_text(j, "socket", a->plan->config->pods.runtime);
	json_out_text(j, "runtime", p->runtime[0] ? p->runtime : NULL);
	json_out_bool(j, "answers", p->synced);
	json_out_text(j, "trouble", p->trouble[0] ? p->trouble : NULL);
	json_out_number(j, "known", a->plan->pods ? a->plan->pods->n : 0);
	json_out_number(j, "unknown", count_unknown(a));
	json_out_bool(j, "unknown_held", a->plan->config->pods.hold);
	add_window(j, "held", &a->held);
	add_window(j, "by_own_policy", &a->known);
	json_out_number(j, "before_containers", a->known_before_containers);
	json_out_end(j, '{');
}
