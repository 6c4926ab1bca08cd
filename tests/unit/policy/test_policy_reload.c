// SPDX-License-Identifier: Apache-2.0
/* A policy that follows another: what has not changed is not compiled again, and what it says is
 * the same as if it had been. The linker hands every call of libhs's compiler to the counter below.
 */
#include "cases.h"

#include <hs/hs.h>
#include <netinet/in.h>
#include <stdio.h>

#define MANY 60

/* NOLINTBEGIN(bugprone-reserved-identifier) */
hs_error_t __real_hs_compile_multi(const char *const *expressions, const unsigned *flags,
				   const unsigned *ids, unsigned n, unsigned mode,
				   const hs_platform_info_t *platform, hs_database_t **db,
				   hs_compile_error_t **error);
hs_error_t __wrap_hs_compile_multi(const char *const *expressions, const unsigned *flags,
				   const unsigned *ids, unsigned n, unsigned mode,
				   const hs_platform_info_t *platform, hs_database_t **db,
				   hs_compile_error_t **error);
/* NOLINTEND(bugprone-reserved-identifier) */

static unsigned compilations, expressions_compiled;

hs_error_t __wrap_hs_compile_multi(const char *const *expressions, const unsigned *flags,
				   const unsigned *ids, unsigned n, unsigned mode,
				   const hs_platform_info_t *platform, hs_database_t **db,
				   hs_compile_error_t **error)
{
	compilations++;
	expressions_compiled += n;
	return __real_hs_compile_multi(expressions, flags, ids, n, mode, platform, db, error);
}

struct text {
	char *bytes;
	size_t len;
	FILE *to;
};

static void text_begin(struct text *t)
{
	t->to = open_memstream(&t->bytes, &t->len);
	assert_non_null(t->to);
	fputs(CASE_HEAD "  egress:\n  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n"
			"      rules:\n        http:\n",
	      t->to);
}

static struct policy *text_load(struct text *t, const struct policy *before)
{
	struct policy_text one = { .name = "t.yaml" };
	struct policy_options o = { .texts = &one, .n_texts = 1, .before = before };
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;

	fclose(t->to);
	one.text = t->bytes;
	one.len = t->len;
	compilations = expressions_compiled = 0;
	if (policy_load(&o, &p, &diag) != 0) {
		diag_print(&diag, stderr);
		fail();
	}
	diag_done(&diag);
	free(t->bytes);
	return p;
}

static bool allows(const struct policy *p, const char *path, unsigned *line)
{
	struct case_request request = { "GET", path };
	const struct ruleset *rs;
	struct verdict v;

	assert_int_equal(case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, &rs), L4_STEER);
	v = case_judge(p, rs, &request);
	if (line)
		*line = v.rule ? v.rule->line : 0;
	return v.action == VERDICT_ALLOW;
}

/* MANY rules from FIRST on, of which each has a prefix of its own, and ODD, unless it is NULL. */
static struct policy *load_many(unsigned first, const char *odd, const struct policy *before)
{
	struct text t;

	text_begin(&t);
	if (odd)
		fprintf(t.to, "        - {path: '%s'}\n", odd);
	for (unsigned i = first; i < first + MANY; i++)
		fprintf(t.to, "        - {path: '/s%u/[0-9]+', method: 'G.?T'}\n", i);
	return text_load(&t, before);
}

static void test_same(void **state)
{
	struct policy *a = load_many(0, NULL, NULL), *b;
	struct policy_stats stats;

	assert_int_equal(expressions_compiled, MANY + 1); /* each once, and the method */
	policy_stats(a, &stats);
	assert_int_equal(stats.compiled, compilations);
	assert_int_equal(stats.automata, MANY + 1);
	assert_int_equal(stats.reused, 0);
	b = load_many(0, NULL, a);
	assert_int_equal(compilations, 0);
	policy_stats(b, &stats);
	assert_int_equal(stats.compiled, 0);
	assert_int_equal(stats.reused, MANY + 1);
	assert_int_equal(stats.automata, MANY + 1);
	/* The one before may go first. */
	policy_unref(a);
	assert_true(allows(b, "/s7/12", NULL));
	assert_false(allows(b, "/s7/x", NULL));
	policy_unref(b);
}

/* One rule more, on top: every line is another, and one expression is new. */
static void test_edit(void **state)
{
	struct policy *a = load_many(0, NULL, NULL), *b, *c;
	unsigned line;

	b = load_many(0, "/new/[a-z]+", a);
	assert_int_equal(expressions_compiled, 1);
	assert_true(allows(a, "/s0/1", &line));
	assert_int_equal(line, 11);
	assert_true(allows(b, "/s0/1", &line));
	assert_int_equal(line, 12);
	assert_true(allows(b, "/new/x", &line));
	assert_int_equal(line, 11);
	assert_false(allows(a, "/new/x", NULL));
	/* A chain of policies, the middle one gone. */
	policy_unref(a);
	c = load_many(1, NULL, b);
	assert_int_equal(expressions_compiled, 1);
	policy_unref(b);
	assert_false(allows(c, "/s0/1", NULL));
	assert_false(allows(c, "/new/x", NULL));
	assert_true(allows(c, "/s60/1", NULL));
	policy_unref(c);
}

/* An expression that shares its set with others: they are compiled together, once. */
static struct policy *load_alike(unsigned n, bool reverse, const struct policy *before)
{
	struct text t;

	text_begin(&t);
	for (unsigned i = 0; i < n; i++)
		fprintf(t.to, "        - {path: '/all/[a-z]+/%u/[0-9]+'}\n",
			reverse ? n - 1 - i : i);
	return text_load(&t, before);
}

static void test_alike(void **state)
{
	struct policy *a = load_alike(30, false, NULL), *b, *c;
	struct policy_stats stats;

	assert_int_equal(compilations, 31);
	policy_stats(a, &stats);
	assert_int_equal(stats.automata, 1); /* what was only a trial is given back */
	b = load_alike(30, true, a);
	assert_int_equal(compilations, 0);
	assert_true(allows(b, "/all/x/29/1", NULL));
	c = load_alike(31, false, b);
	assert_int_equal(compilations, 2); /* the new one alone, then all together */
	assert_true(allows(c, "/all/x/30/1", NULL));
	assert_false(allows(b, "/all/x/30/1", NULL));
	policy_unref(a);
	policy_unref(b);
	policy_unref(c);
}

/* What libhs refuses is refused again, and does not pass because it was seen before. */
static void test_refused(void **state)
{
	struct policy *a = load_many(0, NULL, NULL), *p = NULL;
	struct policy_text one = { .name = "t.yaml" };
	struct policy_options o = { .texts = &one, .n_texts = 1, .before = a };

	one.text = CASE_HEAD "  egress:\n  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n"
			     "      rules: {http: [{path: '\\b'}]}\n";
	one.len = strlen(one.text);
	for (int i = 0; i < 2; i++) {
		struct diag diag = { .items = NULL };

		assert_int_not_equal(policy_load(&o, &p, &diag), 0);
		assert_int_equal(diag.n, 1);
		diag_done(&diag);
		assert_null(p);
	}
	assert_true(allows(a, "/s1/1", NULL));
	policy_unref(a);
}

/* Expressions whose prefixes begin with each other, deeper than buckets are kept apart, and some
 * without any: each is found, and only those. */
static void test_nested(void **state)
{
	char prefix[64], path[128];
	struct policy *p;
	struct text t;
	size_t n = 0;

	text_begin(&t);
	fputs("        - {path: '/[x-z]+'}\n        - {path: '(?i)/QUERY[0-9]'}\n"
	      "        - {path: '.?[*]+'}\n",
	      t.to);
	for (unsigned i = 0; i < 40; i++) {
		n += (size_t)snprintf(prefix + n, sizeof(prefix) - n, i % 4 ? "a" : "/");
		fprintf(t.to, "        - {path: '%s[0-9]{%u}'}\n", prefix, i + 1);
		fprintf(t.to, "        - {path: '%s(b|c)%u[0-9]'}\n", prefix, i);
	}
	p = text_load(&t, NULL);
	for (unsigned i = 0; i < 40; i++) {
		for (unsigned digits = 1; digits <= 41; digits++) {
			snprintf(path, sizeof(path), "%.*s%0*d", (int)i + 1, prefix, (int)digits,
				 7);
			assert_int_equal(allows(p, path, NULL), digits == i + 1);
		}
		snprintf(path, sizeof(path), "%.*sb%u7", (int)i + 1, prefix, i);
		assert_true(allows(p, path, NULL));
		snprintf(path, sizeof(path), "%.*sb%u7", (int)i + 1, prefix, i + 1);
		assert_false(allows(p, path, NULL));
	}
	assert_true(allows(p, "/xyz", NULL));
	assert_true(allows(p, "/query1", NULL));
	assert_true(allows(p, "*", NULL));
	assert_true(allows(p, "a***", NULL));
	assert_false(allows(p, "/", NULL));
	assert_false(allows(p, "", NULL));
	policy_unref(p);
}

/* ---- was anything changed at all? ---- */

static struct policy *load_named(const char *name, const char *rule)
{
	struct text t;
	struct policy_text one = { .name = name };
	struct policy_options o = { .texts = &one, .n_texts = 1 };
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;

	text_begin(&t);
	fputs(rule, t.to);
	fclose(t.to);
	one.text = t.bytes;
	one.len = t.len;
	assert_int_equal(policy_load(&o, &p, &diag), 0);
	diag_done(&diag);
	free(t.bytes);
	return p;
}

static void test_same_text(void **state)
{
	struct policy *p = load_named("a.yaml", "        - path: /a\n");
	struct policy *same = load_named("a.yaml", "        - path: /a\n");
	struct policy *other = load_named("a.yaml", "        - path: /b\n");
	struct policy *renamed = load_named("b.yaml", "        - path: /a\n");

	assert_true(policy_same_text(p, p));
	assert_true(policy_same_text(p, same));
	assert_false(policy_same_text(p, other));
	assert_false(policy_same_text(p, renamed));
	policy_unref(p);
	policy_unref(same);
	policy_unref(other);
	policy_unref(renamed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),   cmocka_unit_test(test_edit),
		cmocka_unit_test(test_alike),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nested), cmocka_unit_test(test_same_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
