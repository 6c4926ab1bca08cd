// SPDX-License-Identifier: Apache-2.0
/* toEndpoints and fromEndpoints: whom they select, in which namespace, how they combine with other
 * peers, and what the entities make of addresses that are endpoints'. Every question is asked of
 * the tables, of policy_l4(), and of the mirrored policy, in which egress is ingress. */
#include "cases.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define NAMESPACE "io.kubernetes.pod.namespace"

/* Who is there, in tests of a cluster of its own. */
static const struct member {
	struct label labels[4];
	const char *addresses[3];
} members[] = {
	{ { { "k8s:app", "web" }, { "k8s:" NAMESPACE, "prod" } }, { "10.1.0.1", "fd00::1" } },
	{ { { "app", "db" }, { "tier", "back" }, { NAMESPACE, "prod" } }, { "10.1.0.2" } },
	{ { { "app", "web" },
	    { NAMESPACE, "test" },
	    { "io.cilium.k8s.namespace.labels.team", "a" } },
	  { "10.2.0.1" } },
	{ { { "app", "free" } }, { "10.3.0.1" } }, /* in any namespace */
	{ { { "app", "here" }, { NAMESPACE, "prod" } }, { "192.0.2.1" } },
	{ { { "container:app", "odd" }, { NAMESPACE, "prod" } }, { "10.1.0.9" } },
	{ { { "app", "twin" }, { NAMESPACE, "prod" } }, { "10.1.0.2", "10.1.0.2" } },
	{ { { "app", "mapped" }, { NAMESPACE, "prod" } }, { "::ffff:10.1.0.7" } },
	{ { { "app", "nowhere" }, { NAMESPACE, "prod" } }, { NULL } },
};

struct cluster {
	struct policy_endpoint endpoints[ARRAY_SIZE(members)];
	struct address addresses[ARRAY_SIZE(members)][3];
};

static void fill_cluster(struct cluster *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct policy_endpoint *e = &c->endpoints[i];

		e->labels = members[i].labels;
		while (e->n_labels < 4 && members[i].labels[e->n_labels].key)
			e->n_labels++;
		e->addresses = c->addresses[i];
		for (; members[i].addresses[e->n_addresses]; e->n_addresses++) {
			const char *text = members[i].addresses[e->n_addresses];
			struct address *a = &c->addresses[i][e->n_addresses];

			a->family = strchr(text, ':') ? AF_INET6 : AF_INET;
			a->port = 7; /* says nothing */
			assert_int_equal(inet_pton(a->family, text, a->ip), 1);
		}
	}
}

static struct policy_options cluster_options(const struct cluster *c)
{
	return (struct policy_options){ .endpoints_known = true,
					.endpoints = c->endpoints,
					.n_endpoints = ARRAY_SIZE(members) };
}

enum { REFUSE = L4_REFUSE, ALLOW = L4_ALLOW, STEER = L4_STEER };

struct question {
	const char *ip;
	int action;
	bool local;
	uint16_t port; /* 0: 80 */
};

#define CNP  "CiliumNetworkPolicy\nmetadata: {name: a, namespace: prod}\n"
#define BARE "CiliumNetworkPolicy\nmetadata: {name: a}\n"
#define CCNP "CiliumClusterwideNetworkPolicy\nmetadata: {name: a}\n"
#define TO   "spec:\n  endpointSelector: {}\n  egress:\n"
#define SAYS "spec:\n  endpointSelector: {}\n"

static const struct {
	const char *text;
	struct question ask[10];
	struct label labels[2]; /* of the workload */
} cases[] = {
#include "endpoints.inc"
};

/* The document of one case, in a buffer that is just as long. */
static char *make_text(const char *text, bool mirrored)
{
	char egress[2048], ingress[4096], *ret;

	snprintf(egress, sizeof(egress), "apiVersion: cilium.io/v2\nkind: %s", text);
	case_mirror(ingress, sizeof(ingress), egress);
	ret = strdup(mirrored ? ingress : egress);
	assert_non_null(ret);
	return ret;
}

static void ask_all(const struct policy *p, const struct question *ask, enum l4_direction direction,
		    const char *text)
{
	for (const struct question *q = ask; q->ip; q++) {
		uint16_t port = q->port ? q->port : 80;
		enum l4_action got = case_action_in(p, direction, q->ip, port, q->local,
						    IPPROTO_TCP, NULL),
			       table = case_table_action_in(policy_l4_table(p), direction, q->ip,
							    port, q->local, IPPROTO_TCP);

		if ((int)got != q->action || got != table)
			fail_msg("%s\n%s%s port %u: %d, in the table %d", text, q->ip,
				 q->local ? " (local)" : "", port, (int)got, (int)table);
	}
}

static void test_cases(void **state)
{
	struct cluster cluster;
	struct policy_options options;

	fill_cluster(&cluster);
	options = cluster_options(&cluster);
	for (size_t i = 0; i < ARRAY_SIZE(cases) * L4_DIRECTIONS; i++) {
		enum l4_direction direction = (enum l4_direction)(i % L4_DIRECTIONS);
		char *text = make_text(cases[i / L4_DIRECTIONS].text, direction == L4_INGRESS);
		struct policy *p;

		options.labels = cases[i / L4_DIRECTIONS].labels;
		options.n_labels = options.labels[0].key != NULL;
		p = case_must_load(text, &options);
		ask_all(p, cases[i / L4_DIRECTIONS].ask, direction, text);
		policy_unref(p);
		free(text);
	}
}

/* Every document of the table, cut anywhere: it loads or is refused, and never half. */
static void test_cut(void **state)
{
	struct cluster cluster;
	struct policy_options options;
	char said[8192];

	fill_cluster(&cluster);
	options = cluster_options(&cluster);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = make_text(cases[i].text, i % 2);

		for (size_t cut = strlen(text); cut-- > 0;) {
			struct policy *p = NULL;
			int r;

			text[cut] = 0;
			r = case_load_options(text, &options, &p, said, sizeof(said));
			assert_true((r == 0) == (p != NULL));
			policy_unref(p);
		}
		free(text);
	}
}

static const struct {
	const char *text, *errors;
	bool unknown; /* no endpoints are known */
} errors[] = {
#include "endpoints_errors.inc"
};

static void test_errors(void **state)
{
	struct cluster cluster;
	struct policy_options known, unknown = { .lint = false };

	fill_cluster(&cluster);
	known = cluster_options(&cluster);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		char *text = make_text(errors[i].text, false), said[4096] = "";
		struct policy *p = NULL;

		case_load_options(text, errors[i].unknown ? &unknown : &known, &p, said,
				  sizeof(said));
		if (strcmp(said, errors[i].errors) != 0)
			fail_msg("%s\n%s", text, said);
		policy_unref(p);
		free(text);
	}
}

static void test_lint(void **state)
{
	static const char text[] = CNP TO
		"  - toEndpoints: [{matchLabels: {app: wbe}}, {}]\n"
		"  - toEndpoints: [{matchLabels: {'reserved:host': ''}}]\n";
	char *whole = make_text(text, false), said[4096] = "";
	struct cluster cluster;
	struct policy_options options;
	struct policy *p = NULL;

	fill_cluster(&cluster);
	options = cluster_options(&cluster);
	options.lint = true;
	assert_int_equal(case_load_options(whole, &options, &p, said, sizeof(said)), 0);
	assert_string_equal(said, "t.yaml:7:19: warning: this selects no endpoint that is known\n");
	policy_unref(p);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_lint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
