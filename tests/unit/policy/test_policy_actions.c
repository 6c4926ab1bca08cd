// SPDX-License-Identifier: Apache-2.0
/* Header actions that cannot be carried out, and are refused when the policy is loaded. */
#include "cases.h"

#include <errno.h>
#include <stdio.h>

#define MATCHES(matches)                                                                \
	CASE_HEAD "  egress:\n  - toPorts:\n    - ports: [{port: 80, protocol: TCP}]\n" \
		  "      rules:\n        http:\n        - headerMatches: [" matches "]\n"

static void load(const char *text, int want, const char *want_said)
{
	struct policy_options o = { 0 };
	struct policy *p = NULL;
	char said[1024] = "";

	assert_int_equal(case_load_options(text, &o, &p, said, sizeof(said)), want);
	if (want_said)
		assert_string_equal(said, want_said);
	policy_unref(p);
}

static const struct {
	const char *match, *said;
} action_refusals[] = {
	{ "{name: X, mismatch: ADD}",
	  "t.yaml:11:27: the action ADD needs a \"value\" or a \"secret\"; without them the header "
	  "only has to be there\n" },
	{ "{name: X, value: '', mismatch: DELETE}",
	  "t.yaml:11:27: the action DELETE needs a \"value\" or a \"secret\"; without them the "
	  "header only has to be there\n" },
	{ "{name: transfer-encoding, value: x, mismatch: DELETE}",
	  "t.yaml:11:34: \"transfer-encoding\" says how a message is carried: no action can change "
	  "it\n" },
	{ "{name: Host, value: x, mismatch: REPLACE}",
	  "t.yaml:11:34: \"Host\" says how a message is carried: no action can change it\n" },
	{ "{name: Content-Length, value: x, mismatch: ADD}",
	  "t.yaml:11:34: \"Content-Length\" says how a message is carried: no action can change "
	  "it\n" },
};

static void test_action_refusals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(action_refusals); i++) {
		char text[1024];

		snprintf(text, sizeof(text), MATCHES("%s"), action_refusals[i].match);
		load(text, -EINVAL, action_refusals[i].said);
	}
}

/* In any case, and with "_", which some servers take for "-". */
static const char *const framing_names[] = {
	"Connection",
	"CONTENT-LENGTH",
	"content_length",
	"Expect",
	"HOST",
	"Keep-Alive",
	"keep_alive",
	"HTTP2-Settings",
	"Proxy-Connection",
	"te",
	"trailer",
	"Upgrade",
	"Proxy_connection",
	"Transfer-Encoding",
	"Transfer_Encoding",
};

static void test_framing_names(void **state)
{
	static const char *const kinds[] = { "ADD", "REPLACE", "DELETE" };

	for (size_t i = 0; i < ARRAY_SIZE(framing_names) * ARRAY_SIZE(kinds); i++) {
		const char *name = framing_names[i / ARRAY_SIZE(kinds)];
		char text[1024], want[256];

		snprintf(text, sizeof(text), MATCHES("{name: %s, value: x, mismatch: %s}"), name,
			 kinds[i % ARRAY_SIZE(kinds)]);
		snprintf(want, sizeof(want),
			 "t.yaml:11:34: \"%s\" says how a message is carried: no action can "
			 "change it\n",
			 name);
		load(text, -EINVAL, want);
	}
}

#define CONTROL "the value has a control character, which no header can have"
#define BLANKS	"the value has blanks around it, with which it never matches"

/* What can be written in YAML and cannot be a value. */
static const struct {
	const char *value, *said;
} value_refusals[] = {
	{ "\"a\\nb\"", CONTROL },  { "\"a\\r\"", CONTROL },   { "\"\\r\\nX: y\"", CONTROL },
	{ "\"a\\x7f\"", CONTROL }, { "\"\\e[2J\"", CONTROL }, { "' a'", BLANKS },
	{ "\"a\\t\"", BLANKS },
};

static void test_value_refusals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(value_refusals); i++) {
		char text[1024], want[256];

		snprintf(text, sizeof(text), MATCHES("{name: X, mismatch: ADD, value: %s}"),
			 value_refusals[i].value);
		snprintf(want, sizeof(want), "t.yaml:11:59: %s\n", value_refusals[i].said);
		load(text, -EINVAL, want);
	}
	/* refused by whoever reads the text */
	load(MATCHES("{name: X, mismatch: ADD, value: \"a\\0\"}"), -EINVAL, NULL);
}

/* No value is longer than a secret can be. */
static void test_long_values(void **state)
{
	static char text[16384];

	for (int len = 8192; len <= 8193; len++) {
		snprintf(text, sizeof(text), MATCHES("{name: X, mismatch: ADD, value: '%0*d'}"),
			 len, 0);
		load(text, len == 8192 ? 0 : -EINVAL,
		     len == 8192 ? ""
				 : "t.yaml:11:59: a value over 8192 bytes, which no request is "
				   "given\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_action_refusals),
		cmocka_unit_test(test_framing_names),
		cmocka_unit_test(test_value_refusals),
		cmocka_unit_test(test_long_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
