// SPDX-License-Identifier: Apache-2.0
/* Every n-th allocation fails, for every n: the load says so, leaves nothing behind, and works
 * again with memory. Pieces of an arena count as allocations, since any of them may be the one for
 * which a block is needed. What libfyaml and libhs allocate is their own. */
#include "cases.h"

#include <errno.h>
#include <sys/socket.h>

#include "policy_set.h"

/* The linker gives these names: --wrap. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
struct arena;
void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__real_arena_alloc(struct arena *a, size_t size);
char *__real_arena_copy(struct arena *a, const char *text, size_t len);
void *__real_arena_extend(struct arena *a, void *list, size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
void *__wrap_arena_alloc(struct arena *a, size_t size);
char *__wrap_arena_copy(struct arena *a, const char *text, size_t len);
void *__wrap_arena_extend(struct arena *a, void *list, size_t n, size_t size);
/* NOLINTEND(bugprone-reserved-identifier) */

static struct {
	size_t left; /* allocations that succeed before one fails; SIZE_MAX: all do */
	bool failed;
} memory = { SIZE_MAX, false };

static bool is_out(void)
{
	if (memory.left == SIZE_MAX)
		return false;
	if (memory.left > 0) {
		memory.left--;
		return false;
	}
	memory.left = SIZE_MAX; /* one failure, and what comes after it succeeds */
	memory.failed = true;
	return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return is_out() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return is_out() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return is_out() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return is_out() ? NULL : __real_strdup(s);
}

void *__wrap_arena_alloc(struct arena *a, size_t size)
{
	return is_out() ? NULL : __real_arena_alloc(a, size);
}

char *__wrap_arena_copy(struct arena *a, const char *text, size_t len)
{
	return is_out() ? NULL : __real_arena_copy(a, text, len);
}

void *__wrap_arena_extend(struct arena *a, void *list, size_t n, size_t size)
{
	return is_out() ? NULL : __real_arena_extend(a, list, n, size);
}

/* Returns whether an allocation failed. */
static bool load_with(const struct policy_options *options, size_t allocations, bool valid)
{
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;
	struct judge_scratch *s = NULL;
	int r;

	memory.failed = false;
	memory.left = allocations;
	r = policy_load(options, &p, &diag);
	if (r == 0)
		s = judge_scratch_new(p);
	memory.left = SIZE_MAX;
	if (!memory.failed) {
		assert_int_equal(r, valid ? 0 : -EINVAL);
	} else if (r == 0) {
		assert_null(s);
	} else {
		/* With errors in the text the lack of memory may be met while telling of them. */
		assert_true(r == -ENOMEM || (!valid && r == -EINVAL));
		assert_true(r == -ENOMEM || diag.n > 0);
		assert_null(p);
	}
	judge_scratch_free(s);
	policy_unref(p);
	diag_done(&diag);
	return memory.failed;
}

static void run_after(const char *text, bool valid, const struct policy *before)
{
	static const struct named_port ports[] = { { "web", 0, 8080 } };
	struct policy_text one = { .name = "t.yaml", .text = text, .len = strlen(text) };
	struct policy_options options = { .texts = &one,
					  .n_texts = 1,
					  .ports = ports,
					  .n_ports = ARRAY_SIZE(ports),
					  .secrets = "/nonexistent",
					  .lint = true,
					  .before = before };
	size_t n = 0;

	while (load_with(&options, n, valid))
		n++;
	assert_in_range(n, 20, 100000);
}

static void run(const char *text, bool valid)
{
	run_after(text, valid, NULL);
}

static const char valid_text[] =
	"{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a}, specs: [{"
	"endpointSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]},"
	"egressDeny: [{toCIDR: [10.9.0.0/16]}], egress: ["
	"{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}], toPorts: ["
	"{ports: [{port: 80, protocol: TCP}], rules: {http: ["
	"{path: /a.*|/b, method: GET, host: h, headers: ['X: v', 'Y']}, {path: /a, method: "
	"GET},"
	"{path: '/[0-9]+x', method: 'G+', host: 'h+'}, &x {path: '/(?i)a'}, *x]}},"
	"{ports: [{port: 81, protocol: TCP}], rules: {grpc: [{service: 'a.b', method: c}]}},"
	"{ports: [{port: 82, protocol: TCP}], rules: {http: [{path: ^/a b, headerMatches: ["
	"{name: X, value: y, mismatch: REPLACE}, {name: Z, secret: {name: s}, value: v}]}]}},"
	"{ports: [{port: 80, endPort: 90, protocol: TCP}], rules: {http: [{path: /c}]}}]},"
	"{toEntities: [world], toPorts: [{ports: [{port: 53}, {port: 8080}]}]}]}]}\n";

static void test_valid(void **state)
{
	run(valid_text, true);
}

/* What is taken over from the policy before is taken once, or not at all. */
static void test_reload(void **state)
{
	const struct policy_text one = { "t.yaml", valid_text, sizeof(valid_text) - 1 };
	const struct policy_options options = { .texts = &one, .n_texts = 1 };
	struct diag diag = { .items = NULL };
	struct policy *before = NULL;

	assert_int_equal(policy_load(&options, &before, &diag), 0);
	run_after(valid_text, true, before);
	policy_unref(before);
	diag_done(&diag);
}

static const char small_text[] = CASE_HEAD
	"  egress: [{toPorts: [{ports: [{port: '80', protocol: TCP}],\n"
	"    rules: {http: [{path: /a, method: GET}]}}]}]\n";

/* What is good for one policy is made good for another: whole, or lost. */
static void test_scratch_fit(void **state)
{
	static const char *const texts[] = { small_text, valid_text };
	struct policy *p[2] = { NULL, NULL };
	struct judge_scratch *s;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct policy_text one = { "t.yaml", texts[i], strlen(texts[i]) };
		struct policy_options options = { .texts = &one, .n_texts = 1 };
		struct diag diag = { .items = NULL };

		assert_int_equal(policy_load(&options, &p[i], &diag), 0);
		diag_done(&diag);
	}
	for (size_t n = 0;; n++) {
		s = judge_scratch_new(p[0]);
		assert_non_null(s);
		memory.failed = false;
		memory.left = n;
		r = judge_scratch_fit(&s, p[1]);
		memory.left = SIZE_MAX;
		assert_int_equal(r, memory.failed ? -ENOMEM : 0);
		assert_int_equal(s == NULL, memory.failed);
		if (r == 0)
			break;
	}
	memory.left = 0;
	assert_int_equal(judge_scratch_fit(&s, p[0]), 0); /* it was good for it already */
	memory.left = SIZE_MAX;
	judge_scratch_free(s);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		policy_unref(p[i]);
}

static void test_invalid(void **state)
{
	run(CASE_HEAD "  egrss: []\n  egress: [{toCIDR: [x], toPorts: [{ports: [{port: a}]}]}]\n"
		      "  ingress: [{fromCIDR: [y]}]\n",
	    false);
}

/* ---- a set: loaded, asked, given other endpoints, asked again ---- */

static const char set_text[] =
	"{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a}, specs: [{"
	"endpointSelector: {matchLabels: {app: web}}, egress: [{toEndpoints: ["
	"{matchLabels: {app: db}}, {matchExpressions: [{key: a, operator: Exists}]}], toPorts: ["
	"{ports: [{port: 80, protocol: TCP}], rules: {http: [{path: '/[0-9]+'}]}}]}],"
	"ingress: [{fromEntities: [world]}]},"
	"{endpointSelector: {}, egressDeny: [{toEndpoints: [{matchLabels: {app: web}}]}],"
	"enableDefaultDeny: {egress: false}}]}\n";

static const struct label set_labels[][2] = { { { "app", "web" }, { "k8s:app", "db" } },
					      { { "app", "db" }, { "a", "b" } } };
static const struct address set_addresses[] = { { .family = AF_INET, .ip = { 10, 0, 0, 1 } },
						{ .family = AF_INET6, .ip = { 0xfd, 1 } },
						{ .family = AF_INET, .ip = { 10, 0, 0, 2 } } };
static const struct policy_endpoint set_endpoints[] = {
	{ set_labels[0], 2, set_addresses, 2 }, { set_labels[1], 2, &set_addresses[1], 2 }
};

/* Ask for the policies of both workloads. What is made stays as it was when another is not. */
static int ask_both(struct policy_set *set, struct policy *made[2], struct diag *diag)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++)
		r = policy_set_policy(set, set_labels[i], 2, &made[i], diag);
	return r;
}

static int use_set(const struct policy_options *options, struct policy_set **set,
		   struct policy *made[4], struct diag *diag)
{
	int r = policy_set_load(options, set, diag);

	if (r == 0)
		r = ask_both(*set, made, diag);
	if (r == 0)
		r = policy_set_endpoints(*set, set_endpoints, 2);
	if (r == 0)
		r = ask_both(*set, made + 2, diag);
	return r;
}

static bool set_with(const struct policy_options *options, size_t allocations)
{
	struct policy *made[4] = { NULL }, *p = NULL;
	struct diag diag = { .items = NULL }, other = { .items = NULL };
	struct policy_set *set = NULL;
	int r;

	memory.failed = false;
	memory.left = allocations;
	r = use_set(options, &set, made, &diag);
	memory.left = SIZE_MAX;
	assert_int_equal(r, memory.failed ? -ENOMEM : 0);
	/* With memory the set does what it could not. */
	if (set) {
		assert_int_equal(policy_set_policy(set, set_labels[0], 2, &p, &other), 0);
		assert_true(!made[2] || p == made[2]);
		policy_set_trim(set);
	}
	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		policy_unref(made[i]);
	policy_unref(p);
	policy_set_free(set);
	diag_done(&diag);
	diag_done(&other);
	return memory.failed;
}

static void test_set(void **state)
{
	const struct policy_text one = { "t.yaml", set_text, sizeof(set_text) - 1 };
	struct policy_options options = { .texts = &one,
					  .n_texts = 1,
					  .endpoints_known = true,
					  .endpoints = set_endpoints,
					  .n_endpoints = 1 };
	struct diag diag = { .items = NULL };
	struct policy_set *before = NULL;
	size_t n = 0;

	while (set_with(&options, n))
		n++;
	assert_in_range(n, 50, 100000);
	assert_int_equal(policy_set_load(&options, &before, &diag), 0);
	options.before_set = before;
	for (n = 0; set_with(&options, n);)
		n++;
	policy_set_free(before);
	diag_done(&diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),	    cmocka_unit_test(test_reload),
		cmocka_unit_test(test_scratch_fit), cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
