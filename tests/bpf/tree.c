/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"
#include <signal.h>
#include "sweep.h"

struct scene tree_below(const struct scene *base, const char *name)
{
	struct scene ret = *base;
	struct error err = { "" };

	if (cgroup_make(&ret.cgroup, name, &err) < 0)
		fail_msg("%s", err.text);
	return ret;
}

int tree_setup(void **state)
{
	const struct steer_options options = { .max_flows = 1024, .max_workloads = 3 };
	struct tree *t = test_calloc(1, sizeof(*t));
	struct error err = { "" };
	struct scene *s = &t->base;

	*state = t;
	scene_open(s, "base", &options);
	scene_add_listeners(s);
	if (steer_attach(s->steer, s->cgroup.fd, s->pin_dir, &err) < 0)
		fail_msg("%s", err.text);
	t->a = tree_below(s, "base/a");
	t->inner = tree_below(s, "base/a/inner");
	t->b = tree_below(s, "base/b");
	t->dead = tree_below(s, "base/dead");
	return 0;
}

int tree_teardown(void **state)
{
	struct tree *t = *state;
	struct cgroup *const all[] = { &t->dead.cgroup, &t->b.cgroup, &t->inner.cgroup,
				       &t->a.cgroup, &t->base.cgroup };

	cgroup_signal(&t->base.cgroup, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	routes_close(t->base.routes);
	steer_close(t->base.steer);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i]->fd >= 0)
			assert_int_equal(cgroup_remove(all[i]), 0);
	assert_true(access(t->base.pin_dir, F_OK) < 0);
	close(t->base.listener4);
	close(t->base.listener6);
	test_free(t);
	return 0;
}

void tree_add(struct scene *s, enum l4_action allowed)
{
	scene_add_workload(s, &s->cgroup);
	scene_set_allowed(s, allowed);
}

static void on_swept(void *ctx, const struct swept *e)
{
	uint64_t *workload = ctx;

	assert_int_equal(*workload, 0); /* one at most */
	*workload = e->workload;
}

uint64_t tree_sweep(struct scene *s)
{
	uint64_t ret = 0;

	assert_int_equal(steer_sweep(s->steer, on_swept, &ret), 0);
	return ret;
}

struct expected {
	uint16_t port;
	int result; /* of connect(): 0 for a descriptor */
};

static void dial_one(int fd, void *arg)
{
	const struct expected *e = arg;
	int r = dial_tcp(AF_INET, "127.0.0.1", e->port);

	(void)fd;
	CHECK(e->result ? r == e->result : r >= 0);
}

void tree_expect(struct scene *s, uint16_t port, int result)
{
	struct expected e = { port, result };

	worker_run(s, dial_one, &e);
}
