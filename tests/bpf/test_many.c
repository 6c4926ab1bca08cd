/* SPDX-License-Identifier: Apache-2.0 */
/* Many workloads come and go: every slot is free again, and no id is used twice. */
#include "scene.h"

#define MANY 200 /* each removal waits for the programs that may be using its slot */

static void test_many(void **state)
{
	const struct steer_options options = { .max_flows = 64, .max_workloads = MANY };
	struct l4_peer peers[] = { { .family = 4, .identity = 1 } };
	const struct l4_table table = { .enforced = true, .peers = peers, .n_peers = 1 };
	uint64_t *ids = test_calloc(MANY, sizeof(*ids)), last = 0;
	struct error err = { "" };
	struct steer *steer;
	int fd;

	(void)state;
	assert_int_equal(steer_open(&options, &steer, &err), 0);
	fd = steer_build_table(&table, &err);
	assert_true(fd >= 0);
	for (unsigned round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < MANY; i++) {
			/* A cgroup that is gone never comes back. */
			uint64_t cgroup = (1ull << 40) + (uint64_t)round * MANY + i;

			if (steer_add_workload(steer, cgroup, 0, &ids[i], &err) < 0)
				fail_msg("%s", err.text);
			assert_true(ids[i] > last); /* serials grow, and are the upper half */
			last = ids[i];
		}
		assert_int_equal(steer_switch_table(steer, ids[MANY / 2], fd, &table, &err), 0);
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(steer_remove_workload(steer, ids[i]), 0);
		assert_int_equal(steer_switch_table(steer, ids[0], fd, &table, &err), -ENOENT);
	}
	close(fd);
	steer_close(steer);
	test_free(ids);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_many) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
