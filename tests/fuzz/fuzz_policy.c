// SPDX-License-Identifier: Apache-2.0
/* Any text as a policy file: load it, ask it, give it back. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include "policy_set.h"
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

static const struct label labels[] = { { "k8s:app", "web" },
				       { "tier", "front" },
				       { "io.kubernetes.pod.namespace", "default" } };
static const struct label db[] = { { "app", "db" },
				   { "k8s:io.kubernetes.pod.namespace", "default" } };
static const struct label other[] = { { "app", "web" },
				      { "k8s:io.kubernetes.pod.namespace", "other" } };
static const struct address addresses[] = {
	{ .family = AF_INET, .ip = { 10, 0, 0, 1 } },
	{ .family = AF_INET, .ip = { 10, 0, 0, 2 } },
	{ .family = AF_INET6, .ip = { 0xfd, [15] = 1 } },
};
static const struct named_port own_ports[] = { { .name = "http", .port = 8080 },
					       { .name = "db", .port = 5432 } };
static const struct policy_endpoint endpoints[] = {
	{ labels, ARRAY_SIZE(labels), addresses, 1, own_ports, ARRAY_SIZE(own_ports) },
	{ db, ARRAY_SIZE(db), addresses + 1, 2, own_ports, 1 },
	{ other, ARRAY_SIZE(other), addresses + 2, 1, NULL, 0 },
};

static void ask(const struct policy *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		const struct ruleset *rules = NULL;
		struct address to = addresses[i];

		to.port = 80;
		if (policy_l4(p, &to, false, IPPROTO_TCP, &rules) == L4_STEER)
			judge(p, rules);
		if (policy_l4_ingress(p, &to, 80, true, IPPROTO_TCP, &rules) == L4_STEER)
			judge(p, rules);
	}
}

/* What a set makes is what a policy by itself is; and so it is once more when endpoints went and
 * came back. */
static void check_set(const struct policy_options *options, const struct policy *alone)
{
	struct diag diag = { .items = NULL };
	struct policy_set *set = NULL;
	struct policy *p = NULL, *none = NULL, *again = NULL;

	if (policy_set_load(options, &set, &diag) != 0 ||
	    policy_set_policy(set, options->labels, options->n_labels, &p, &diag) != 0 ||
	    !policy_same(p, alone) || policy_set_endpoints(set, NULL, 0) != 0 ||
	    policy_set_policy(set, options->labels, options->n_labels, &none, &diag) != 0 ||
	    policy_set_endpoints(set, options->endpoints, options->n_endpoints) != 0 ||
	    policy_set_policy(set, options->labels, options->n_labels, &again, &diag) != 0 ||
	    !policy_same(again, alone))
		abort();
	ask(none);
	policy_unref(p);
	policy_unref(none);
	policy_unref(again);
	policy_set_trim(set);
	policy_set_free(set);
	diag_done(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
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
		.endpoints_known = true,
		.endpoints = endpoints,
		.n_endpoints = ARRAY_SIZE(endpoints),
		.lint = true,
	};
	int r = policy_load(&options, &p, &diag);

	if ((r == 0) != (diag.n == 0) || (r == 0) != (p != NULL))
		abort();
	diag_done(&diag);
	if (p) {
		ask(p);
		check_set(&options, p);
	}
	policy_unref(p);
	return 0;
}
