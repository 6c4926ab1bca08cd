/* SPDX-License-Identifier: Apache-2.0 */
/* What was left alone for not leaving its network namespace, when the workload's flags change: as
 * another workload in the same slot, and in place. */
#include "netns_stage.h"
#include <bpf/bpf.h>
#include <sched.h>
#include "look.h"
#include "shared.h"
#include "sweep.h"

static struct elsewhere there;

/* Nobody may do anything, but within. */
static const struct l4_table nothing = { .enforced = true, .ingress_enforced = true };

static int setup(void **state)
{
	int r = elsewhere_setup(state, &there);

	elsewhere_hold(*state, 0, &nothing);
	return r;
}

static int teardown(void **state)
{
	return elsewhere_teardown(state, &there);
}

/* ---- a connection there, whose other end is nobody's ---- */

static void write_twice(int fd, int conn)
{
	CHECK(conn >= 0);
	for (int i = 0; i < 2; i++) {
		(void)!write(conn, "x", 1);
		meet(fd);
	}
}

static void dial_and_write(int fd, void *arg)
{
	(void)arg;
	CHECK(setns(there.fd, CLONE_NEWNET) == 0);
	write_twice(fd, dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED));
}

static void accept_and_write(int fd, void *arg)
{
	int server;

	(void)arg;
	CHECK(setns(there.fd, CLONE_NEWNET) == 0);
	server = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED);
	meet(fd);
	write_twice(fd, accept(server, NULL, NULL));
}

static int dial_from_there(void)
{
	int home = elsewhere_visit(&there);
	int fd = dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED);

	elsewhere_come_back(home);
	return fd;
}

/* ---- how the flags change ---- */

static void become_another(struct scene *s)
{
	uint64_t before = s->workload;

	elsewhere_hold(s, STEER_WORKLOAD_LOOPBACK, &nothing);
	assert_int_equal((uint32_t)before, (uint32_t)s->workload); /* the slot */
	assert_true(before != s->workload);
}

static void become_another_unchanged(struct scene *s)
{
	elsewhere_hold(s, 0, &nothing);
}

static void change_in_place(struct scene *s)
{
	uint32_t slot = (uint32_t)s->workload;
	struct workload_config w;
	char path[sizeof(s->pin_dir) + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/workloads", s->pin_dir);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &slot, &w), 0);
	w.flags |= WORKLOAD_LOOPBACK;
	assert_int_equal(bpf_map_update_elem(fd, &slot, &w, BPF_ANY), 0);
	close(fd);
}

static void on_swept(void *ctx, const struct swept *e)
{
	(void)e;
	*(unsigned *)ctx += 1;
}

struct change {
	void (*make)(struct scene *s);
	bool serves;  /* the workload, or else it dials */
	bool writes;  /* before the sweep */
	bool remains; /* the connection */
};

static void check_change(struct scene *s, const struct change *c)
{
	int server = c->serves ? -1 : elsewhere_listen(&there, AF_INET, "127.0.0.1", PORT_REFUSED);
	struct worker w = worker_start(s, c->serves ? accept_and_write : dial_and_write, NULL);
	unsigned swept = 0;
	int conn;

	if (c->serves)
		meet(w.fd);
	conn = c->serves ? dial_from_there() : accept(server, NULL, NULL);
	assert_true(conn >= 0);
	assert_int_equal(look_next_byte(conn, 5000), 'x');
	c->make(s);
	if (c->writes) {
		meet(w.fd);
		assert_int_equal(look_next_byte(conn, c->remains ? 5000 : 50),
				 c->remains ? 'x' : 0);
	}
	assert_int_equal(steer_sweep(s->steer, on_swept, &swept), 0);
	assert_int_equal(swept, c->remains ? 0 : 1);
	worker_end(&w);
	close(conn);
	if (server >= 0)
		close(server);
}

static void test_changes(void **state)
{
	const struct change changes[] = {
		{ become_another, .writes = true },
		{ become_another, .writes = false },
		{ become_another, .serves = true, .writes = true },
		{ change_in_place, .writes = true },
		{ change_in_place, .writes = false },
		{ change_in_place, .serves = true, .writes = true },
		{ become_another_unchanged, .writes = true, .remains = true },
		{ become_another_unchanged, .serves = true, .writes = true, .remains = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		elsewhere_hold(*state, 0, &nothing);
		check_change(*state, &changes[i]);
	}
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
