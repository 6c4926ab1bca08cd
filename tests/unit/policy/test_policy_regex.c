// SPDX-License-Identifier: Apache-2.0
/* RE2's syntax as it is read here: what each pattern matches, and what is refused. Every pattern
 * runs twice: lowered to strings and prefixes where that is possible, and through libhs. */
#include "cases.h"

#include <errno.h>
#include <hs/hs.h>

#include "matcher.h"

struct fixture {
	struct arena mem;
	struct automata automata;
	struct patterns patterns;
	struct matcher matcher;
	struct hits hits;
	hs_scratch_t *scratch;
};

static bool found(struct fixture *f, const char *value, size_t len)
{
	char *copy = malloc(len + !len);
	bool ret;

	assert_non_null(copy);
	memcpy(copy, value, len);
	matcher_find(&f->matcher, (struct span){ copy, len }, f->scratch, &f->hits);
	ret = hits_has(&f->hits, 1);
	assert_int_equal(f->hits.n, ret);
	free(copy);
	return ret;
}

static void fixture_begin(struct fixture *f, const struct pattern *pat)
{
	const char *why = NULL;

	assert_null(pat->error);
	assert_int_equal(matcher_add(&f->matcher, &f->mem, pat), 1);
	if (matcher_build(&f->matcher, &f->mem, &f->automata, &why) != 0)
		fail_msg("%.*s: %s", (int)pat->text.len, pat->text.ptr, why ? why : "no memory");
	assert_int_equal(hits_init(&f->hits, 1), 0);
	assert_int_equal(matcher_scratch(&f->matcher, &f->scratch), 0);
}

static void fixture_end(struct fixture *f)
{
	hits_done(&f->hits);
	hs_free_scratch(f->scratch);
	automata_done(&f->automata);
	arena_done(&f->mem);
}

/* The pattern without what it was lowered to, so that libhs has to match it. */
static struct pattern as_expression(struct fixture *f, const char *text)
{
	struct pattern ret = { .text = span_of(text) };
	struct regex_error err;
	struct regex *re;

	assert_int_equal(regex_parse(ret.text, &f->mem, &re, &err), 0);
	ret.expression = regex_print(re, &f->mem);
	assert_non_null(ret.expression);
	return ret;
}

static bool matches(const char *pattern, const char *value, size_t len, bool lowered)
{
	struct fixture f = { .patterns = { .keep = NULL } };
	struct pattern expression;
	bool ret;

	f.automata.keep = &f.mem;
	f.patterns.keep = &f.mem;
	f.patterns.automata = &f.automata;
	if (lowered) {
		const struct pattern *pat = pattern_get(&f.patterns, span_of(pattern));

		assert_non_null(pat);
		fixture_begin(&f, pat);
	} else {
		expression = as_expression(&f, pattern);
		fixture_begin(&f, &expression);
	}
	ret = found(&f, value, len);
	fixture_end(&f);
	return ret;
}

static const struct {
	const char *pattern;
	const char *yes[6], *no[8];
} cases[] = {
	{ "/", { "/" }, { "", "/a", "//", "a/" } },
	{ "/a.b", { "/a.b", "/axb" }, { "/a\nb", "/ab", "/a.bc" } },
	{ "/a\\.b", { "/a.b" }, { "/axb", "/a\\.b" } },
	{ "/status.*",
	  { "/status", "/status/x", "/status?x=1" },
	  { "/statu", "x/status", "/status\n", "/status\nx", "/statusx\n" } },
	{ "^/a$", { "/a" }, { "/a\n", "^/a$", "/a/", "" } },
	{ "\\A/a\\z", { "/a" }, { "/ab" } },
	{ "(^/a$|/b)", { "/a", "/b" }, { "/ab", "" } },
	{ "/x|/y", { "/x", "/y" }, { "/x|/y", "/xy", "" } },
	{ "GET|HEAD", { "GET", "HEAD" }, { "get", "GETHEAD", "GE", "GEHEAD", "GETEAD" } },
	{ "/(a|b)/c?", { "/a/", "/b/c" }, { "/ab/c", "/c/c", "/a/cc" } },
	{ "/[ab][cd]", { "/ac", "/bd" }, { "/ab", "/a", "/acd" } },
	{ "/a.*|/b", { "/a", "/azz", "/b" }, { "/bz" } },
	{ "/a.*b", { "/ab", "/axxb" }, { "/axxbc", "/a\nb" } },
	{ "(?:/a.*)", { "/a", "/ab" }, { "/b" } },
	{ ".*", { "", "x", "/\xff\x80" }, { "\n", "a\n", "\na" } },
	{ ".+", { "x" }, { "", "\n" } },
	{ "(?s).*", { "", "\n", "a\nb" }, { NULL } },
	{ "(?s:a.)b.", { "a\nbx" }, { "a\nb\n" } },
	{ "a|b*", { "a", "", "bbb" }, { "ab" } },
	{ "/[0-9]+", { "/0", "/123" }, { "/", "/a", "/1a" } },
	{ "/\\d\\D\\w\\W\\s\\S", { "/1aa- b" }, { "/aaaa b", "/1aa-\vb" } },
	{ "[^/]+", { "a", "\n", "\xff" }, { "", "/", "a/b" } },
	{ "[]a]", { "]", "a" }, { "[" } },
	{ "[^]a]", { "[" }, { "]", "a", "" } },
	{ "[a-]", { "a", "-" }, { "b" } },
	{ "[\\]\\-\\x41]", { "]", "-", "A" }, { "B", "\\" } },
	{ "[[:alpha:]_]+", { "aZ_" }, { "1" } },
	{ "[[:^digit:]]", { "a" }, { "1" } },
	{ "[[:space:]]", { "\v", " " }, { "a" } },
	{ "[\\d\\s]+", { "1 2" }, { "a" } },
	{ "a{2}", { "aa" }, { "a", "aaa" } },
	{ "a{2,}", { "aa", "aaaa" }, { "a" } },
	{ "a{1,2}", { "a", "aa" }, { "", "aaa" } },
	{ "a{0}b", { "b" }, { "ab" } },
	{ "a{,2}", { "a{,2}" }, { "a", "aa" } },
	{ "a{b}", { "a{b}" }, { "ab" } },
	{ "a*?b+?c??", { "b", "aabbc" }, { "a" } },
	{ "(?i)get", { "get", "GET", "gEt" }, { "GETS" } },
	{ "(?i:a)b", { "ab", "Ab" }, { "aB" } },
	{ "((?i)a)b", { "Ab" }, { "AB" } },
	{ "(?i)[a-c]\\x{64}", { "aD", "Cd" }, { "dd" } },
	{ "(?i)a(?-i)b", { "Ab" }, { "AB" } },
	{ "(?P<name>a)(?<b>c)", { "ac" }, { "a" } },
	{ "\\Q.*\\E", { ".*" }, { "xx", "" } },
	{ "\\Qa|b", { "a|b" }, { "a", "b" } },
	{ "/\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\^\\$\\\\\\/\\_\\ \\%",
	  { "/.*+?()[]{}|^$\\/_ %" },
	  { "" } },
	{ "\\x2f\\x{61}", { "/a" }, { "/" } },
	{ "\\t\\n\\r\\f\\a", { "\t\n\r\f\a" }, { "tnrfa" } },
	{ "/\xc3\xa4", { "/\xc3\xa4" }, { "/\xc3", "/a" } },
	{ "/\xc3\xa4?b",
	  { "/b", "/\xc3\xa4"
		  "b" },
	  { "/\xc3"
	    "b" } },
	{ "\\x{e4}", { "\xc3\xa4" }, { "\xe4" } },
	{ "a\\b.*", { "a", "a b", "a-" }, { "ab", "a_" } },
	{ "a\\B.+", { "ab" }, { "a b" } },
	{ "\\bfoo\\b", { "foo" }, { "foos" } },
	{ "", { "" }, { "a" } },
	{ "()", { "" }, { "a" } },
	{ "(|a)b", { "b", "ab" }, { "a" } },
	{ "x(?:.*)", { "x", "xy" }, { "x\n" } },
	{ "}]", { "}]" }, { "" } },
	{ "-:,@!\"#%&'<>=;~`", { "-:,@!\"#%&'<>=;~`" }, { "" } },
	{ "(a*)*", { "", "aaa" }, { "b" } },
	{ "(?U)a+?", { "a", "aa" }, { "" } },
	{ "([a-z]+\\.)*example\\.com(:[0-9]+)?",
	  { "example.com", "a.b.example.com:80" },
	  { "xexample.com", "example.com:", "a.example.com.evil" } },
};

static void test_matches(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (int lowered = 0; lowered < 2; lowered++) {
			for (size_t j = 0; cases[i].yes[j]; j++)
				if (!matches(cases[i].pattern, cases[i].yes[j],
					     strlen(cases[i].yes[j]), lowered))
					fail_msg("%s does not match \"%s\" (%d)", cases[i].pattern,
						 cases[i].yes[j], lowered);
			for (size_t j = 0; j < 8 && cases[i].no[j]; j++)
				if (matches(cases[i].pattern, cases[i].no[j],
					    strlen(cases[i].no[j]), lowered))
					fail_msg("%s matches \"%s\" (%d)", cases[i].pattern,
						 cases[i].no[j], lowered);
		}
}

static const struct {
	const char *pattern;
	size_t at;
	const char *message; /* a part of it */
} refused[] = {
	{ "/x)|(?:.*", 2, "without its opening" },
	{ "(a", 0, "without its closing" },
	{ "a(?=b)", 1, "look-around" },
	{ "a(?!b)", 1, "look-around" },
	{ "(?<=b)", 0, "look-around" },
	{ "(?<!b)", 0, "look-around" },
	{ "(?>b)", 0, "atomic" },
	{ "(?#x)", 0, "comments" },
	{ "(?x)a", 0, "not a group" },
	{ "(?m)a", 0, "(?m)" },
	{ "(?P=a)", 0, "not a group" },
	{ "(?R)", 0, "not a group" },
	{ "(?|a)", 0, "not a group" },
	{ "(?P<>a)", 0, "name" },
	{ "(?P<a-b>a)", 0, "name" },
	{ "(*UTF8)a", 0, "verbs" },
	{ "(*a)", 1, "repetition of nothing" },
	{ "(a)\\1", 3, "back-references" },
	{ "\\k<a>", 0, "escape" },
	{ "a\\v", 1, "\\v" },
	{ "\\h", 0, "\\h" },
	{ "\\C", 0, "\\C" },
	{ "\\pL", 0, "Unicode" },
	{ "\\P{Greek}", 0, "Unicode" },
	{ "\\R", 0, "escape" },
	{ "\\Z", 0, "escape" },
	{ "\\G", 0, "escape" },
	{ "\\K", 0, "escape" },
	{ "\\X", 0, "escape" },
	{ "\\e", 0, "escape" },
	{ "\\c", 0, "escape" },
	{ "\\o{7}", 0, "escape" },
	{ "a\\E", 1, "escape" },
	{ "\\012", 0, "octal" },
	{ "a\\", 1, "backslash at the end" },
	{ "\\x", 0, "\\x needs" },
	{ "\\x4", 0, "\\x needs" },
	{ "\\x{}", 0, "\\x needs" },
	{ "\\x{41", 0, "\\x needs" },
	{ "\\x{110000}", 0, "no such character" },
	{ "\\x{d800}", 0, "no such character" },
	{ "\\x00", 0, "NUL" },
	{ "*a", 0, "repetition of nothing" },
	{ "a|*", 2, "repetition of nothing" },
	{ "{1}", 0, "repetition of nothing" },
	{ "a**", 1, "repetition of a repetition" },
	{ "a{2}{3}", 1, "repetition of a repetition" },
	{ "a*+", 1, "possessive" },
	{ "a++", 1, "possessive" },
	{ "a?+", 1, "possessive" },
	{ "a{1,2}+", 1, "possessive" },
	{ "^*", 1, "nothing to repeat" },
	{ "\\b+", 2, "nothing to repeat" },
	{ "a{1001}", 1, "1000" },
	{ "a{2,1}", 1, "backwards" },
	{ "a{99999999999}", 1, "1000" },
	{ "(a{100}){100}", 2, "1000" },
	{ "a^b", 1, "only supported at the beginning" },
	{ "a$b", 1, "only supported at the end" },
	{ "(a|^b)c|d^", 9, "beginning" },
	{ "(a$)+", 2, "end" },
	{ "(^a)*", 1, "beginning" },
	{ "x(^a)", 2, "beginning" },
	{ "[a", 0, "closing" },
	{ "[", 0, "closing" },
	{ "[]", 0, "closing" },
	{ "[b-a]", 1, "backwards" },
	{ "[a-\\d]", 3, "escape" },
	{ "[\\b]", 1, "escape" },
	{ "[[:nope:]]", 1, "named class" },
	{ "[\xc3\xa4]", 1, "ASCII" },
	{ "[\\x{e4}]", 1, "ASCII" },
	{ "[^\\d\\D]", 0, "matches nothing" },
	{ "a\xff", 1, "UTF-8" },
	{ "\\Qab\\E*", 6, "\\Q" },
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct arena mem = { .blocks = NULL };
		struct regex_error err = { .message = NULL };
		struct regex *re;

		if (regex_parse(span_of(refused[i].pattern), &mem, &re, &err) != -EINVAL)
			fail_msg("%s is taken", refused[i].pattern);
		if (err.at != refused[i].at || !strstr(err.message, refused[i].message))
			fail_msg("%s: %zu: %s", refused[i].pattern, err.at, err.message);
		arena_done(&mem);
	}
}

static void test_limits(void **state)
{
	char text[REGEX_LENGTH_MAX + 2];
	struct arena mem = { .blocks = NULL };
	struct regex_error err;
	struct regex *re;

	memset(text, 'a', sizeof(text));
	text[REGEX_LENGTH_MAX + 1] = 0;
	assert_int_equal(regex_parse(span_of(text), &mem, &re, &err), -EINVAL);
	memset(text, '(', sizeof(text));
	text[REGEX_LENGTH_MAX] = 0;
	assert_int_equal(regex_parse(span_of(text), &mem, &re, &err), -EINVAL);
	assert_int_equal(err.at, REGEX_DEPTH_MAX);
	arena_done(&mem);
}

/* What becomes a table entry, and what does not. */
static const struct {
	const char *pattern;
	size_t n; /* 0: an expression */
} lowered[] = {
	{ "/a", 1 },	     { "/a\\.b", 1 },	    { "/a.*", 1 },  { ".*", 1 },
	{ "GET|HEAD", 2 },   { "^(GET|HEAD)$", 2 }, { "/[ab]", 2 }, { "/a(b|c)?", 3 },
	{ "/\\Qa.b\\E", 1 }, { "/a.*b", 0 },	    { "/.", 0 },    { "/[0-9]{2}", 0 },
	{ "/[a-z]", 0 },     { "(?s).*", 0 },	    { "/a+", 0 },   { "(?i)get", 8 },
	{ "(/a.*)b", 0 },    { "a\\b", 0 },
};

static void test_lowered(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lowered); i++) {
		struct arena mem = { .blocks = NULL };
		struct automata automata = { .keep = &mem };
		struct patterns patterns = { .keep = &mem, .automata = &automata };
		const struct pattern *pat = pattern_get(&patterns, span_of(lowered[i].pattern));

		assert_non_null(pat);
		assert_null(pat->error);
		assert_int_equal(pat->n_literals, lowered[i].n);
		assert_int_equal(pat->expression != NULL, lowered[i].n == 0);
		assert_ptr_equal(pat, pattern_get(&patterns, span_of(lowered[i].pattern)));
		automata_done(&automata);
		arena_done(&mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lowered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
