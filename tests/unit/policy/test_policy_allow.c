// SPDX-License-Identifier: Apache-2.0
/* One argument as a policy: what is refused and where, and what the document made of it allows. */
#include "cases.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include "allow.h"

static const struct {
	const char *text, *error; /* without "--allow:1:" */
} refusals[] = {
	{ "", "1: there is no method before the address; write it like \"GET,HEAD "
	      "http://127.0.0.1:9000/\", or * for all" },
	{ "http://a/", "1: there is no method before the address; write it like \"GET,HEAD "
		       "http://127.0.0.1:9000/\", or * for all" },
	{ "http://a/ GET", "1: there is no method before the address; write it like \"GET,HEAD "
			   "http://127.0.0.1:9000/\", or * for all" },
	{ "GET", "1: there is no method before the address; write it like \"GET,HEAD "
		 "http://127.0.0.1:9000/\", or * for all" },
	{ "get http://a/",
	  "1: a method in small letters; methods are compared with case: write GET, "
	  "not get" },
	{ "GET,hEAD http://a/", "5: a method in small letters; methods are compared with case: "
				"write GET, not get" },
	{ "GET,,HEAD http://a/", "5: a method is missing; write GET,HEAD, or * for all" },
	{ "GET, http://a/", "5: a method is missing; write GET,HEAD, or * for all" },
	{ ",GET http://a/", "1: a method is missing; write GET,HEAD, or * for all" },
	{ "G*T http://a/", "2: no method has this character; write GET,HEAD, or * for all" },
	{ "*,GET http://a/", "1: no method has this character; write GET,HEAD, or * for all" },
	{ "GET https://a/",
	  "5: https cannot be read, so its requests cannot be held; allow its port "
	  "as it is, with a policy file" },
	{ "GET ftp://a/", "5: this is no address of an HTTP server; write it like "
			  "http://127.0.0.1:9000/" },
	{ "GET HEAD http://a/", "5: this is no address of an HTTP server; write it like "
				"http://127.0.0.1:9000/" },
	{ "GET http:///x", "12: there is no host" },
	{ "GET http://:80/x", "12: there is no host" },
	{ "GET http://u@a/x", "12: a user's name does not belong here; leave it out" },
	{ "GET http://[::1/x", "12: an address without its closing ]" },
	{ "GET http://[::g]/x",
	  "13: this is no address; write it like [2001:db8::1], without a zone" },
	{ "GET http://[fe80::1%lo]/x",
	  "13: this is no address; write it like [2001:db8::1], without a zone" },
	{ "GET http://[]/x",
	  "13: this is no address; write it like [2001:db8::1], without a zone" },
	{ "GET http://[::ffff:1.2.3.4]/x", "13: an IPv4-mapped address; write it as IPv4" },
	{ "GET http://0.0.0.0:80/x", "12: this is no server's address; write 127.0.0.1" },
	{ "GET http://[::]/x", "13: this is no server's address; write [::1]" },
	{ "GET http://10.0.0/x", "12: this is no address; write it like 10.1.2.3" },
	{ "GET http://10.0.0.0.1/x", "12: this is no address; write it like 10.1.2.3" },
	{ "GET http://10.0.0.256/x", "12: this is no address; write it like 10.1.2.3" },
	{ "GET http://*.a/x", "12: a pattern of hosts is not supported; write one name, or several "
			      "arguments" },
	{ "GET http://a..b/x", "12: this is no name of a host" },
	{ "GET http://-a/x", "12: this is no name of a host" },
	{ "GET http://a-/x", "12: this is no name of a host" },
	{ "GET http://a b/x", "12: this is no name of a host" },
	{ "GET http://a'b/x", "12: this is no name of a host" },
	{ "GET http://a:/x", "14: a port is a number from 1 to 65535" },
	{ "GET http://a:0/x", "14: a port is a number from 1 to 65535" },
	{ "GET http://a:65536/x", "14: a port is a number from 1 to 65535" },
	{ "GET http://a:99999999999/x", "14: a port is a number from 1 to 65535" },
	{ "GET http://a:8x/x", "14: a port is a number from 1 to 65535" },
	{ "GET http://[::1]8/x",
	  "17: there is no path; write / for this one path, or /** for all" },
	{ "GET http://a", "13: there is no path; write / for this one path, or /** for all" },
	{ "GET http://a:80", "16: there is no path; write / for this one path, or /** for all" },
	{ "GET http://a?x", "13: there is no path; write / for this one path, or /** for all" },
	{ "GET http://a/#x", "14: no request has a # in its path; leave it out" },
	{ "GET http://a/b c",
	  "15: no request has this character in its path; write it as % and two "
	  "hexadecimal digits" },
	{ "GET http://a/b\\c",
	  "15: no request has this character in its path; write it as % and two "
	  "hexadecimal digits" },
	{ "GET http://a/b\n",
	  "15: no request has this character in its path; write it as % and two "
	  "hexadecimal digits" },
	{ "GET http://a/\xc3\xa4",
	  "14: no request has this character in its path; write it as % and "
	  "two hexadecimal digits" },
	{ "GET http://a/%2", "14: a % without two hexadecimal digits; a % alone is %25" },
	{ "GET http://a/***", "14: three * in a row; * stays within a segment, ** does not" },
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct diag diag = { .items = NULL };
		struct allow a;
		char want[256], *said = NULL, *copy = strdup(refusals[i].text);
		size_t size;
		FILE *to = open_memstream(&said, &size);

		assert_non_null(to);
		assert_int_equal(allow_parse("--allow", copy, &a, &diag), -EINVAL);
		diag_print(&diag, to);
		fclose(to);
		snprintf(want, sizeof(want), "--allow:1:%s\n", refusals[i].error);
		assert_string_equal(said, want);
		diag_done(&diag);
		free(said);
		free(copy);
	}
}

static const struct address named = { .family = AF_INET, .ip = { 10, 0, 0, 7 } };

static char *document(const char *text)
{
	struct diag diag = { .items = NULL };
	struct allow_target t = { .addresses = &named, .n_addresses = 1 };

	if (allow_parse("--allow", text, &t.allow, &diag) != 0) {
		diag_print(&diag, stderr);
		fail();
	}
	return allow_document(&t, 1, NULL, 0);
}

struct ask {
	const char *method, *path, *authority;
	bool want;
};

static const struct {
	const char *text, *ip;
	uint16_t port;
	struct ask asks[12];
} cases[] = {
	{ "GET,HEAD http://127.0.0.1:9000/api/**",
	  "127.0.0.1",
	  9000,
	  { { "GET", "/api/", "x", true },
	    { "HEAD", "/api/a/b?c=d", "localhost:9000", true },
	    { "GET", "/api", "x", false },
	    { "GET", "/apix", "x", false },
	    { "GET", "/", "x", false },
	    { "POST", "/api/", "x", false },
	    { "GETHEAD", "/api/", "x", false } } },
	{ "*\thttp://[2001:db8::1]/a/*/b",
	  "2001:db8::1",
	  80,
	  { { "ANY", "/a/x/b", "x", true },
	    { "ANY", "/a//b", "x", true },
	    { "ANY", "/a/x/y/b", "x", false },
	    { "ANY", "/a/x?/b", "x", false },
	    { "ANY", "/a/x/b?q", "x", false } } },
	{ "  GET  http://api.Example.com/v1.0/it's?a=(1)**",
	  "10.0.0.7",
	  80,
	  { { "GET", "/v1.0/it's?a=(1)", "api.example.com", true },
	    { "GET", "/v1.0/it's?a=(1)&b", "API.EXAMPLE.COM:80", true },
	    { "GET", "/v1x0/it's?a=(1)", "api.example.com", false },
	    { "GET", "/v1.0/it's?a=1", "api.example.com", false },
	    { "GET", "/v1.0/it's?a=(1)", "apixexample.com", false },
	    { "GET", "/v1.0/it's?a=(1)", "api.example.com:8080", false },
	    { "GET", "/v1.0/it's?a=(1)", "other.example.com", false },
	    { "GET", "/v1.0/it's?a=(1)", "", false } } },
	{ "M-SEARCH http://a_b.c:8080/%41+$;=@:!~&,-/%C3%A4",
	  "10.0.0.7",
	  8080,
	  { { "M-SEARCH", "/%41+$;=@:!~&,-/%C3%A4", "a_b.c:8080", true },
	    { "M-SEARCH", "/%41+$;=@:!~&,-/%C3%A4", "a_b.c", false },
	    { "M-SEARCH", "/A+$;=@:!~&,-/%C3%A4", "a_b.c:8080", false },
	    { "M.SEARCH", "/%41+$;=@:!~&,-/%C3%A4", "a_b.c:8080", false } } },
	{ "GET http://10.0.0.1/*.js",
	  "10.0.0.1",
	  80,
	  { { "GET", "/a.js", "x", true },
	    { "GET", "/.js", "x", true },
	    { "GET", "/a/b.js", "x", false },
	    { "GET", "/axjs", "x", false } } },
	{ "GET http://10.0.0.1/",
	  "10.0.0.1",
	  80,
	  { { "GET", "/", "x", true }, { "GET", "/?", "x", false }, { "GET", "/a", "x", false } } },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = document(cases[i].text);
		struct policy *p = case_policy(text);
		const struct ruleset *rs;

		assert_int_equal(case_action(p, cases[i].ip, cases[i].port, false, IPPROTO_TCP,
					     &rs),
				 L4_STEER);
		assert_int_equal(case_action(p, cases[i].ip, (uint16_t)(cases[i].port + 1), false,
					     IPPROTO_TCP, NULL),
				 L4_REFUSE);
		assert_int_equal(case_action(p, "10.9.9.9", cases[i].port, false, IPPROTO_TCP,
					     NULL),
				 L4_REFUSE);
		for (const struct ask *a = cases[i].asks; a->method; a++) {
			struct case_request request = { a->method, a->path, a->authority };

			if (case_judge(p, rs, &request).action != (a->want ? VERDICT_ALLOW : 0))
				fail_msg("%s: %s %s at %s\n%s", cases[i].text, a->method, a->path,
					 a->authority, text);
		}
		policy_unref(p);
		free(text);
	}
}

/* What is printed is what is loaded, to the letter. */
static void test_document(void **state)
{
	static const char want[] =
		"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: allow\n"
		"spec:\n  endpointSelector: {}\n  egress:\n"
		"  - toCIDR: ['127.0.0.1/32']\n    toPorts:\n    - ports:\n"
		"      - {port: '9000', protocol: TCP}\n      rules:\n        http:\n"
		"        - path: '/api/.*'\n          method: 'GET|HEAD'\n"
		"  - toCIDR: ['10.0.0.7/32', '2001:db8::7/128']\n    toPorts:\n    - ports:\n"
		"      - {port: '80', protocol: TCP}\n      rules:\n        http:\n"
		"        - path: '/[^/?]*\\.js'\n          host: '(?i:a\\.b)(:80)?'\n"
		"  - toCIDR: ['10.0.0.53/32']\n    toPorts:\n    - ports:\n"
		"      - {port: '53', protocol: ANY}\n";
	static const struct address two[] = {
		{ .family = AF_INET, .ip = { 10, 0, 0, 7 } },
		{ .family = AF_INET6, .ip = { 0x20, 1, 0xd, 0xb8, [15] = 7 } },
	};
	static const struct address resolver = { .family = AF_INET, .ip = { 10, 0, 0, 53 } };
	struct allow_target targets[2] = { [1] = { .addresses = two, .n_addresses = 2 } };
	struct diag diag = { .items = NULL };
	struct policy *p;
	char *text;

	assert_int_equal(allow_parse("--allow", "GET,HEAD http://127.0.0.1:9000/api/**",
				     &targets[0].allow, &diag),
			 0);
	assert_int_equal(allow_parse("--allow", "* http://a.b/*.js", &targets[1].allow, &diag), 0);
	assert_true(targets[1].allow.is_name);
	assert_int_equal(targets[1].allow.host.len, 3);
	text = allow_document(targets, 2, &resolver, 1);
	assert_string_equal(text, want);
	p = case_policy(text);
	assert_int_equal(case_action(p, "10.0.0.53", 53, false, IPPROTO_UDP, NULL), L4_ALLOW);
	assert_int_equal(case_action(p, "10.0.0.53", 53, false, IPPROTO_TCP, NULL), L4_ALLOW);
	assert_int_equal(case_action(p, "2001:db8::7", 80, false, IPPROTO_TCP, NULL), L4_STEER);
	policy_unref(p);
	free(text);
}

/* A name that stands for no address, and no argument at all: nothing is allowed. */
static void test_nothing(void **state)
{
	struct allow_target t = { .addresses = NULL };
	struct diag diag = { .items = NULL };
	struct policy *p;
	char *text;

	assert_int_equal(allow_parse("--allow", "GET http://a/", &t.allow, &diag), 0);
	for (size_t n = 0; n < 2; n++) {
		text = allow_document(&t, n, NULL, 0);
		p = case_policy(text);
		assert_int_equal(case_action(p, "10.0.0.7", 80, false, IPPROTO_TCP, NULL),
				 L4_REFUSE);
		policy_unref(p);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
