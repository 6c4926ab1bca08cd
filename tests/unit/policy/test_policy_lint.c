// SPDX-License-Identifier: Apache-2.0
/* What is legal and warned of, and what looks like it and is not. */
#include "cases.h"

#include <stdio.h>

#define PORT	    "  egress:\n  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n"
#define HTTP(rules) CASE_HEAD PORT "      rules:\n        http:\n" rules

#define NEVER	 "can never match; "
#define SHADOWED "another rule allows all that this one allows; "

static const struct {
	const char *text, *warnings; /* each without "t.yaml:" and "warning: " */
} cases[] = {
#include "warnings.inc"
};

/* "t.yaml:1:2: warning: x" of every line, as the table has it: "1:2: x". */
static void shorten(const char *said, char *out)
{
	while (*said) {
		const char *end = strchr(said, '\n'), *mark = strstr(said, " warning: ");

		assert_non_null(end);
		if (strncmp(said, "t.yaml:", 7) != 0 || !mark || mark > end)
			fail_msg("%s", said);
		out += sprintf(out, "%.*s%.*s\n", (int)(mark - said - 7), said + 7,
			       (int)(end - mark - 9), mark + 9);
		said = end + 1;
	}
	*out = 0;
}

static int load(const char *text, bool lint, const struct label *labels, char **said)
{
	struct policy_text one = { .name = "t.yaml", .text = text, .len = strlen(text) };
	struct policy_options o = { .texts = &one,
				    .n_texts = 1,
				    .labels = labels,
				    .n_labels = labels ? 1 : 0,
				    .lint = lint };
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;
	size_t size;
	FILE *to = open_memstream(said, &size);
	int r = policy_load(&o, &p, &diag);

	assert_non_null(to);
	diag_print(&diag, to);
	fclose(to);
	diag_done(&diag);
	policy_unref(p);
	return r;
}

static void test_warnings(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *said = NULL, found[4096];
		int r = load(cases[i].text, true, NULL, &said);

		if (r)
			fail_msg("%s", said);
		shorten(said, found);
		if (strcmp(found, cases[i].warnings) != 0)
			fail_msg("%s---\n%s---\n%s", cases[i].text, found, cases[i].warnings);
		free(said);
	}
}

/* Nobody is warned who did not ask. */
static void test_quiet(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *said = NULL;

		assert_int_equal(load(cases[i].text, false, NULL, &said), 0);
		assert_string_equal(said, "");
		free(said);
	}
}

/* Documents about one workload are looked at together, others each by itself. */
static void test_selection(void **state)
{
	static const char text[] =
		"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\nspec:\n"
		"  endpointSelector: {matchLabels: {app: web}}\n"
		"  egress:\n  - toPorts: [{ports: [{port: 80, protocol: TCP}], rules: {http: "
		"[{path: "
		"/.*}]}}]\n---\n"
		"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: b}\nspec:\n"
		"  endpointSelector: {matchLabels: {app: web}}\n"
		"  egress:\n  - toPorts: [{ports: [{port: 80, protocol: TCP}], rules: {http: "
		"[{path: "
		"/a}, {path: /b}, {path: '/[b]'}]}}]\n";
	static const struct label web = { "app", "web" };
	char *said = NULL, found[4096];

	assert_int_equal(load(text, true, NULL, &said), 0);
	shorten(said, found);
	assert_string_equal(found, "15:91: another rule allows all that this one allows; see line "
				   "15\n");
	free(said);
	said = NULL;
	assert_int_equal(load(text, true, &web, &said), 0);
	shorten(said, found);
	assert_string_equal(found, "15:67: another rule allows all that this one allows; see line "
				   "7\n"
				   "15:79: another rule allows all that this one allows; see line "
				   "7\n"
				   "15:91: another rule allows all that this one allows; see line "
				   "7\n");
	free(said);
}

/* Warnings are counted like errors when there are too many, and change nothing. */
static void test_many(void **state)
{
	char *text = NULL, *said = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	fputs(HTTP(""), to);
	for (int i = 0; i < 150; i++)
		fprintf(to, "        - {path: ^/p%d}\n", i);
	fclose(to);
	assert_int_equal(load(text, true, NULL, &said), 0);
	assert_non_null(strstr(said, "t.yaml:110:18: warning: \"path\" begins with ^"));
	assert_null(strstr(said, "t.yaml:111:"));
	assert_non_null(strstr(said, "\nand 50 more warnings\n"));
	free(said);
	free(text);
}

/* A rule that is said to be superfluous can be left out, and nothing changes. */
static const char *const some_paths[] = { "/a",	       "/a/.*",	      "/a/b",  "/a/b.*",
					  "/a/[a-z]+", "/.*",	      "/a|/b", "/b|/a/b.*",
					  "/b",	       "/[ab]/[0-9]", "/a/(b)" };
static const char *const some_methods[] = { "GET", "GET|PUT", "P.T", ".*" };
static const char *const some_headers[] = { "X", "X, 'Y: 1'", "'X: 1'", "Y" };
static const char *const some_requests[] = { "/a", "/b",     "/a/b", "/a/bc", "/a/x",
					     "/",  "/a/b/c", "/a/1", "/b/1",  "/a/" };

#define PICK(list) list[(size_t)rand_r(seed) % ARRAY_SIZE(list)]

static void make_rule(char *text, size_t size, unsigned *seed)
{
	size_t n = (size_t)snprintf(text, size, "        - {description: ''");

	if (rand_r(seed) % 8)
		n += (size_t)snprintf(text + n, size - n, ", path: '%s'", PICK(some_paths));
	if (rand_r(seed) % 2)
		n += (size_t)snprintf(text + n, size - n, ", method: '%s'", PICK(some_methods));
	if (rand_r(seed) % 3 == 0)
		n += (size_t)snprintf(text + n, size - n, ", headers: [%s]", PICK(some_headers));
	snprintf(text + n, size - n, "}\n");
}

#define RULES_AT_ONCE 8

struct world {
	char rules[RULES_AT_ONCE][160];
};

static char *world_text(const struct world *w, unsigned without)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	fputs(HTTP(""), to);
	for (unsigned i = 0; i < RULES_AT_ONCE; i++)
		if (i != without)
			fputs(w->rules[i], to);
	fclose(to);
	return text;
}

static void compare(const struct world *w, const struct policy *all, unsigned without)
{
	static const char *const headers[][5] = {
		{ NULL }, { "X", "1", NULL }, { "Y", "1", NULL }, { "X", "2", "Y", "1", NULL }
	};
	static const char *const methods[] = { "GET", "PUT", "POT", "DELETE" };
	char *text = world_text(w, without);
	struct policy *less = case_policy(text);

	for (size_t i = 0; i < ARRAY_SIZE(some_requests); i++)
		for (size_t m = 0; m < ARRAY_SIZE(methods); m++)
			for (size_t h = 0; h < ARRAY_SIZE(headers); h++) {
				struct case_request r = { methods[m], some_requests[i], NULL,
							  headers[h] };

				if (case_judge(all, case_rules(all, 80), &r).action !=
				    case_judge(less, case_rules(less, 80), &r).action)
					fail_msg("%s %s differs without rule %u:\n%s", r.method,
						 r.path, without, text);
			}
	policy_unref(less);
	free(text);
}

static void test_superfluous(void **state)
{
	unsigned found = 0, seed = 1;

	for (int round = 0; round < 60; round++) {
		struct world w = { .rules = { "" } };
		struct policy *all;
		char *text, *said = NULL;

		for (unsigned i = 0; i < RULES_AT_ONCE; i++)
			make_rule(w.rules[i], sizeof(w.rules[i]), &seed);
		text = world_text(&w, RULES_AT_ONCE);
		all = case_policy(text);
		assert_int_equal(load(text, true, NULL, &said), 0);
		for (unsigned i = 0; i < RULES_AT_ONCE; i++) {
			char mark[64];

			snprintf(mark, sizeof(mark), "t.yaml:%u:11: warning: another rule", 11 + i);
			if (!strstr(said, mark))
				continue;
			found++;
			compare(&w, all, i);
		}
		policy_unref(all);
		free(said);
		free(text);
	}
	assert_in_range(found, 50, 60 * RULES_AT_ONCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_warnings),    cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_selection),   cmocka_unit_test(test_many),
		cmocka_unit_test(test_superfluous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
