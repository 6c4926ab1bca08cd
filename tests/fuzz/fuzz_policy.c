// SPDX-License-Identifier: Apache-2.0
/* Any text as a policy file: load it, ask it, give it back. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include "policy.h"
#include "sluice/array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct policy *p, const struct ruleset *rules)
{
	struct judge_scratch *s = judge_scratch_new(p);
	struct header headers[] = { { SPAN_LITERAL("X-Name"), SPAN_LITERAL("value") } };
	struct span readings[] = { SPAN_LITERAL("/a/b?c=d"), SPAN_LITERAL("/") };
	struct request req = {
		.method = SPAN_LITERAL("GET"),
		.path = readings[0],
		.authority = SPAN_LITERAL("example.com:80"),
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.readings = readings,
		.n_readings = 1,
	};
	struct verdict v, again;

	if (!s)
		abort();
	v = ruleset_judge(rules, &req, s);
	if (v.action == VERDICT_ALLOW && !v.rule)
		abort();
	/* What is denied has nothing done to it, and nothing is done twice. */
	if (v.n_actions > VERDICT_ACTIONS_MAX || (v.action == VERDICT_ALLOW) < (v.n_actions > 0))
		abort();
	for (unsigned i = 0; i + 1 < v.n_actions; i++)
		if (v.actions[i] == v.actions[i + 1])
			abort();
	/* More readings never allow more. */
	req.n_readings = 2;
	again = ruleset_judge(rules, &req, s);
	if (again.action == VERDICT_ALLOW && v.action != VERDICT_ALLOW)
		abort();
	if (again.action == VERDICT_DENY)
		ruleset_explain(rules, &req, s, &again);
	if (again.rule && again.rule->line == 0)
		abort();
	judge_scratch_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct label labels[] = { { "k8s:app", "web" }, { "tier", "front" } };
	struct address to = { .family = AF_INET, .port = 80, .ip = { 10, 0, 0, 1 } };
	const struct ruleset *rules = NULL;
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;
	static const struct named_port ports[] = { { "http", IPPROTO_TCP, 80 }, { "dns", 0, 53 } };
	const struct policy_text text = { "fuzz", (const char *)data, size };
	const struct policy_options options = {
		.labels = labels,
		.n_labels = ARRAY_SIZE(labels),
		.texts = &text,
		.n_texts = 1,
		.ports = ports,
		.n_ports = ARRAY_SIZE(ports),
		.header_actions = true,
		.lint = true,
	};
	int r = policy_load(&options, &p, &diag);

	if ((r == 0) != (diag.n == 0) || (r == 0) != (p != NULL))
		abort();
	diag_done(&diag);
	if (p && policy_l4(p, &to, false, IPPROTO_TCP, &rules) == L4_STEER)
		judge(p, rules);
	policy_unref(p);
	return 0;
}
