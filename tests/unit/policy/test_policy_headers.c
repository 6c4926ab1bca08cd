// SPDX-License-Identifier: Apache-2.0
/* headerMatches, and the secrets that they name. */
#include "cases.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define RULES(kind, rules)                                                              \
	CASE_HEAD "  egress:\n  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n" \
		  "      rules:\n        " kind ":\n" rules

static char describe_kind(enum header_action_kind kind)
{
	static const char letters[] = { [HEADER_LOG] = 'l',
					[HEADER_ADD] = '+',
					[HEADER_REPLACE] = '=',
					[HEADER_DELETE] = '-' };

	return letters[kind];
}

/* "l X: v, + Y: w": what is to be done, or "denied". */
static void describe(const struct verdict *v, char *text, size_t size)
{
	size_t len = 0;

	snprintf(text, size, v->action == VERDICT_ALLOW ? "" : "denied");
	for (unsigned i = 0; i < v->n_actions; i++) {
		const struct header_action *a = v->actions[i];

		len += (size_t)snprintf(text + len, size - len, "%s%c %.*s: %.*s%s", i ? ", " : "",
					describe_kind(a->kind), (int)a->name.len, a->name.ptr,
					(int)a->value.len, a->value.ptr,
					a->secret ? " (secret)" : "");
	}
}

#define HEADERS(...)              \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static const char actions[] = RULES(
	"http",
	"        - {path: /must, headerMatches: [{name: X-A, value: one}, {name: X-B}]}\n"
	"        - {path: /log, headerMatches: [{name: X-A, value: one, mismatch: LOG}]}\n"
	"        - {path: /there, headerMatches: [{name: X-B, mismatch: LOG}]}\n"
	"        - {path: /add, headerMatches: [{name: X-A, value: one, mismatch: ADD}]}\n"
	"        - {path: /set, headerMatches: [{name: X-A, value: one, mismatch: REPLACE}]}\n"
	"        - {path: /del, headerMatches: [{name: X-A, value: one, mismatch: DELETE}]}\n"
	"        - {path: /both}\n"
	"        - {path: '/bo.*', headerMatches: [{name: X-A, value: one, mismatch: REPLACE}]}\n"
	"        - {path: '/b[o]th', method: GET, headerMatches: [{name: X-C, value: c, mismatch: "
	"ADD}, {name: x-a, value: one, mismatch: REPLACE}]}\n"
	"        - {path: /both, method: PUT, headerMatches: [{name: X-D, value: d, mismatch: "
	"ADD}]}\n"
	"        - {path: /mix, headers: ['X-B'], headerMatches: [{name: X-A, value: one, "
	"mismatch: "
	"ADD}]}\n"
	"        - {path: /mix, headerMatches: [{name: X-A, value: two}]}\n"
	"        - {path: /empty, headerMatches: []}\n"
	"        - {path: /ws, headers: ['Upgrade: websocket']}\n");

static const struct {
	struct case_request request;
	const char *want;
} action_cases[] = {
	{ { "GET", "/must" }, "denied" },
	{ { "GET", "/must", NULL, HEADERS("x-a", "one") }, "denied" },
	{ { "GET", "/must", NULL, HEADERS("x-a", "two", "x-b", "") }, "denied" },
	{ { "GET", "/must", NULL, HEADERS("x-a", "one", "x-b", "") }, "" },
	{ { "GET", "/must", NULL, HEADERS("x-a", "one", "x-b", "", "X-A", "two") }, "denied" },
	{ { "GET", "/log" }, "l X-A: one" },
	{ { "GET", "/log", NULL, HEADERS("x-a", "two") }, "l X-A: one" },
	{ { "GET", "/log", NULL, HEADERS("x-a", "one") }, "" },
	{ { "GET", "/there" }, "l X-B: " },
	{ { "GET", "/there", NULL, HEADERS("X-B", "any") }, "" },
	{ { "GET", "/add" }, "+ X-A: one" },
	{ { "GET", "/add", NULL, HEADERS("X-A", "one", "X-A", "two") }, "+ X-A: one" },
	{ { "GET", "/add", NULL, HEADERS("X-A", "one") }, "" },
	{ { "GET", "/set" }, "= X-A: one" },
	{ { "GET", "/set", NULL, HEADERS("X-A", "ONE") }, "= X-A: one" },
	{ { "GET", "/set", NULL, HEADERS("X-A", "one", "X-A", "one") }, "" },
	{ { "GET", "/del" }, "" },
	{ { "GET", "/del", NULL, HEADERS("X-A", "one") }, "" },
	{ { "GET", "/del", NULL, HEADERS("X-A", "") }, "- X-A: one" },
	/* every rule that allows the request has its say, in the order of the text, once */
	{ { "GET", "/both" }, "= X-A: one, + X-C: c" },
	{ { "HEAD", "/both" }, "= X-A: one" },
	{ { "PUT", "/both", NULL, HEADERS("X-A", "one") }, "+ X-D: d" },
	/* the other readings, too */
	{ { "GET", "/set", NULL, NULL, (const char *const[]){ "/del", "/add", "/set", NULL } },
	  "+ X-A: one, = X-A: one" },
	{ { "GET", "/set", NULL, NULL, (const char *const[]){ "/must", NULL } }, "denied" },
	/* what must hold and what is mended stand side by side */
	{ { "GET", "/mix" }, "denied" },
	{ { "GET", "/mix", NULL, HEADERS("X-B", "") }, "+ X-A: one" },
	{ { "GET", "/mix", NULL, HEADERS("X-B", "", "X-A", "two") }, "+ X-A: one" },
	{ { "GET", "/mix", NULL, HEADERS("X-A", "two") }, "" },
	{ { "GET", "/empty" }, "" },
	/* what Connection names does not get to the server: no rule is met by it */
	{ { "GET", "/must", NULL, HEADERS("x-a", "one", "x-b", "", "Connection", "close, X-A") },
	  "denied" },
	{ { "GET", "/must", NULL, HEADERS("connection", "x-b\t,", "x-a", "one", "x-b", "") },
	  "denied" },
	{ { "GET", "/must", NULL, HEADERS("x-a", "one", "x-b", "", "connection", "x-ab,x-,a") },
	  "" },
	{ { "GET", "/log", NULL, HEADERS("x-a", "one", "connection", "x-a") }, "l X-A: one" },
	{ { "GET", "/add", NULL, HEADERS("connection", "X-a") }, "denied" },
	{ { "GET", "/add", NULL, HEADERS("x-a", "one", "connection", ",x-a") }, "denied" },
	{ { "GET", "/set", NULL, HEADERS("connection", "close", "CONNECTION", "a, x-a ,b") },
	  "denied" },
	{ { "GET", "/set", NULL, HEADERS("x-a", "one", "connection", "x-a") }, "denied" },
	{ { "GET", "/set", NULL, HEADERS("connection", "close, x-b, x-c") }, "= X-A: one" },
	{ { "GET", "/set", NULL, HEADERS("connection", "") }, "= X-A: one" },
	{ { "GET", "/del", NULL, HEADERS("x-a", "one", "connection", "x-a") }, "- X-A: one" },
	{ { "GET", "/del", NULL, HEADERS("connection", "x-a") }, "" },
	{ { "GET", "/both", NULL, HEADERS("connection", "x-c") }, "denied" },
	{ { "GET", "/empty", NULL, HEADERS("connection", "x-a") }, "" },
	{ { "GET", "/ws", NULL, HEADERS("connection", "Upgrade", "upgrade", "websocket") }, "" },
	{ { "GET", "/ws", NULL, HEADERS("connection", "upgrade") }, "denied" },
};

static void test_actions(void **state)
{
	struct policy_options o = { 0 };
	struct policy *p = case_must_load(actions, &o);
	const struct ruleset *rs = case_rules(p, 80);

	for (size_t i = 0; i < ARRAY_SIZE(action_cases); i++) {
		struct verdict v = case_judge(p, rs, &action_cases[i].request);
		char text[256];

		describe(&v, text, sizeof(text));
		if (strcmp(text, action_cases[i].want) != 0)
			fail_msg("%zu: %s %s: %s", i, action_cases[i].request.method,
				 action_cases[i].request.path, text);
		if (v.action == VERDICT_DENY && i < 5)
			assert_int_equal(v.failed, FIELD_HEADERS);
	}
	policy_unref(p);
}

/* LOG changes nothing, so it may look at any header, also at one that says how a message is
 * carried. */
static void test_log_alone(void **state)
{
	struct policy_options o = { 0 };
	struct policy *p = case_must_load(
		RULES("http", "        - headerMatches: [{name: Host, value: a, mismatch: LOG}]\n"),
		&o);

	policy_unref(p);
}

/* More than a verdict can carry is not forwarded half done. */
static void test_too_many(void **state)
{
	struct policy_options o = { 0 };
	struct case_request request = { .method = "GET", .path = "/" };

	for (size_t n = VERDICT_ACTIONS_MAX; n <= VERDICT_ACTIONS_MAX + 1; n++)
		for (int one_rule = 0; one_rule < 2; one_rule++) {
			char *text = calloc(1, 1 << 16);
			size_t len;
			struct policy *p;
			struct verdict v;

			assert_non_null(text);
			len = (size_t)sprintf(text, "%s", RULES("http", ""));
			if (one_rule)
				len += (size_t)sprintf(text + len, "        - headerMatches:\n");
			for (size_t i = 0; i < n; i++)
				len += (size_t)sprintf(
					text + len,
					"        %s- {name: X%zu, value: v, mismatch: ADD}%s\n",
					one_rule ? "  " : "- headerMatches: [", i,
					one_rule ? "" : "]");
			/* the flow form has no dash of its own */
			for (char *c = text; !one_rule && (c = strstr(c, "[- {")); c++)
				c[1] = ' ';
			p = case_must_load(text, &o);
			v = case_judge(p, case_rules(p, 80), &request);
			assert_int_equal(v.action == VERDICT_ALLOW, n == VERDICT_ACTIONS_MAX);
			assert_int_equal(v.n_actions, v.action == VERDICT_ALLOW ? n : 0);
			assert_non_null(v.rule);
			assert_int_equal(v.failed,
					 v.action == VERDICT_ALLOW ? FIELD_NONE : FIELD_HEADERS);
			policy_unref(p);
			free(text);
		}
}

/* A directory of secrets, made and removed by each test. */
struct place {
	char dir[64];
};

static void make_path(const struct place *s, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", s->dir, name);
}

static void put(const struct place *s, const char *name, const char *value, size_t len)
{
	char path[256];
	FILE *f;

	make_path(s, name, path, sizeof(path));
	if (!value) {
		assert_int_equal(mkdir(path, 0700), 0);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(value, 1, len, f), len);
	fclose(f);
}

static const struct {
	const char *name, *value;
} secret_files[] = {
	{ "plain", "s3cret" },	   { "line", "s3cret\n" },   { "team", NULL },
	{ "team/token", "teams" }, { "mount", NULL },	     { "mount/data", "mounted\n" },
	{ "mount/..data", "x" },   { "two", NULL },	     { "two/a", "a" },
	{ "two/b", "b" },	   { "none", "" },	     { "lines", "a\nb" },
	{ "blank", " a" },	   { "crlf", "s3cret\r\n" }, { "nul", "a\0b" },
};

/* One of them has a NUL. */
static size_t secret_len(const char *name, const char *value)
{
	if (!value)
		return 0;
	return strcmp(name, "nul") == 0 ? 3 : strlen(value);
}

static int make_secrets(void **state)
{
	static struct place s;

	strcpy(s.dir, "/tmp/sluice-test-XXXXXX");
	assert_non_null(mkdtemp(s.dir));
	for (size_t i = 0; i < ARRAY_SIZE(secret_files); i++)
		put(&s, secret_files[i].name, secret_files[i].value,
		    secret_len(secret_files[i].name, secret_files[i].value));
	*state = &s;
	return 0;
}

static int remove_secrets(void **state)
{
	const struct place *s = *state;
	char path[256];

	for (size_t i = ARRAY_SIZE(secret_files); i-- > 0;) {
		make_path(s, secret_files[i].name, path, sizeof(path));
		assert_int_equal(remove(path), 0);
	}
	return rmdir(s->dir);
}

static const struct {
	const char *match;
	const char *value; /* of the request's X, or NULL */
	const char *want;  /* as describe() writes it, or NULL: it does not load */
	const char *said;
} secret_cases[] = {
	{ "{name: X, secret: {name: plain}}", "s3cret", "", "" },
	{ "{name: X, secret: {name: plain}}", "s3creT", "denied", "" },
	{ "{name: X, secret: {name: plain}}", "s3cre", "denied", "" },
	{ "{name: X, secret: {name: plain}}", "s3crets", "denied", "" },
	{ "{name: X, secret: {name: plain}}", "", "denied", "" },
	{ "{name: X, secret: {name: plain}}", NULL, "denied", "" },
	{ "{name: X, secret: {name: line}}", "s3cret", "", "" },
	{ "{name: X, secret: {name: token, namespace: team}}", "teams", "", "" },
	{ "{name: X, secret: {name: mount}}", "mounted", "", "" },
	{ "{name: X, secret: {name: plain}, value: other}", "other", "denied", "" },
	{ "{name: X, secret: {name: plain}, mismatch: LOG}", "x", "l X: s3cret (secret)", "" },
	{ "{name: X, secret: {name: plain}, mismatch: REPLACE}", "x", "= X: s3cret (secret)", "" },
	{ "{name: X, secret: {name: plain}, mismatch: REPLACE}", "s3cret", "", "" },
	{ "{name: X, secret: {name: line}, mismatch: ADD}", "x", "+ X: s3cret (secret)", "" },
	{ "{name: X, secret: {name: crlf}, mismatch: ADD}", "x", "+ X: s3cret (secret)", "" },
	/* missing: never matches, whatever is to be done without it */
	{ "{name: X, secret: {name: gone}}", "", "denied",
	  "t.yaml:11:45: warning: the secret \"gone\" is missing: there is no such file; this rule "
	  "matches nothing\n" },
	{ "{name: X, secret: {name: gone}, mismatch: LOG}", "", "denied",
	  "t.yaml:11:45: warning: the secret \"gone\" is missing: there is no such file; this rule "
	  "matches nothing\n" },
	{ "{name: X, secret: {name: token, namespace: plain}}", "", "denied",
	  "t.yaml:11:45: warning: the secret \"token\" is missing: there is no such file; this "
	  "rule "
	  "matches nothing\n" },
	{ "{name: X, secret: {name: token}}", "teams", "denied",
	  "t.yaml:11:45: warning: the secret \"token\" is missing: there is no such file; this "
	  "rule "
	  "matches nothing\n" },
	{ "{name: X, secret: {name: gone}, value: other}", "other", "",
	  "t.yaml:11:45: warning: the secret \"gone\" is missing: there is no such file; \"value\" "
	  "is "
	  "used instead\n" },
	/* there, but not to be used */
	{ "{name: X, secret: {name: two}}", "a", NULL,
	  "t.yaml:11:45: the secret \"two\" cannot be used: its directory must have exactly one "
	  "file\n" },
	{ "{name: X, secret: {name: none}}", "", NULL,
	  "t.yaml:11:45: the secret \"none\" cannot be used: it is empty\n" },
	{ "{name: X, secret: {name: lines}}", "a", NULL,
	  "t.yaml:11:45: the secret \"lines\" has a control character, which no header can "
	  "have\n" },
	{ "{name: X, secret: {name: nul}}", "a", NULL,
	  "t.yaml:11:45: the secret \"nul\" has a control character, which no header can have\n" },
	{ "{name: X, secret: {name: blank}}", " a", NULL,
	  "t.yaml:11:45: the secret \"blank\" has blanks around it, with which it never "
	  "matches\n" },
};

static void test_secrets(void **state)
{
	const struct place *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(secret_cases); i++) {
		struct policy_options o = { .secrets = s->dir };
		const char *headers[] = { "X", secret_cases[i].value, NULL };
		struct case_request request = { .method = "GET", .path = "/" };
		char text[1024], said[1024] = "", did[256];
		struct policy *p = NULL;
		struct verdict v;
		int r;

		snprintf(text, sizeof(text), RULES("http", "        - headerMatches: [%s]\n"),
			 secret_cases[i].match);
		r = case_load_options(text, &o, &p, said, sizeof(said));
		assert_string_equal(said, secret_cases[i].said);
		assert_int_equal(r, secret_cases[i].want ? 0 : -EINVAL);
		if (r < 0)
			continue;
		request.headers = secret_cases[i].value ? headers : NULL;
		v = case_judge(p, case_rules(p, 80), &request);
		describe(&v, did, sizeof(did));
		assert_string_equal(did, secret_cases[i].want);
		if (v.action == VERDICT_DENY)
			assert_int_equal(v.failed, FIELD_HEADERS);
		policy_unref(p);
	}
}

/* A secret is part of what a policy is made of, and so is its absence. */
static void test_changed_secrets(void **state)
{
	static const char *const names[] = { "plain", "line", "gone", "plain" };
	static const char text[] =
		RULES("http", "        - headerMatches: [{name: X, secret: {name: moved}}]\n");
	const struct place *s = *state;
	struct policy_options o = { .secrets = s->dir };
	struct policy *loaded[ARRAY_SIZE(names)] = { NULL };
	char from[256], to[256], said[1024];

	make_path(s, "moved", to, sizeof(to));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		make_path(s, names[i], from, sizeof(from));
		assert_int_equal(symlink(from, to), 0);
		assert_int_equal(case_load_options(text, &o, &loaded[i], said, sizeof(said)), 0);
		assert_int_equal(unlink(to), 0);
	}
	/* A newline at the end does not count. */
	assert_true(policy_same_text(loaded[0], loaded[1]));
	assert_false(policy_same_text(loaded[1], loaded[2]));
	assert_true(policy_same_text(loaded[0], loaded[3]));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		policy_unref(loaded[i]);
}

/* Several secrets for one header, some the same, and the policy's own namespace. */
static void test_many_secrets(void **state)
{
	static const char text[] =
		"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
		"metadata: {name: a, namespace: team}\nspec:\n  endpointSelector: {}\n  egress:\n"
		"  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n      rules:\n        "
		"http:\n"
		"        - {path: /a, headerMatches: [{name: X, secret: {name: token}}]}\n"
		"        - {path: /b, headerMatches: [{name: x, secret: {name: token, namespace: "
		"team}}]}\n"
		"        - {path: /c, headerMatches: [{name: X, secret: {name: data, namespace: "
		"mount}}]}\n"
		"        - {path: /c, headers: ['X: teams2']}\n";
	const struct place *s = *state;
	struct policy_options o = { .secrets = s->dir };
	struct policy *p = case_must_load(text, &o);
	const struct ruleset *rs = case_rules(p, 80);
	static const struct {
		const char *path, *value;
		bool want;
	} asks[] = {
		{ "/a", "teams", true },   { "/b", "teams", true },  { "/c", "teams", false },
		{ "/c", "mounted", true }, { "/c", "teams2", true }, { "/a", "mounted", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		const char *headers[] = { "X", asks[i].value, NULL };
		struct case_request request = { "GET", asks[i].path, NULL, headers };

		assert_int_equal(case_judge(p, rs, &request).action, asks[i].want);
	}
	policy_unref(p);
}

/* The policy's own namespace is any text, and a part of the path. */
static void test_namespace_is_no_path(void **state)
{
	static const char text[] = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
				   "metadata: {name: a, namespace: team/..}\nspec:\n"
				   "  endpointSelector: {}\n  egress:\n"
				   "  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n"
				   "      rules: {http: [{headerMatches: [{name: X, secret: "
				   "{name: plain}}]}]}\n";
	const struct place *s = *state;
	struct policy_options o = { .secrets = s->dir };
	struct policy *p = NULL;
	char said[1024] = "";

	assert_int_equal(case_load_options(text, &o, &p, said, sizeof(said)), -EINVAL);
	assert_string_equal(said, "t.yaml:9:57: the policy's namespace \"team/..\" cannot be a "
				  "secret's; it has lower-case letters, digits, - and . only\n");
}

/* Without a directory a policy can still be checked. */
static void test_no_directory(void **state)
{
	struct policy_options o = { .secrets = NULL };
	struct policy *p = NULL;
	char said[1024] = "";

	assert_int_equal(
		case_load_options(
			RULES("http", "        - headerMatches: [{name: X, secret: {name: a}}]\n"),
			&o, &p, said, sizeof(said)),
		0);
	assert_string_equal(said,
			    "t.yaml:11:45: warning: the secret \"a\" is missing: no directory "
			    "of secrets is given; this rule matches nothing\n");
	policy_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_log_alone),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test_setup_teardown(test_secrets, make_secrets, remove_secrets),
		cmocka_unit_test_setup_teardown(test_changed_secrets, make_secrets, remove_secrets),
		cmocka_unit_test_setup_teardown(test_many_secrets, make_secrets, remove_secrets),
		cmocka_unit_test_setup_teardown(test_namespace_is_no_path, make_secrets,
						remove_secrets),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
