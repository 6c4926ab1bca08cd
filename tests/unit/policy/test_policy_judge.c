// SPDX-License-Identifier: Apache-2.0
/* Which requests a ruleset allows, by which rule, and what is said of those it denies. */
#include "cases.h"

#include <netinet/in.h>

#define RULES(rules)                                                                    \
	CASE_HEAD "  egress:\n  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n" \
		  "      rules:\n        http:\n" rules

#define HEADERS(...)              \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define READINGS(...)             \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static const char rules[] =
	RULES("        - {method: GET, path: /public}\n"			    /* 0 */
	      "        - {method: GET|HEAD, path: /files/.*}\n"			    /* 1 */
	      "        - {method: POST, path: '/users/[0-9]+'}\n"		    /* 2 */
	      "        - {path: /only-a, host: 'a\\.example\\.com(:80)?'}\n"	    /* 3 */
	      "        - {host: 'b\\.example\\.com'}\n"				    /* 4 */
	      "        - {path: /h, headers: ['X-Token: secret one', 'X-There']}\n" /* 5 */
	      "        - {path: /h, headers: ['X-Token two']}\n"		    /* 6 */
	      "        - {method: 'P.*T', path: /regex-method}\n"		    /* 7 */
	      "        - {path: /files/, method: DELETE}\n"			    /* 8 */
	      "        - {path: '/q\\?.*', method: GET}\n");			    /* 9 */

static const struct {
	struct case_request request;
	int rule; /* index of the rule that allows, or -1 */
	int nearest;
	enum request_field failed;
} cases[] = {
	{ { "GET", "/public" }, 0 },
	{ { "GET", "/public?x=1" }, -1, 0, FIELD_PATH },
	{ { "GET", "/public/" }, -1, 0, FIELD_PATH },
	{ { "POST", "/public" }, -1, 0, FIELD_METHOD },
	{ { "get", "/public" }, -1, 0, FIELD_METHOD },
	{ { "GET", "/Public" }, -1, 0, FIELD_PATH },
	{ { "HEAD", "/files/" }, 1 },
	{ { "GET", "/files/a/b?c" }, 1 },
	{ { "DELETE", "/files/" }, 8 },
	{ { "DELETE", "/files/x" }, -1, 1, FIELD_METHOD },
	{ { "POST", "/users/12" }, 2 },
	{ { "POST", "/users/" }, -1, 2, FIELD_PATH },
	{ { "POST", "/users/12/" }, -1, 2, FIELD_PATH },
	{ { "X", "/only-a", "a.example.com" }, 3 },
	{ { "X", "/only-a", "a.example.com:80" }, 3 },
	{ { "X", "/only-a", "a.example.com:8080" }, -1, 3, FIELD_HOST },
	{ { "X", "/only-a", "aXexample.com" }, -1, 3, FIELD_HOST },
	{ { "ANY", "/thing", "b.example.com" }, 4 },
	{ { "ANY", "*", "b.example.com" }, 4 },
	{ { "CONNECT", "", "b.example.com" }, 4 },
	{ { "CONNECT", "", "b.example.com:80" }, -1, 4, FIELD_HOST },
	{ { "GET", "/h", NULL, HEADERS("x-token", "secret one", "X-THERE", "") }, 5 },
	{ { "GET", "/h", NULL, HEADERS("x-token", "secret one") }, -1, 5, FIELD_HEADERS },
	{ { "GET", "/h", NULL, HEADERS("x-there", "") }, -1, 5, FIELD_HEADERS },
	{ { "GET", "/h", NULL, HEADERS("X-Token", "two") }, 6 },
	{ { "GET", "/h", NULL, HEADERS("X-Token", "TWO") }, -1, 5, FIELD_HEADERS },
	{ { "GET", "/h", NULL, HEADERS("X-Token", "two", "x-token", "two") }, 6 },
	{ { "GET", "/h", NULL, HEADERS("X-Token", "two", "x-token", "three") },
	  -1,
	  5,
	  FIELD_HEADERS },
	{ { "GET", "/h", NULL, HEADERS("X-Token", "three", "x-token", "two") },
	  -1,
	  5,
	  FIELD_HEADERS },
	{ { "GET", "/h", NULL, HEADERS("X-Token", "secret one", "X-There", "a", "x-there", "b") },
	  5 },
	{ { "GET", "/h", NULL, HEADERS("X-Tokens", "two") }, -1, 5, FIELD_HEADERS },
	{ { "PUT", "/regex-method" }, 7 },
	{ { "POST", "/regex-method" }, 7 },
	{ { "PUTS", "/regex-method" }, -1, 7, FIELD_METHOD },
	{ { "GET", "/q?a=b" }, 9 },
	{ { "GET", "/q" }, -1, 9, FIELD_PATH },
	/* every reading has to be allowed, each by whichever rule */
	{ { "GET", "/files/..%2fpublic", NULL, NULL, READINGS("/public") }, 1 },
	{ { "GET", "/files/..%2fadmin", NULL, NULL, READINGS("/admin") }, -1, 0, FIELD_PATH },
	{ { "GET", "/files/x", NULL, NULL, READINGS("/files/y", "/files/z", "/public?") },
	  -1,
	  0,
	  FIELD_PATH },
	{ { "GET", "/admin", NULL, NULL, READINGS("/public") }, -1, 0, FIELD_PATH },
	{ { "HEAD", "/files/..%2fpublic", NULL, NULL, READINGS("/public") }, -1, 0, FIELD_METHOD },
	{ { "", "", "" }, -1, 4, FIELD_HOST },
};

static void test_cases(void **state)
{
	struct policy *p = case_policy(rules);
	const struct ruleset *rs;

	assert_int_equal(case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, &rs), L4_STEER);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct verdict v = case_judge(p, rs, &cases[i].request);
		int want = cases[i].rule < 0 ? cases[i].nearest : cases[i].rule;

		if (v.action != (cases[i].rule < 0 ? VERDICT_DENY : VERDICT_ALLOW))
			fail_msg("%s %s: %d", cases[i].request.method, cases[i].request.path,
				 v.action);
		assert_non_null(v.rule);
		if ((int)v.rule->index != want || v.failed != cases[i].failed)
			fail_msg("%s %s: rule %u, field %d", cases[i].request.method,
				 cases[i].request.path, v.rule->index, v.failed);
	}
	policy_unref(p);
}

static void test_ref(void **state)
{
	static const char text[] =
		"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
		"metadata: {name: api, namespace: prod}\nspecs:\n- endpointSelector: {}\n"
		"  egress: []\n- endpointSelector: {}\n  egress:\n  - {toCIDR: []}\n  - toPorts:\n"
		"    - ports: []\n    - ports: [{port: 80, protocol: TCP}]\n      rules:\n"
		"        http:\n        - path: /b\n        - path: /a\n";
	struct policy *p = case_policy(text);
	const struct ruleset *rs;
	struct verdict v;

	case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, &rs);
	v = case_judge(p, rs, &(struct case_request){ .method = "GET", .path = "/a" });
	assert_int_equal(v.action, VERDICT_ALLOW);
	assert_string_equal(v.rule->policy, "api");
	assert_string_equal(v.rule->namespace_, "prod");
	assert_string_equal(v.rule->path, "specs[1].egress[1].toPorts[1].rules.http[1]");
	assert_string_equal(v.rule->file, "t.yaml");
	assert_int_equal(v.rule->index, 1);
	assert_int_equal(v.rule->line, 16);
	assert_int_equal(v.rule->column, 11);
	policy_unref(p);
}

/* Nothing to go by: denied, and no rule is made up. */
static void test_nothing(void **state)
{
	struct policy *p = case_policy(RULES("        []\n"));
	struct judge_scratch *s = judge_scratch_new(p);
	struct request req = { .method = SPAN_LITERAL("GET"), .path = SPAN_LITERAL("/") };
	const struct ruleset *rs;
	struct verdict v;

	case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, &rs);
	v = ruleset_judge(rs, &req, s); /* without readings */
	assert_int_equal(v.action, VERDICT_DENY);
	req.readings = &req.path;
	req.n_readings = 1;
	v = ruleset_judge(rs, &req, s);
	ruleset_explain(rs, &req, s, &v);
	assert_int_equal(v.action, VERDICT_DENY);
	assert_null(v.rule);
	v = ruleset_judge(NULL, &req, s);
	assert_int_equal(v.action, VERDICT_DENY);
	v = ruleset_judge(rs, &req, NULL);
	assert_int_equal(v.action, VERDICT_DENY);
	judge_scratch_free(s);
	policy_unref(p);
}

/* One path with more rules than are looked through one by one: every pair of method and header, or
 * of host and method, is found, and no other. */
static void test_many_on_one_path(void **state)
{
	char *text = calloc(1, 1 << 20), value[32], method[32];
	const char *headers[] = { "X", value, "Y", "1", NULL };
	struct case_request request = { .method = method, .path = "/p", .headers = headers };
	const struct ruleset *rs;
	struct policy *p;
	size_t len;

	assert_non_null(text);
	len = (size_t)sprintf(text, "%s", RULES(""));
	for (int m = 0; m < 20; m++)
		for (int x = m % 2; x < 20; x += 2)
			len += (size_t)sprintf(text + len,
					       "        - {method: M%d, path: /p, headers: "
					       "['Y', 'X: %d']}\n",
					       m, x);
	p = case_policy(text);
	case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, &rs);
	for (int m = 0; m < 21; m++)
		for (int x = 0; x < 21; x++) {
			bool want = m < 20 && x < 20 && x % 2 == m % 2;

			sprintf(method, "M%d", m);
			sprintf(value, "%d", x);
			headers[2] = "Y";
			assert_int_equal(case_judge(p, rs, &request).action, want);
			headers[2] = NULL;
			assert_int_equal(case_judge(p, rs, &request).action, false);
		}
	policy_unref(p);
	free(text);
}

/* More patterns hold for one path than are looked through: each is found, and no other. */
static void test_many_patterns(void **state)
{
	static const char path[] = "/abcdefghijklmnopqrst";
	char text[4096], method[8], part[sizeof(path)];
	struct case_request request = { .method = method, .path = part };
	const struct ruleset *rs;
	struct policy *p;
	size_t n = sizeof(path) - 2, len = (size_t)sprintf(text, "%s", RULES(""));

	for (size_t i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "        - {method: M%zu, path: '%.*s.*'}\n", i,
				       (int)i + 2, path);
	p = case_policy(text);
	case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, &rs);
	for (size_t i = 0; i < n; i++)
		for (size_t letters = 0; letters <= n; letters++) {
			struct verdict v;

			sprintf(method, "M%zu", i);
			sprintf(part, "%.*s", (int)letters + 1, path);
			v = case_judge(p, rs, &request);
			assert_int_equal(v.action, i < letters ? VERDICT_ALLOW : VERDICT_DENY);
			if (i < letters)
				assert_int_equal(v.rule->index, i);
		}
	policy_unref(p);
}

/* What a scratch holds of one request says nothing of the next. */
static void test_scratch_again(void **state)
{
	static const struct span first = SPAN_LITERAL("/public/"),
				 second = SPAN_LITERAL("/users/x");
	struct policy *p = case_policy(rules);
	struct judge_scratch *s = judge_scratch_new(p);
	struct request req = {
		.method = SPAN_LITERAL("GET"), .path = first, .readings = &first, .n_readings = 1
	};
	const struct ruleset *rs;
	struct verdict v;

	case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, &rs);
	v = ruleset_judge(rs, &req, s);
	ruleset_explain(rs, &req, s, &v);
	assert_int_equal(v.rule->index, 0);
	assert_int_equal(v.failed, FIELD_PATH);
	req.method = SPAN_LITERAL("POST");
	req.path = second;
	req.n_readings = 0;
	v = ruleset_judge(rs, &req, s);
	assert_int_equal(v.action, VERDICT_DENY);
	ruleset_explain(rs, &req, s, &v);
	assert_int_equal(v.rule->index, 2);
	assert_int_equal(v.failed, FIELD_PATH);
	judge_scratch_free(s);
	policy_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	      cmocka_unit_test(test_ref),
		cmocka_unit_test(test_nothing),	      cmocka_unit_test(test_many_on_one_path),
		cmocka_unit_test(test_many_patterns), cmocka_unit_test(test_scratch_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
