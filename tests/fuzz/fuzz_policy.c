// SPDX-License-Identifier: Apache-2.0
/* Any text as a policy file: load it, ask it, give it back. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include "policy.h"
#include "sluice/array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool adds(const struct header_action *a)
{
	return a->kind == HEADER_ADD || a->kind == HEADER_REPLACE;
}

/* What is written into a request ends no line, and is no field that frames it. */
static void check_action(const struct header_action *a)
{
	static const struct span framing[] = {
		SPAN_LITERAL("host"),
		SPAN_LITERAL("connection"),
		SPAN_LITERAL("content-length"),
		SPAN_LITERAL("content_length"),
		SPAN_LITERAL("transfer-encoding"),
		SPAN_LITERAL("expect"),
		SPAN_LITERAL("upgrade"),
		SPAN_LITERAL("te"),
		SPAN_LITERAL("trailer"),
		SPAN_LITERAL("keep-alive"),
		SPAN_LITERAL("proxy-connection"),
		SPAN_LITERAL("http2-settings"),
	};

	if (a->kind == HEADER_LOG)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(framing); i++)
		if (span_eq_nocase(a->name, framing[i]))
			abort();
	for (size_t i = 0; i < a->name.len; i++)
		if (a->name.ptr[i] <= ' ' || a->name.ptr[i] >= 0x7f || a->name.ptr[i] == ':')
			abort();
	for (size_t i = 0; i < a->value.len; i++)
		if (((unsigned char)a->value.ptr[i] < ' ' && a->value.ptr[i] != '\t') ||
		    a->value.ptr[i] == 0x7f)
			abort();
	if (a->name.len == 0 || a->value.len == 0)
		abort();
}

/* Nothing is added that the request's Connection would have the next proxy take out. */
static void check_named(const struct ruleset *rules, struct judge_scratch *s, struct request req,
			const struct header_action *a)
{
	struct header headers[] = { req.headers[0], { SPAN_LITERAL("Connection"), a->name } };
	struct verdict v;

	req.headers = headers;
	req.n_headers = ARRAY_SIZE(headers);
	v = ruleset_judge(rules, &req, s);
	for (unsigned i = 0; i < v.n_actions; i++)
		if (adds(v.actions[i]) && span_eq_nocase(v.actions[i]->name, a->name))
			abort();
}

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
	for (unsigned i = 0; i < v.n_actions; i++) {
		check_action(v.actions[i]);
		if (adds(v.actions[i]))
			check_named(rules, s, req, v.actions[i]);
	}
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
		.lint = true,
	};
	int r = policy_load(&options, &p, &diag);

	if ((r == 0) != (diag.n == 0) || (r == 0) != (p != NULL))
		abort();
	diag_done(&diag);
	if (p && policy_l4(p, &to, false, IPPROTO_TCP, &rules) == L4_STEER)
		judge(p, rules);
	if (p && policy_l4_ingress(p, &to, 80, true, IPPROTO_TCP, &rules) == L4_STEER)
		judge(p, rules);
	policy_unref(p);
	return 0;
}
