// SPDX-License-Identifier: Apache-2.0
/* Sets: who shares a policy and who does not, what a change of endpoints or of the text touches,
 * and what is left when the set is gone. */
#include "cases.h"

#include <errno.h>
#include <netinet/in.h>

#include "policy_set.h"

#define NAMESPACE "io.kubernetes.pod.namespace"

#define DOCUMENT(kind, name, spec)                                                    \
	"---\napiVersion: cilium.io/v2\nkind: " kind "\nmetadata: {name: " name "}\n" \
	"spec: {" spec "}\n"
#define CNP(name, spec)	 DOCUMENT("CiliumNetworkPolicy", name, spec)
#define CCNP(name, spec) DOCUMENT("CiliumClusterwideNetworkPolicy", name, spec)
#define APP(app)	 "endpointSelector: {matchLabels: {app: " app "}}, "

static struct policy_set *load(const char *text, const struct policy_endpoint *endpoints,
			       size_t n_endpoints, const struct policy_set *before)
{
	const struct policy_text one = { "t.yaml", text, strlen(text) };
	const struct policy_options options = { .texts = &one,
						.n_texts = 1,
						.endpoints_known = true,
						.endpoints = endpoints,
						.n_endpoints = n_endpoints,
						.before_set = before };
	struct diag diag = { .items = NULL };
	struct policy_set *set = NULL;
	int r = policy_set_load(&options, &set, &diag);

	if (r)
		diag_print(&diag, stderr);
	diag_done(&diag);
	assert_int_equal(r, 0);
	return set;
}

static struct policy *ask_labels(struct policy_set *set, const struct label *labels, size_t n)
{
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;

	assert_int_equal(policy_set_policy(set, labels, n, &p, &diag), 0);
	assert_non_null(p);
	assert_int_equal(diag.n, 0);
	diag_done(&diag);
	return p;
}

/* The policy of the workload whose label app is APP, in the namespace NAME unless it is NULL. */
static struct policy *ask(struct policy_set *set, const char *app, const char *name)
{
	const struct label labels[] = { { "app", app }, { NAMESPACE, name } };

	return ask_labels(set, labels, name ? 2 : 1);
}

static int action(const struct policy *p, const char *ip)
{
	int got = (int)case_action(p, ip, 80, false, IPPROTO_TCP, NULL);

	assert_int_equal(got, case_table_action(policy_l4_table(p), ip, 80, false, IPPROTO_TCP));
	return got;
}

static size_t count_policies(const struct policy_set *set)
{
	struct policy_set_stats stats;

	policy_set_stats(set, &stats);
	return stats.policies;
}

static const char three[] = CNP("web", APP("web") "egress: [{toCIDR: [10.0.0.1]}]")
	CNP("all", "endpointSelector: {}, egress: [{toCIDR: [10.0.0.2]}]")
		CNP("db", APP("db") "ingress: []");

static void test_sharing(void **state)
{
	const struct label more[] = { { "zone", "a" }, { "k8s:app", "web" } };
	struct policy_set *set = load(three, NULL, 0, NULL);
	struct policy *web = ask(set, "web", NULL), *same = ask_labels(set, more, 2);
	struct policy *db = ask(set, "db", NULL), *other = ask(set, "other", NULL);
	struct policy *another = ask(set, "another", NULL);
	const struct policy_document *documents;
	size_t n;

	assert_ptr_equal(web, same);
	assert_ptr_equal(other, another);
	assert_ptr_not_equal(web, other);
	assert_ptr_not_equal(web, db);
	assert_int_equal(count_policies(set), 3);
	assert_int_equal(action(web, "10.0.0.1"), L4_ALLOW);
	assert_int_equal(action(web, "10.0.0.2"), L4_ALLOW);
	assert_int_equal(action(other, "10.0.0.1"), L4_REFUSE);
	assert_int_equal(action(other, "10.0.0.2"), L4_ALLOW);
	assert_false(policy_l4_table(web)->ingress_enforced);
	assert_true(policy_l4_table(db)->ingress_enforced);
	documents = policy_documents(db, &n);
	assert_int_equal(n, 2);
	assert_int_equal(policy_n_selected(db), 2);
	assert_string_equal(documents[0].name, "all");
	assert_string_equal(documents[0].namespace_, "");
	assert_string_equal(documents[1].name, "db");
	assert_string_equal(documents[1].file, "t.yaml");
	policy_unref(web);
	policy_unref(same);
	policy_unref(other);
	policy_unref(another);
	/* What nobody holds is forgotten, and made again. */
	policy_set_trim(set);
	assert_int_equal(count_policies(set), 1);
	web = ask(set, "web", NULL);
	policy_set_free(set);
	/* A policy outlives its set. */
	assert_int_equal(action(web, "10.0.0.1"), L4_ALLOW);
	policy_unref(web);
	policy_unref(db);
}

/* Documents that select nobody leave everything alone. */
static void test_unselected(void **state)
{
	struct policy_set *set = load(CNP("web", APP("web") "egress: []"), NULL, 0, NULL);
	struct policy *p = ask(set, "db", NULL);

	assert_int_equal(policy_n_selected(p), 0);
	assert_false(policy_l4_table(p)->enforced);
	assert_int_equal(action(p, "10.0.0.1"), L4_ALLOW);
	policy_unref(p);
	policy_set_free(set);
}

/* What one selection makes of a document does not show in the next. */
static void test_independence(void **state)
{
	static const char text[] =
		CNP("open", "endpointSelector: {}, enableDefaultDeny: {egress: false}, egress: "
			    "[{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: "
			    "[{path: /a}]}}]}]")
			CNP("held", APP("web") "egress: [{toPorts: [{ports: [{port: '80', "
					       "protocol: TCP}], rules: {http: [{path: /b}]}}]}]");
	struct policy_set *set = load(text, NULL, 0, NULL);
	struct policy *first = ask(set, "x", NULL), *web = ask(set, "web", NULL);
	struct policy_set *again = load(text, NULL, 0, NULL);
	struct policy *web_first = ask(again, "web", NULL);

	assert_int_equal(action(first, "10.0.0.1"), L4_ALLOW);
	assert_int_equal(action(web, "10.0.0.1"), L4_ALLOW);
	assert_true(policy_same(web, web_first));
	assert_false(policy_same(web, first));
	policy_unref(first);
	policy_unref(web);
	policy_unref(web_first);
	policy_set_free(set);
	policy_set_free(again);
}

/* ---- endpoints ---- */

static const struct label db_labels[] = { { "app", "db" }, { NAMESPACE, "a" } };
static const struct label db_labels_b[] = { { "app", "db" }, { NAMESPACE, "b" } };
static const struct label cache_labels[] = { { "app", "cache" }, { NAMESPACE, "a" } };
static const struct address addresses[] = {
	{ .family = AF_INET, .ip = { 10, 0, 0, 1 } },
	{ .family = AF_INET, .ip = { 10, 0, 0, 2 } },
	{ .family = AF_INET, .ip = { 10, 0, 0, 3 } },
};

static const struct policy_endpoint endpoints[] = {
	{ db_labels, 2, &addresses[0], 1 },
	{ db_labels_b, 2, &addresses[1], 1 },
	{ cache_labels, 2, &addresses[2], 1 },
};

static const char by_endpoint[] =
	CNP("db", APP("web") "egress: [{toEndpoints: [{matchLabels: {app: db}}]}]")
		CNP("world", APP("far") "egress: [{toEntities: [world]}]")
			CCNP("cluster", APP("near") "egress: [{toEntities: [cluster]}]")
				CNP("cidr", APP("cidr") "egress: [{toCIDR: [10.0.0.0/8]}]");

static void test_namespaces(void **state)
{
	struct policy_set *set = load(by_endpoint, endpoints, 3, NULL);
	struct policy *a = ask(set, "web", "a"), *b = ask(set, "web", "b");
	struct policy *none = ask(set, "web", NULL), *a_again = ask(set, "web", "a");
	struct policy *far_a = ask(set, "far", "a"), *far_b = ask(set, "far", "b");

	assert_ptr_equal(a, a_again);
	assert_ptr_not_equal(a, b);
	assert_int_equal(action(a, "10.0.0.1"), L4_ALLOW);
	assert_int_equal(action(a, "10.0.0.2"), L4_REFUSE);
	assert_int_equal(action(b, "10.0.0.1"), L4_REFUSE);
	assert_int_equal(action(b, "10.0.0.2"), L4_ALLOW);
	assert_int_equal(action(none, "10.0.0.1"), L4_ALLOW);
	assert_int_equal(action(none, "10.0.0.2"), L4_ALLOW);
	/* Where the namespace makes no difference they are one. */
	assert_ptr_equal(far_a, far_b);
	policy_unref(a);
	policy_unref(b);
	policy_unref(none);
	policy_unref(a_again);
	policy_unref(far_a);
	policy_unref(far_b);
	policy_set_free(set);
}

struct asked {
	struct policy *web, *far, *near, *cidr;
};

static struct asked ask_all(struct policy_set *set)
{
	return (struct asked){ ask(set, "web", "a"), ask(set, "far", "a"), ask(set, "near", "a"),
			       ask(set, "cidr", "a") };
}

static void forget_all(struct asked *a)
{
	policy_unref(a->web);
	policy_unref(a->far);
	policy_unref(a->near);
	policy_unref(a->cidr);
}

static void test_endpoints_change(void **state)
{
	static const struct policy_endpoint reversed[] = {
		{ cache_labels, 2, &addresses[2], 1 },
		{ db_labels_b, 2, &addresses[1], 1 },
		{ db_labels, 2, &addresses[0], 1 },
	};
	struct policy_set *set = load(by_endpoint, endpoints, 1, NULL);
	struct asked one = ask_all(set), two, three_, gone;

	assert_int_equal(action(one.far, "10.0.0.3"), L4_ALLOW);
	/* One that only the world's and the cluster's rules are concerned by. */
	assert_int_equal(policy_set_endpoints(set, endpoints, 3), 0);
	two = ask_all(set);
	assert_ptr_equal(one.web, two.web);
	assert_ptr_equal(one.cidr, two.cidr);
	assert_ptr_not_equal(one.far, two.far);
	assert_ptr_not_equal(one.near, two.near);
	assert_int_equal(action(one.far, "10.0.0.3"), L4_ALLOW); /* as it was made */
	assert_int_equal(action(two.far, "10.0.0.3"), L4_REFUSE);
	assert_int_equal(action(one.near, "10.0.0.3"), L4_REFUSE);
	assert_int_equal(action(two.near, "10.0.0.3"), L4_ALLOW);
	/* The same ones in another order are no change. */
	assert_int_equal(policy_set_endpoints(set, reversed, 3), 0);
	three_ = ask_all(set);
	assert_memory_equal(&two, &three_, sizeof(two));
	/* All gone. */
	assert_int_equal(policy_set_endpoints(set, NULL, 0), 0);
	gone = ask_all(set);
	assert_int_equal(action(gone.web, "10.0.0.1"), L4_REFUSE);
	assert_int_equal(action(gone.far, "10.0.0.1"), L4_ALLOW);
	assert_int_equal(action(gone.near, "10.0.0.1"), L4_REFUSE);
	assert_ptr_equal(gone.cidr, one.cidr);
	forget_all(&one);
	forget_all(&two);
	forget_all(&three_);
	policy_set_trim(set);
	assert_int_equal(count_policies(set), 4);
	/* Back again: what was forgotten is made as it was. */
	assert_int_equal(policy_set_endpoints(set, endpoints, 1), 0);
	one = ask_all(set);
	assert_int_equal(action(one.web, "10.0.0.1"), L4_ALLOW);
	assert_false(policy_same(one.web, gone.web));
	forget_all(&one);
	forget_all(&gone);
	policy_set_free(set);
}

/* ---- the same or not ---- */

#define BASE                                                                                \
	"egress: [{toCIDR: [10.0.0.0/8], toPorts: [{ports: [{port: '80', protocol: TCP}], " \
	"rules: {http: [{path: /a, headerMatches: [{name: X, value: y, mismatch: LOG}]}, "  \
	"{method: 'G[ET]+', headers: ['Y: z']}]}}]}]"

static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
#include "same.inc"
};

/* One word of BASE replaced. */
static const char *const words[][2] = {
	{ "/a", "/b" },
	{ "name: X", "name: Z" },
	{ "value: y", "value: x" },
	{ "LOG", "ADD" },
	{ "G[ET]+", "G[ET]*" },
	{ "Y: z", "Y: a" },
	{ "'Y: z'", "Y" },
	{ "path: /a, ", "" },
	{ ", mismatch: LOG", "" },
	{ "path: /a", "host: /a" },
	{ "'80'", "'81'" },
	{ "headers: ['Y: z']", "host: h" },
};

static struct policy *policy_of(const char *text)
{
	struct policy_set *set = load(text, NULL, 0, NULL);
	struct policy *p = ask(set, "w", NULL);

	policy_set_free(set);
	return p;
}

static void expect_same(const char *a, const char *b, bool same)
{
	struct policy *x = policy_of(a), *y = policy_of(b);

	if (policy_same(x, y) != same || policy_same(y, x) != same)
		fail_msg("%s%s", a, b);
	assert_true(policy_same(x, x));
	policy_unref(x);
	policy_unref(y);
}

static void test_same(void **state)
{
	static const char base[] = CNP("p", APP("w") BASE);

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect_same(pairs[i].a, pairs[i].b, pairs[i].same);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *at = strstr(base, words[i][0]);
		char text[1024];

		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - base), base, words[i][1],
			 at + strlen(words[i][0]));
		expect_same(base, text, false);
	}
}

/* ---- one set after another ---- */

static const char patterns[] =
	CNP("p", APP("web") "egress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: "
			    "{http: [{path: '/a/[0-9]+'}, {path: '/b/[0-9]+'}]}}]}]")
		CNP("q", "endpointSelector: {}, egress: [{toPorts: [{ports: [{port: '80', "
			 "protocol: TCP}], rules: {http: [{path: '/c/[0-9]+'}]}}]}]");

static struct policy_set_stats stats_of(const struct policy_set *set)
{
	struct policy_set_stats stats;

	policy_set_stats(set, &stats);
	return stats;
}

static bool allows(const struct policy *p, const char *path)
{
	const struct case_request request = { .method = "GET", .path = path };

	return case_judge(p, case_rules(p, 80), &request).action == VERDICT_ALLOW;
}

static void test_reload(void **state)
{
	struct policy_set *first = load(patterns, NULL, 0, NULL), *second, *third;
	struct policy *web = ask(first, "web", NULL), *other = ask(first, "x", NULL);
	struct policy *web2, *other2, *p;

	/* Each alone, and those of one ruleset together. */
	assert_int_equal(stats_of(first).compiled, 4);
	policy_set_trim(first);
	second = load(patterns, NULL, 0, first);
	assert_int_equal(policy_set_digest(first), policy_set_digest(second));
	policy_set_free(first);
	web2 = ask(second, "web", NULL);
	other2 = ask(second, "x", NULL);
	assert_int_equal(stats_of(second).compiled, 0);
	assert_int_equal(stats_of(second).reused, 2);
	assert_true(policy_same(web, web2));
	assert_true(policy_same(other, other2));
	assert_ptr_not_equal(web, web2);
	policy_unref(web);
	policy_unref(other);
	assert_true(allows(web2, "/a/1"));
	assert_true(allows(web2, "/c/1"));
	assert_false(allows(other2, "/a/1"));
	/* Only what was not used any more is forgotten, and then made again. */
	policy_set_trim(second);
	third = load(CNP("q", APP("y") "egress: []"), NULL, 0, second);
	assert_int_not_equal(policy_set_digest(second), policy_set_digest(third));
	policy_set_trim(third);
	policy_set_free(second);
	first = load(patterns, NULL, 0, third);
	assert_int_equal(stats_of(first).compiled, 3);
	p = ask(first, "web", NULL);
	assert_int_equal(stats_of(first).compiled, 4);
	assert_true(allows(p, "/b/1"));
	policy_unref(p);
	policy_unref(web2);
	policy_unref(other2);
	policy_set_free(first);
	policy_set_free(third);
}

/* What was dropped is compiled again, time after time, and takes no more room. */
static void test_churn(void **state)
{
	struct policy_set *set = load(patterns, NULL, 0, NULL);
	size_t compiled = 0;

	for (int i = 0; i < 100; i++) {
		struct policy *p = ask(set, "web", NULL);

		assert_true(allows(p, "/a/1"));
		policy_unref(p);
		assert_true(stats_of(set).compiled > compiled);
		compiled = stats_of(set).compiled;
		policy_set_trim(set);
		assert_int_equal(count_policies(set), 0);
	}
	policy_set_free(set);
}

static void test_errors(void **state)
{
	const struct policy_text one = { "t.yaml", "kind: x", 7 };
	const struct policy_options options = { .texts = &one, .n_texts = 1 };
	const char *const paths[] = { "/nonexistent/policy" };
	const struct policy_options missing = { .paths = paths, .n_paths = 1 };
	struct diag diag = { .items = NULL };
	struct policy_set *set = NULL;

	assert_true(policy_set_load(&options, &set, &diag) < 0);
	assert_null(set);
	assert_true(diag.n > 0);
	assert_int_equal(policy_set_load(&missing, &set, &diag), -ENOENT);
	assert_null(set);
	diag_done(&diag);
	policy_set_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sharing),		 cmocka_unit_test(test_unselected),
		cmocka_unit_test(test_independence),	 cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_endpoints_change), cmocka_unit_test(test_same),
		cmocka_unit_test(test_reload),		 cmocka_unit_test(test_churn),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
