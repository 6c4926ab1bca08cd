// SPDX-License-Identifier: Apache-2.0
#include "cases.h"

#include <arpa/inet.h>
#include <netinet/in.h>

int case_load(const char *name, const char *text, size_t len, const struct label *labels,
	      size_t n_labels, struct policy **ret, struct diag *diag)
{
	char *copy = malloc(len + !len);
	int r;

	assert_non_null(copy);
	memcpy(copy, text, len);
	r = policy_load_text(name, copy, len, labels, n_labels, ret, diag);
	free(copy);
	return r;
}

struct policy *case_policy(const char *text)
{
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;
	int r = case_load("t.yaml", text, strlen(text), NULL, 0, &p, &diag);

	if (r)
		diag_print(&diag, stderr);
	diag_done(&diag);
	assert_int_equal(r, 0);
	assert_non_null(p);
	return p;
}

char *case_errors(const char *text)
{
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;
	char *ret = NULL;
	size_t size;
	FILE *to = open_memstream(&ret, &size);
	int r = case_load("t.yaml", text, strlen(text), NULL, 0, &p, &diag);

	assert_non_null(to);
	assert_true((r == 0) == (p != NULL));
	assert_true((r == 0) == (diag.n == 0));
	diag_print(&diag, to);
	fclose(to);
	diag_done(&diag);
	policy_unref(p);
	return ret;
}

int case_load_options(const char *text, const struct policy_options *o, struct policy **p,
		      char *said, size_t size)
{
	struct policy_text one = { .name = "t.yaml", .text = text, .len = strlen(text) };
	struct policy_options with = *o;
	struct diag diag = { .items = NULL };
	FILE *to = fmemopen(said, size, "w");
	int r;

	assert_non_null(to);
	with.texts = &one;
	with.n_texts = 1;
	r = policy_load(&with, p, &diag);
	assert_true((r == 0) == (diag.n == 0));
	diag_print(&diag, to);
	fputc(0, to);
	fclose(to);
	diag_done(&diag);
	return r;
}

struct policy *case_must_load(const char *text, const struct policy_options *o)
{
	struct policy *p = NULL;
	char said[4096] = "";

	if (case_load_options(text, o, &p, said, sizeof(said)) != 0)
		fail_msg("%s", said);
	return p;
}

const struct ruleset *case_rules(const struct policy *p, uint16_t port)
{
	const struct ruleset *rs;

	assert_int_equal(case_action(p, "10.0.0.1", port, false, IPPROTO_TCP, &rs), L4_STEER);
	return rs;
}

static struct address parse_address(const char *ip, uint16_t port)
{
	struct address a = { .family = strchr(ip, ':') ? AF_INET6 : AF_INET, .port = port };

	assert_int_equal(inet_pton(a.family, ip, a.ip), 1);
	return a;
}

enum l4_action case_action(const struct policy *p, const char *ip, uint16_t port, bool local,
			   uint8_t protocol, const struct ruleset **rules)
{
	return case_action_in(p, L4_EGRESS, ip, port, local, protocol, rules);
}

enum l4_action case_action_in(const struct policy *p, enum l4_direction direction, const char *ip,
			      uint16_t port, bool local, uint8_t protocol,
			      const struct ruleset **rules)
{
	struct address a = parse_address(ip, port);
	const struct ruleset *found = NULL;
	enum l4_action action;

	if (direction == L4_EGRESS) {
		action = policy_l4(p, &a, local, protocol, &found);
	} else {
		a.port = 1; /* the client's own says nothing */
		action = policy_l4_ingress(p, &a, port, local, protocol, &found);
	}

	assert_true((action == L4_STEER) == (found != NULL));
	if (rules)
		*rules = found;
	return action;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static uint32_t table_identity(const struct l4_table *t, enum l4_direction direction,
			       const struct address *a, bool local)
{
	uint8_t family = a->family == AF_INET ? 4 : 6;
	uint32_t identity = 0;
	int longest = -1;

	for (size_t i = 0; i < t->n_peers; i++) {
		const struct l4_peer *p = &t->peers[i];

		if (p->direction != direction || p->local != local || p->family != family ||
		    !bits_equal(p->ip, a->ip, p->prefix_len))
			continue;
		assert_true(p->prefix_len != longest); /* each prefix once */
		if (p->prefix_len > longest) {
			longest = p->prefix_len;
			identity = p->identity;
		}
	}
	return identity;
}

enum l4_action case_table_action(const struct l4_table *t, const char *ip, uint16_t port,
				 bool local, uint8_t protocol)
{
	return case_table_action_in(t, L4_EGRESS, ip, port, local, protocol);
}

enum l4_action case_table_action_in(const struct l4_table *t, enum l4_direction direction,
				    const char *ip, uint16_t port, bool local, uint8_t protocol)
{
	struct address a = parse_address(ip, port);
	uint32_t identity = table_identity(t, direction, &a, local);
	enum l4_action action = L4_REFUSE;
	int longest = -1;

	if (!(direction == L4_EGRESS ? t->enforced : t->ingress_enforced))
		return L4_ALLOW;
	for (size_t i = 0; i < t->n_ports; i++) {
		const struct l4_port *p = &t->ports[i];

		if (p->direction != direction || p->identity != identity ||
		    p->protocol != protocol ||
		    (p->prefix_len && (p->port ^ port) >> (16 - p->prefix_len)))
			continue;
		if (p->prefix_len > longest) {
			longest = p->prefix_len;
			action = (enum l4_action)p->action;
		}
	}
	return action;
}

void case_mirror(char *to, size_t size, const char *text)
{
	static const char *const words[][2] = { { "egress", "ingress" },
						{ "toCIDR", "fromCIDR" },
						{ "toEntities", "fromEntities" },
						{ "toEndpoints", "fromEndpoints" } };
	size_t n = 0;

	while (*text) {
		size_t i = 0;

		while (i < ARRAY_SIZE(words) &&
		       strncmp(text, words[i][0], strlen(words[i][0])) != 0)
			i++;
		if (i < ARRAY_SIZE(words)) {
			n += (size_t)snprintf(to + n, size - n, "%s", words[i][1]);
			text += strlen(words[i][0]);
		} else {
			to[n++] = *text++;
		}
		assert_true(n + 1 < size);
	}
	to[n] = '\0';
}

struct verdict case_judge(const struct policy *p, const struct ruleset *rules,
			  const struct case_request *request)
{
	struct judge_scratch *scratch = judge_scratch_new(p);
	struct header headers[16];
	struct span readings[16] = { span_of(request->path) };
	struct request req = {
		.method = span_of(request->method),
		.path = readings[0],
		.authority = span_of(request->authority ? request->authority : "h"),
		.headers = headers,
		.readings = readings,
		.n_readings = 1,
	};
	struct verdict v;

	assert_non_null(scratch);
	for (const char *const *h = request->headers; h && h[0]; h += 2)
		headers[req.n_headers++] = (struct header){ span_of(h[0]), span_of(h[1]) };
	for (const char *const *r = request->readings; r && *r; r++)
		readings[req.n_readings++] = span_of(*r);
	v = ruleset_judge(rules, &req, scratch);
	if (v.action == VERDICT_DENY)
		ruleset_explain(rules, &req, scratch, &v);
	judge_scratch_free(scratch);
	return v;
}
