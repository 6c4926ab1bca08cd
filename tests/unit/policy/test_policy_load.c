// SPDX-License-Identifier: Apache-2.0
/* What is refused, where and why; and what a file may look like that is not. */
#include "cases.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *text, *errors;
} refusals[] = {
#include "refusals.inc"
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		char *errors = case_errors(refusals[i].text);

		assert_string_equal(errors, refusals[i].errors);
		free(errors);
	}
}

/* Cut anywhere, a document is refused or loads; under ASan no byte beyond the end is read. */
static void test_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		for (size_t cut = 0; cut < strlen(refusals[i].text); cut += 3) {
			struct diag diag = { .items = NULL };
			struct policy *p = NULL;
			int r = case_load("t.yaml", refusals[i].text, cut, NULL, 0, &p, &diag);

			assert_true((r == 0) == (p != NULL));
			assert_true((r == 0) == (diag.n == 0));
			policy_unref(p);
			diag_done(&diag);
		}
}

static const char *const accepted[] = {
	CASE_HEAD "  egress: []\n",
	CASE_HEAD "  egress: [{}]\n  description: text\n  labels: [{key: a}]\n",
	CASE_HEAD "  egressDeny: []\n  enableDefaultDeny: {egress: true}\n",
	CASE_HEAD "  egress: []\nstatus:\n  conditions: [anything, {at: all}]\n",
	/* the same in JSON, with tabs */
	"{\n\t\"apiVersion\": \"cilium.io/v2\",\n\t\"kind\": \"CiliumNetworkPolicy\",\n"
	"\t\"metadata\": {\"name\": \"api\"},\n\t\"spec\": {\"endpointSelector\": {},\n"
	"\t\t\"egress\": [{\"toCIDR\": [\"10.0.0.0\\/8\"]}]}}\n",
	/* all that kubectl writes */
	"apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata:\n"
	"  annotations: {a: b}\n  creationTimestamp: \"2026-01-01T00:00:00Z\"\n  generation: 1\n"
	"  labels: {a: b}\n  managedFields: []\n  name: all\n  resourceVersion: \"1\"\n"
	"  uid: 6f1d\n  finalizers: []\n  ownerReferences: []\n"
	"specs:\n- endpointSelector: {matchLabels: {\"k8s:app\": web}}\n  egress: []\n",
	/* several documents, empty ones between */
	"---\n---\n" CASE_HEAD "  egress: []\n---\n" CASE_HEAD "  egress: []\n...\n---\n",
	/* anchors */
	CASE_HEAD "  egress:\n  - toCIDR: &x [10.0.0.0/8]\n  - toCIDR: *x\n",
	CASE_HEAD "  egress:\n  - toPorts:\n    - ports: [{port: 80}, {port: \"81\"}]\n"
		  "      rules: {}\n",
	/* windows line ends */
	("apiVersion: cilium.io/v2\r\nkind: CiliumNetworkPolicy\r\nmetadata: {name: api}\r\n"
	 "spec:\r\n  endpointSelector: {}\r\n  egress: []\r\n"),
};

static void test_accepted(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		struct policy *p = case_policy(accepted[i]);

		policy_unref(policy_ref(p));
		policy_unref(p);
	}
}

/* Aliases of aliases: 10^10 nodes if they were written out. */
static void test_expansion(void **state)
{
	static const char text[] =
		"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		"c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
		"g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
	char *errors = case_errors(text);

	assert_string_equal(errors, "t.yaml:7:14: the document is too large; aliases count as what "
				    "they stand for\n");
	free(errors);
}

static void test_depth(void **state)
{
	char text[1001] = "", *errors;

	memset(text, '[', sizeof(text) - 1);
	errors = case_errors(text);
	assert_non_null(strstr(errors, "t.yaml:1:41: nested too deeply"));
	free(errors);
}

static void test_size(void **state)
{
	size_t len = 16 * 1024 * 1024 + 1;
	char *text = malloc(len + 1), *errors;

	assert_non_null(text);
	memset(text, ' ', len);
	text[len] = 0;
	errors = case_errors(text);
	assert_string_equal(errors, "t.yaml: the file is larger than 16 MiB\n");
	free(errors);
	free(text);
}

static void test_many_errors(void **state)
{
	char *text = NULL, *errors;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	fputs(CASE_HEAD "  egress:\n", to);
	for (size_t i = 0; i < 150; i++)
		fputs("  - x: 1\n", to);
	fclose(to);
	errors = case_errors(text);
	assert_non_null(strstr(errors, "t.yaml:106:5: unknown key \"x\" in a rule\n"));
	assert_null(strstr(errors, "t.yaml:107:"));
	assert_non_null(strstr(errors, "\nand 50 more\n"));
	free(errors);
	free(text);
}

/* RE2 takes it, libhs does not. */
static void test_beyond_libhs(void **state)
{
	char *errors = case_errors(CASE_HEAD "  egress:\n  - toPorts:\n"
					     "    - ports: [{port: 80, protocol: TCP}]\n"
					     "      rules: {http: [{path: '\\b'}]}\n");

	assert_non_null(strstr(errors, "t.yaml:9:29: \"path\" cannot be used: it is beyond the "));
	free(errors);
}

/* What a policy names is shown on terminals. */
static void test_escapes(void **state)
{
	char *errors = case_errors(CASE_HEAD "  \"egr\\e[31mess\": []\n");

	assert_null(strchr(errors, '\x1b'));
	assert_non_null(strstr(errors, "egr\\x1b[31mess"));
	free(errors);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int load_path(const char *path, struct policy **p, char *errors, size_t size)
{
	struct policy_options options = { .paths = &path, .n_paths = 1 };
	struct diag diag = { .items = NULL };
	FILE *to = fmemopen(errors, size, "w");
	int r = policy_load(&options, p, &diag);

	assert_non_null(to);
	diag_print(&diag, to);
	fclose(to);
	diag_done(&diag);
	return r;
}

static void test_directory(void **state)
{
	static const char *const names[] = { "b.yaml", "a.yml", "c.json", ".d.yaml", "e.txt" };
	char dir[] = "/tmp/sluice-test-XXXXXX", errors[1024] = "", path[256], want[1024];
	struct policy *p = NULL;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(load_path(dir, &p, errors, sizeof(errors)), -EINVAL);
	assert_non_null(strstr(errors, "there is no policy in it"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		write_file(dir, names[i], i < 3 ? CASE_HEAD "  egress: []\n" : "broken: [");
	assert_int_equal(load_path(dir, &p, errors, sizeof(errors)), 0);
	assert_int_equal(policy_n_selected(p), 3);
	p = policy_unref(p);
	write_file(dir, "a.yml", CASE_HEAD "  egress: 1\n");
	write_file(dir, "b.yaml", CASE_HEAD "  egress: 2\n");
	assert_int_equal(load_path(dir, &p, errors, sizeof(errors)), -EINVAL);
	snprintf(want, sizeof(want),
		 "%s/a.yml:6:11: egress must be a list, not a number; put \"- \" before it\n"
		 "%s/b.yaml:6:11: egress must be a list, not a number; put \"- \" before it\n",
		 dir, dir);
	assert_string_equal(errors, want);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(load_path(dir, &p, errors, sizeof(errors)), -ENOENT);
	assert_null(p);
}

static void test_nothing(void **state)
{
	struct policy_options options = { .n_paths = 0 };
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;

	assert_int_equal(policy_load(&options, &p, &diag), 0);
	assert_int_equal(policy_n_selected(p), 0);
	assert_false(policy_l4_table(p)->enforced);
	assert_int_equal(case_action(p, "10.0.0.1", 80, false, IPPROTO_TCP, NULL), L4_ALLOW);
	assert_int_equal(diag.n, 0);
	policy_unref(p);
}

static const struct {
	const char *selector;
	struct label labels[3];
	bool selected;
} selections[] = {
	{ "{}", { { NULL, NULL } }, true },
	{ "{matchLabels: {app: web}}", { { "app", "web" } }, true },
	{ "{matchLabels: {app: web}}", { { "app", "db" } }, false },
	{ "{matchLabels: {app: web}}", { { NULL, NULL } }, false },
	{ "{matchLabels: {'any:app': web}}", { { "k8s:app", "web" } }, true },
	{ "{matchLabels: {'k8s:app': web}}", { { "k8s:app", "web" } }, true },
	{ "{matchLabels: {'k8s:app': web}}", { { "app", "web" } }, true },
	{ "{matchLabels: {'k8s:app': web}}", { { "container:app", "web" } }, false },
	{ "{matchLabels: {app: web}}", { { "container:app", "web" } }, true },
	{ "{matchLabels: {'reserved:host': ''}}", { { "host", "" } }, false },
	{ "{matchLabels: {'reserved:host': ''}}", { { "reserved:host", "" } }, true },
	{ "{matchLabels: {a: x, b: y}}", { { "a", "x" }, { "b", "y" } }, true },
	{ "{matchLabels: {a: x, b: y}}", { { "a", "x" }, { "b", "z" } }, false },
	{ "{matchExpressions: [{key: a, operator: In, values: [x, y]}]}", { { "a", "y" } }, true },
	{ "{matchExpressions: [{key: a, operator: In, values: [x]}]}", { { "a", "y" } }, false },
	{ "{matchExpressions: [{key: a, operator: In, values: [x]}]}", { { NULL, NULL } }, false },
	{ "{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", { { "a", "y" } }, true },
	{ "{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", { { "a", "x" } }, false },
	{ "{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}",
	  { { NULL, NULL } },
	  true },
	{ "{matchExpressions: [{key: a, operator: Exists}]}", { { "a", "x" } }, true },
	{ "{matchExpressions: [{key: a, operator: Exists}]}", { { "b", "x" } }, false },
	{ "{matchExpressions: [{key: a, operator: DoesNotExist}]}", { { "b", "x" } }, true },
	{ "{matchExpressions: [{key: a, operator: DoesNotExist}]}", { { "a", "x" } }, false },
	{ "{matchLabels: {a: x}, matchExpressions: [{key: b, operator: Exists}]}",
	  { { "a", "x" } },
	  false },
	{ "{matchLabels: {a: x}, matchExpressions: [{key: b, operator: Exists}]}",
	  { { "a", "x" }, { "k8s:b", "" } },
	  true },
	{ "{}", { { "k8s:io.kubernetes.pod.namespace", "prod" } }, true },
	{ "{}", { { "k8s:io.kubernetes.pod.namespace", "test" } }, false },
	{ "{}", { { "io.kubernetes.pod.namespace", "test" } }, false },
};

static void test_selection(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(selections); i++) {
		struct diag diag = { .items = NULL };
		struct policy *p = NULL;
		char text[1024];
		size_t n = 0;

		while (n < 3 && selections[i].labels[n].key)
			n++;
		snprintf(text, sizeof(text),
			 "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
			 "metadata: {name: api, namespace: prod}\nspec:\n"
			 "  endpointSelector: %s\n  egress: []\n",
			 selections[i].selector);
		assert_int_equal(case_load("t.yaml", text, strlen(text), selections[i].labels, n,
					   &p, &diag),
				 0);
		assert_int_equal(policy_n_selected(p), selections[i].selected);
		assert_int_equal(policy_l4_table(p)->enforced, selections[i].selected);
		policy_unref(p);
		diag_done(&diag);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),    cmocka_unit_test(test_cut),
		cmocka_unit_test(test_accepted),    cmocka_unit_test(test_expansion),
		cmocka_unit_test(test_depth),	    cmocka_unit_test(test_size),
		cmocka_unit_test(test_many_errors), cmocka_unit_test(test_beyond_libhs),
		cmocka_unit_test(test_escapes),	    cmocka_unit_test(test_directory),
		cmocka_unit_test(test_nothing),	    cmocka_unit_test(test_selection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
