/* SPDX-License-Identifier: Apache-2.0 */
/* Counts by rule and by workload: added up, bounded, and without memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "sluice/array.h"
#include "tally.h"

static struct rule_ref rule_of(const char *policy, const char *namespace_, const char *path)
{
	return (struct rule_ref){ .policy = policy, .namespace_ = namespace_, .path = path };
}

static const struct rule_ref rules[] = {
	{ .policy = "a", .namespace_ = "", .path = "http[0]" },
	{ .policy = "a", .namespace_ = "", .path = "http[1]" },
	{ .policy = "a", .namespace_ = "shop", .path = "http[0]" },
	{ .policy = "b", .namespace_ = "", .path = "http[0]" },
	/* The same letters as the first one. */
	{ .policy = "", .namespace_ = "a", .path = "http[0]" },
};

static const struct rule_count *find(const struct rule_counts *c, const struct rule_ref *rule)
{
	for (unsigned i = 0; i < c->n; i++)
		if (strcmp(c->entries[i].policy, rule->policy) == 0 &&
		    strcmp(c->entries[i].namespace_, rule->namespace_) == 0 &&
		    strcmp(c->entries[i].path, rule->path) == 0)
			return &c->entries[i];
	return NULL;
}

static uint64_t count_of(const struct rule_counts *c, const struct rule_ref *rule)
{
	const struct rule_count *e = find(c, rule);

	return e ? e->denied : 0;
}

static void test_rules(void **state)
{
	char policy[] = "a", namespace_[] = "", path[] = "http[0]";
	struct rule_ref again = rule_of(policy, namespace_, path); /* of a policy loaded anew */
	struct rule_counts c = { 0 }, sum = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rule_counts_add(&c, &rules[i], i + 1);
	rule_counts_add(&c, &again, 10);
	rule_counts_add(&c, NULL, 7);
	memset(policy, 'x', 1); /* nothing of it is held on to */
	memset(path, 'x', 7);
	assert_int_equal(c.n, ARRAY_SIZE(rules));
	assert_int_equal(count_of(&c, &rules[0]), 11);
	for (size_t i = 1; i < ARRAY_SIZE(rules); i++)
		assert_int_equal(count_of(&c, &rules[i]), i + 1);
	assert_int_equal(c.others, 7);
	rule_counts_add(&sum, &rules[3], 100);
	rule_counts_merge(&sum, &c);
	rule_counts_merge(&sum, &c);
	assert_int_equal(count_of(&sum, &rules[3]), 108);
	assert_int_equal(count_of(&sum, &rules[0]), 22);
	assert_int_equal(sum.others, 14);
	rule_counts_done(&c);
	rule_counts_done(&sum);
}

static void test_rules_bounded(void **state)
{
	struct rule_counts c = { 0 };

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < RULE_COUNTS_MAX + 100; i++) {
			char path[32];
			struct rule_ref rule = rule_of("a", "", path);

			snprintf(path, sizeof(path), "http[%d]", i);
			rule_counts_add(&c, &rule, 1);
		}
	assert_int_equal(c.n, RULE_COUNTS_MAX);
	assert_int_equal(c.others, 200);
	for (unsigned i = 0; i < c.n; i++)
		assert_int_equal(c.entries[i].denied, 2);
	rule_counts_done(&c);
}

/* What cannot be told apart is counted all the same. */
static void test_rules_without_memory(void **state)
{
	for (unsigned n = 1; n <= 2; n++) {
		struct rule_counts c = { 0 };

		fail_alloc_at(n);
		rule_counts_add(&c, &rules[0], 3);
		assert_true(fail_alloc_happened());
		fail_alloc_at(0);
		assert_int_equal(c.n, 0);
		assert_int_equal(c.others, 3);
		rule_counts_add(&c, &rules[0], 4);
		assert_int_equal(count_of(&c, &rules[0]), 4);
		rule_counts_done(&c);
	}
}

static void test_sum(void **state)
{
	static const uint64_t ids[][3] = { { 5, 6, 7 }, { 7, 5, 6 }, { 6, 9, 5 } };
	const struct metrics m = { .opened = 2, .open = 1, .closed[CLOSE_OOM] = 3 };
	struct rule_counts denials = { .others = 4 };
	struct tally sum = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct tally t = { .all = m };

		for (size_t j = 0; j < ARRAY_SIZE(ids[i]); j++)
			assert_int_equal(tally_add_workload(&t, ids[i][j], &m, &denials), 0);
		assert_int_equal(tally_add(&sum, &t), 0);
		tally_done(&t);
	}
	assert_int_equal(sum.n, 4);
	assert_int_equal(tally_find(&sum, 5)->metrics.opened, 6);
	assert_int_equal(tally_find(&sum, 6)->metrics.closed[CLOSE_OOM], 9);
	assert_int_equal(tally_find(&sum, 6)->denials.others, 12);
	assert_int_equal(tally_find(&sum, 7)->metrics.open, 2);
	assert_int_equal(tally_find(&sum, 9)->metrics.open, 1);
	assert_null(tally_find(&sum, 8));
	assert_int_equal(sum.all.opened, 6);
	tally_done(&sum);
	assert_null(tally_find(&sum, 5));
}

static void test_sum_without_memory(void **state)
{
	const struct metrics m = { .open = 1 };
	struct rule_counts denials = { 0 };
	struct tally sum = { 0 };

	fail_alloc_at(1);
	assert_int_equal(tally_add_workload(&sum, 1, &m, &denials), -ENOMEM);
	fail_alloc_at(0);
	assert_int_equal(sum.n, 0);
	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(tally_add_workload(&sum, id, &m, &denials), 0);
	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(tally_find(&sum, id)->metrics.open, 1);
	tally_done(&sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_rules_bounded),
		cmocka_unit_test(test_rules_without_memory),
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_sum_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
