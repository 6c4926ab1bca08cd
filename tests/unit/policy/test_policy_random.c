// SPDX-License-Identifier: Apache-2.0
/* Random policies and random questions, against a reference that knows no tables: it goes through
 * all rules one by one, and matches with POSIX regular expressions. Values come from few
 * characters and few bits, so that they meet often. SLUICE_SEED repeats a run. */
#include "cases.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <regex.h>
#include <stdio.h>
#include <time.h>

#include "random_world.h"

#define ROUNDS	  150
#define QUESTIONS 200

/* Each pattern in RE2's syntax is one in POSIX's as well. */
static const char *const patterns[] = {
	"/",	  "/a",	    "/b",	    "/a/b",    "/a.*",	 "/.*",	      ".*",
	"/a/.*",  "/a|/b",  "/(a|b)",	    "/a+",     "/[ab]*", "/.",	      "/a.b",
	"/a\\.b", "(/a)*",  "/a?b?",	    "a",       "b|a",	 "ab*",	      "[ab].?",
	"[^a]+",  "/a.*b",  "/(a|b)/(a|b)", "b.*|/b",  "a{2,3}", "/a/b|/b.*", "(a|/)+",
	"/ab.*",  "/a[.]b", "(b|ba|bab).*", "/{1,2}a",
};

static const char *const headers[HEADERS] = { "X: a", "X: b", "X", "Y: a", "Y" };

static struct {
	uint64_t random;
	unsigned n_docs;
	struct doc docs[3];
	struct member members[MEMBERS];
	regex_t compiled[ARRAY_SIZE(patterns)];
} world;

static unsigned below(unsigned n)
{
	world.random ^= world.random << 13;
	world.random ^= world.random >> 7;
	world.random ^= world.random << 17;
	return (unsigned)(world.random >> 11) % n;
}

static void make_http(struct http *h)
{
	h->path = below(4) ? (int)below(ARRAY_SIZE(patterns)) : -1;
	h->method = below(2) ? (int)below(ARRAY_SIZE(patterns)) : -1;
	h->host = below(3) ? -1 : (int)below(ARRAY_SIZE(patterns));
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		h->headers[i] = below(8) == 0;
}

static void make_ports(struct ports *p, bool deny)
{
	p->l7 = !deny && below(2);
	p->n = deny ? 1 + below(3) : below(4); /* a deny rule for no port is refused */
	for (unsigned i = 0; i < p->n; i++) {
		p->first[i] = 1 + below(40);
		p->last[i] = below(2) ? p->first[i] : p->first[i] + below(40);
		p->protocols[i] = p->l7 ? 1 : 1 + below(3);
		if (!p->l7 && below(20) == 0) {
			p->first[i] = 0;
			p->last[i] = 65535;
		}
	}
	p->n_http = below(7);
	for (unsigned i = 0; i < p->n_http; i++)
		make_http(&p->http[i]);
}

static void make_range(struct range *r)
{
	r->len = (uint8_t)below(9);
	r->ip = (uint8_t)(below(256) & ~(0xffu >> r->len));
	r->six = below(3) == 0;
	r->n_except = below(4);
	for (unsigned i = 0; i < r->n_except; i++) {
		unsigned len = r->len + below(9u - r->len);

		r->except[i].len = (uint8_t)len;
		r->except[i].ip =
			(uint8_t)((r->ip | (below(256) & 0xffu >> r->len)) & ~(0xffu >> len));
	}
}

static void make_rule(struct rule *r)
{
	r->deny = below(6) == 0;
	r->peers = below(2) ? PEERS_CIDR : below(PEERS_ENDPOINTS + 1);
	r->n_ranges = below(5);
	for (unsigned i = 0; i < r->n_ranges; i++)
		make_range(&r->ranges[i]);
	/* A rule that says nothing allows nothing, and is refused if it denies. */
	r->any_port = below(8) == 0 && !(r->deny && r->peers == PEERS_ANY);
	r->n_ports = r->deny ? 1 + below(3) : below(4);
	for (unsigned i = 0; i < r->n_ports; i++)
		make_ports(&r->ports[i], r->deny);
}

static void make_world(void)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		world.members[i] =
			(struct member){ below(3) == 0, (uint8_t)below(256), below(MEMBER_LABELS) };
	world.n_docs = 1 + below(3);
	for (unsigned i = 0; i < world.n_docs; i++) {
		struct doc *d = &world.docs[i];

		d->default_allow = below(5) == 0;
		d->n_rules = below(7);
		for (unsigned j = 0; j < d->n_rules; j++)
			make_rule(&d->rules[j]);
	}
}

/* --- the same as text --- */

static void print_http(const struct http *h, FILE *to)
{
	const char *comma = "";

	fputs("{", to);
	if (h->path >= 0)
		fprintf(to, "path: '%s', ", patterns[h->path]);
	if (h->method >= 0)
		fprintf(to, "method: '%s', ", patterns[h->method]);
	if (h->host >= 0)
		fprintf(to, "host: '%s', ", patterns[h->host]);
	fputs("headers: [", to);
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		if (h->headers[i]) {
			fprintf(to, "%s'%s'", comma, headers[i]);
			comma = ", ";
		}
	fputs("]}", to);
}

static void print_ports(const struct ports *p, FILE *to)
{
	static const char *const names[] = { "", "TCP", "UDP", "ANY" };

	fputs("    - ports: [", to);
	for (unsigned i = 0; i < p->n; i++) {
		fprintf(to, "%s{port: %u, protocol: %s", i ? ", " : "", p->first[i],
			names[p->protocols[i]]);
		if (p->first[i])
			fprintf(to, ", endPort: %u", p->last[i]);
		fputs("}", to);
	}
	fputs("]\n", to);
	if (!p->l7)
		return;
	fputs("      rules: {http: [", to);
	for (unsigned i = 0; i < p->n_http; i++) {
		fputs(i ? ", " : "", to);
		print_http(&p->http[i], to);
	}
	fputs("]}\n", to);
}

static void print_ip(bool six, unsigned ip, unsigned len, FILE *to)
{
	if (six)
		fprintf(to, "'fd00::%x/%u'", ip, 120 + len);
	else
		fprintf(to, "10.0.0.%u/%u", ip, 24 + len);
}

static void print_peers(const struct rule *r, FILE *to)
{
	static const char *const entities[] = { [PEERS_WORLD] = "world",
						[PEERS_HOST] = "host",
						[PEERS_ALL] = "all",
						[PEERS_NONE] = "",
						[PEERS_CLUSTER] = "cluster" };

	if (r->peers == PEERS_ENDPOINTS)
		fprintf(to, "    toEndpoints: [{matchLabels: {l: '%u'}}]\n", r->n_ranges);
	else if (r->peers > PEERS_CIDR)
		fprintf(to, "    toEntities: [%s]\n", entities[r->peers]);
	if (r->peers != PEERS_CIDR)
		return;
	fputs("    toCIDRSet: [", to);
	for (unsigned i = 0; i < r->n_ranges; i++) {
		const struct range *x = &r->ranges[i];

		fputs(i ? ", {cidr: " : "{cidr: ", to);
		print_ip(x->six, x->ip, x->len, to);
		fputs(", except: [", to);
		for (unsigned j = 0; j < x->n_except; j++) {
			fputs(j ? ", " : "", to);
			print_ip(x->six, x->except[j].ip, x->except[j].len, to);
		}
		fputs("]}", to);
	}
	fputs("]\n", to);
}

static void print_rules(const struct doc *d, bool deny, FILE *to)
{
	fprintf(to, "  %s:\n  - toCIDR: []\n", deny ? "egressDeny" : "egress");
	for (unsigned i = 0; i < d->n_rules; i++) {
		const struct rule *r = &d->rules[i];

		if (r->deny != deny)
			continue;
		fputs("  - description: a rule\n", to);
		print_peers(r, to);
		if (r->any_port)
			continue;
		fputs(r->n_ports ? "    toPorts:\n" : "    toPorts: []\n", to);
		for (unsigned j = 0; j < r->n_ports; j++)
			print_ports(&r->ports[j], to);
	}
}

static char *print_world(void)
{
	char *ret = NULL;
	size_t size;
	FILE *to = open_memstream(&ret, &size);

	assert_non_null(to);
	for (unsigned i = 0; i < world.n_docs; i++) {
		fputs("---\n" CASE_HEAD, to);
		if (world.docs[i].default_allow)
			fputs("  enableDefaultDeny: {egress: false}\n", to);
		print_rules(&world.docs[i], false, to);
		print_rules(&world.docs[i], true, to);
	}
	fclose(to);
	return ret;
}

/* --- the reference --- */

struct question {
	bool six, local;
	uint8_t ip, protocol;
	uint16_t port;
	char path[8], method[8], host[8], values[4][4];
	const char *names[9]; /* as struct case_request has it */
};

static bool holds(int pattern, const char *value)
{
	return pattern < 0 || regexec(&world.compiled[pattern], value, 0, NULL, 0) == 0;
}

static bool has_header(const struct question *q, const char *want)
{
	bool any = !want[1], seen = false;

	for (size_t i = 0; q->names[i]; i += 2) {
		if ((q->names[i][0] & ~0x20) != want[0])
			continue;
		seen = true;
		if (!any && strcmp(q->names[i + 1], want + 3) != 0)
			return false;
	}
	return seen;
}

static bool http_allows(const struct http *h, const struct question *q)
{
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		if (h->headers[i] && !has_header(q, headers[i]))
			return false;
	return holds(h->path, q->path) && holds(h->method, q->method) && holds(h->host, q->host);
}

static bool in_prefix(unsigned ip, unsigned prefix, unsigned len)
{
	return ((ip ^ prefix) & 0xff & ~(0xffu >> len)) == 0;
}

static bool range_covers(const struct range *r, const struct question *q)
{
	if (r->six != q->six || !in_prefix(q->ip, r->ip, r->len))
		return false;
	for (unsigned i = 0; i < r->n_except; i++)
		if (in_prefix(q->ip, r->except[i].ip, r->except[i].len))
			return false;
	return true;
}

/* Whether it is an endpoint's, with any label or with this one. */
static bool is_member(const struct question *q, unsigned label)
{
	for (unsigned i = 0; i < MEMBERS; i++) {
		const struct member *m = &world.members[i];

		if (m->six == q->six && m->ip == q->ip &&
		    (label == MEMBER_LABELS || label == m->label))
			return true;
	}
	return false;
}

static bool peers_cover(const struct rule *r, const struct question *q)
{
	switch (r->peers) {
	case PEERS_CIDR:
		for (unsigned i = 0; i < r->n_ranges; i++)
			if (range_covers(&r->ranges[i], q))
				return true;
		return false;
	case PEERS_WORLD:
		return !q->local && !is_member(q, MEMBER_LABELS);
	case PEERS_CLUSTER:
		return q->local || is_member(q, MEMBER_LABELS);
	case PEERS_ENDPOINTS:
		return is_member(q, r->n_ranges);
	case PEERS_HOST:
		return q->local;
	case PEERS_ANY:
		return !r->any_port;
	default:
		return r->peers != PEERS_NONE;
	}
}

static bool ports_cover(const struct ports *p, const struct question *q)
{
	unsigned protocol = q->protocol == IPPROTO_TCP ? 1 : 2;

	for (unsigned i = 0; i < p->n; i++)
		if (p->protocols[i] & protocol && q->port >= p->first[i] && q->port <= p->last[i])
			return true;
	return false;
}

struct answer {
	bool deny, allow, steer, request;
};

static void ask_rule(const struct doc *d, const struct rule *r, const struct question *q,
		     struct answer *a)
{
	if (!peers_cover(r, q))
		return;
	a->deny |= r->deny && r->any_port;
	a->allow |= !r->deny && r->any_port;
	for (unsigned i = 0; !r->any_port && i < r->n_ports; i++) {
		const struct ports *p = &r->ports[i];

		if (!ports_cover(p, q))
			continue;
		if (r->deny) {
			a->deny = true;
		} else if (!p->l7 || d->default_allow) {
			a->allow = true;
		} else {
			a->steer = true;
			for (unsigned j = 0; j < p->n_http; j++)
				a->request |= http_allows(&p->http[j], q);
		}
	}
}

static enum l4_action reference(const struct question *q, bool *request)
{
	struct answer a = { false, true, false, false };

	for (unsigned i = 0; i < world.n_docs; i++)
		a.allow &= world.docs[i].default_allow;
	for (unsigned i = 0; i < world.n_docs; i++)
		for (unsigned j = 0; j < world.docs[i].n_rules; j++)
			ask_rule(&world.docs[i], &world.docs[i].rules[j], q, &a);
	*request = a.request;
	if (a.deny)
		return L4_REFUSE;
	if (a.allow)
		return L4_ALLOW;
	return a.steer ? L4_STEER : L4_REFUSE;
}

static void make_text(char *to, unsigned most, const char *letters)
{
	unsigned n = below(most + 1);

	for (unsigned i = 0; i < n; i++)
		to[i] = letters[below((unsigned)strlen(letters))];
	to[n] = 0;
}

static void make_question(struct question *q)
{
	static const char *const names[] = { "X", "x", "Y", "Z" };
	unsigned n = below(5);

	q->six = below(3) == 0;
	q->local = below(2);
	q->ip = below(2) ? (uint8_t)below(256) : world.members[below(MEMBERS)].ip;
	q->protocol = below(4) ? IPPROTO_TCP : IPPROTO_UDP;
	q->port = (uint16_t)below(82);
	make_text(q->path, 6, "//aab.");
	make_text(q->method, 3, "aab/");
	make_text(q->host, 3, "ab/.");
	for (unsigned i = 0; i < n; i++) {
		make_text(q->values[i], 1, "aab");
		q->names[2 * i] = names[below(4)];
		q->names[2 * i + 1] = q->values[i];
	}
	q->names[2 * n] = NULL;
}

static void ask(const struct policy *p, const char *text, uint64_t seed)
{
	struct question q;
	struct case_request request = { q.method, q.path, q.host, q.names, NULL };
	const struct ruleset *rules;
	enum l4_action want, got, flat;
	char ip[32];
	bool allowed;

	make_question(&q);
	want = reference(&q, &allowed);
	snprintf(ip, sizeof(ip), q.six ? "fd00::%x" : "10.0.0.%u", q.ip);
	got = case_action(p, ip, q.port, q.local, q.protocol, &rules);
	flat = case_table_action(policy_l4_table(p), ip, q.port, q.local, q.protocol);
	if (got != want || flat != want)
		fail_msg("seed %llu: %s:%u/%u local %d: want %d, got %d, flat %d in\n%s",
			 (unsigned long long)seed, ip, q.port, q.protocol, q.local, want, got, flat,
			 text);
	if (want == L4_STEER &&
	    case_judge(p, rules, &request).action != (enum verdict_action)allowed)
		fail_msg("seed %llu: %s:%u local %d: %s %s host %s, want %d in\n%s",
			 (unsigned long long)seed, ip, q.port, q.local, q.method, q.path, q.host,
			 allowed, text);
}

static struct policy *load_world(const char *text)
{
	static const char *const values[MEMBER_LABELS] = { "0", "1", "2", "3", "4" };
	struct policy_endpoint endpoints[MEMBERS];
	struct label labels[MEMBERS];
	struct address addresses[MEMBERS];
	const struct policy_options options = { .endpoints_known = true,
						.endpoints = endpoints,
						.n_endpoints = MEMBERS };

	for (unsigned i = 0; i < MEMBERS; i++) {
		const struct member *m = &world.members[i];

		labels[i] = (struct label){ "l", values[m->label] };
		addresses[i] = (struct address){ .family = AF_INET, .ip = { 10, 0, 0, m->ip } };
		if (m->six)
			addresses[i] = (struct address){ .family = AF_INET6,
							 .ip = { 0xfd, [15] = m->ip } };
		endpoints[i] = (struct policy_endpoint){ &labels[i], 1, &addresses[i], 1 };
	}
	return case_must_load(text, &options);
}

static void test_random(void **state)
{
	const char *given = getenv("SLUICE_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	char wrapped[64];

	print_message("SLUICE_SEED=%llu\n", (unsigned long long)seed);
	world.random = seed * 2654435761u + 88172645463325252u;
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		snprintf(wrapped, sizeof(wrapped), "^(%s)$", patterns[i]);
		assert_int_equal(regcomp(&world.compiled[i], wrapped, REG_EXTENDED | REG_NOSUB), 0);
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct policy *p;
		char *text;

		make_world();
		text = print_world();
		p = load_world(text);
		for (unsigned j = 0; j < QUESTIONS; j++)
			ask(p, text, seed);
		policy_unref(p);
		free(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		regfree(&world.compiled[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
