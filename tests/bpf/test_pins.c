/* SPDX-License-Identifier: Apache-2.0 */
/* The pins of a dead one go, and with them its links; those of the living stay, whatever somebody
 * who may write there has put among them. */
#include "scene.h"
#include <bpf/bpf.h>
#include <sys/stat.h>
#include "pins.h"
#include "sluice/array.h"

#define DEAD "/sys/fs/bpf/sluice/dead"
#define LINK "link_0_steer_connect4" /* as steer_attach() calls it */

static int count(void *ctx, uint64_t id)
{
	unsigned *n = ctx;

	(void)id;
	++*n;
	return 0;
}

/* How many links hold a cgroup. */
static unsigned attached(const struct scene *s)
{
	unsigned n = 0;

	assert_int_equal(pins_each_cgroup(s->pin_dir, count, &n), 0);
	return n;
}

static const struct {
	const char *name, *pin;
	mode_t mode;
	bool symbolic, detached;
} cases[] = {
	{ "its own", DEAD "/" LINK, 0700, false, true },
	{ "not called a link", DEAD "/other", 0700, false, false },
	{ "a symbolic link", DEAD "/" LINK, 0700, true, false },
	{ "others may write", DEAD "/" LINK, 0702, false, false },
};

static void test_removed(void **state)
{
	const struct scene *s = *state;
	unsigned before = attached(s);
	char living[256];
	struct stat st;

	assert_true(before > 0);
	snprintf(living, sizeof(living), "%s/%s", s->pin_dir, LINK);
	for (size_t i = ARRAY_SIZE(cases); i-- > 0;) { /* the one that detaches is the last */
		int fd = bpf_obj_get(living);

		print_message("%s\n", cases[i].name);
		assert_true(fd >= 0);
		assert_int_equal(mkdir(DEAD, 0700), 0);
		assert_int_equal(chmod(DEAD, cases[i].mode), 0);
		assert_int_equal(cases[i].symbolic ? symlink(living, cases[i].pin)
						   : bpf_obj_pin(fd, cases[i].pin),
				 0);
		close(fd);
		assert_int_equal(pins_remove(DEAD), 0);
		assert_true(lstat(DEAD, &st) < 0);
		assert_int_equal(attached(s), before - cases[i].detached);
	}
}

static void test_nothing_there(void **state)
{
	unsigned n = 0;

	assert_int_equal(pins_remove(DEAD), 0);
	assert_int_equal(pins_each_cgroup(DEAD, count, &n), 0);
	assert_int_equal(n, 0);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_removed, scene_setup, scene_teardown),
		cmocka_unit_test(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
