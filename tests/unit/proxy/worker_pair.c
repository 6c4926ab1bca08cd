/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_pair.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "relay_talk.h"

void pair_set_policy(struct worker_changes *changes, uint64_t workload, const char *denied)
{
	const struct workload_names names = { .name = denied + 1, .namespace_ = "shop" };
	struct policy *policy = fake_policy_new(L4_STEER, denied);
	struct workload_info *info;
	struct error err = { "" };

	assert_int_equal(workload_info_new(&names, &info, &err), 0);
	assert_int_equal(worker_changes_set_policy(changes, workload, policy, info), 0);
	policy_unref(policy);
	workload_info_unref(info);
}

void pair_begin(struct scene *s)
{
	struct worker_changes *changes = worker_changes_new();

	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
	pair_set_policy(changes, OTHER, "/other");
	scene_post(s, changes);
}

int pair_dial(struct scene *s, uint64_t workload)
{
	struct flow flow = { .destination = s->server, .workload = workload, .local = true };

	return scene_connect_to(s, &flow);
}

struct pair pair_meet(struct scene *s, uint64_t workload)
{
	struct pair p;

	p.client = pair_dial(s, workload);
	p.server = scene_accept(s);
	return p;
}

void pair_part(struct pair p)
{
	close(p.client);
	close(p.server);
}

void pair_check_ended(struct scene *s, struct pair p)
{
	scene_hear_reset(s, p.client);
	scene_hear_reset(s, p.server);
	pair_part(p);
}

void pair_check_passes(struct scene *s, struct pair p, const char *request)
{
	scene_say(s, p.client, request);
	scene_hear(s, p.server, request);
	scene_say(s, p.server, OK("1", "1"));
	scene_hear(s, p.client, OK("1", "1"));
}

void pair_check_denied(struct scene *s, struct pair p, const char *request)
{
	scene_say(s, p.client, request);
	scene_hear(s, p.client, FORBIDDEN);
}

void pair_check_refused(struct scene *s, uint64_t workload, unsigned times)
{
	int client = pair_dial(s, workload);

	scene_hear_reset(s, client);
	close(client);
	assert_true(accept(s->listener, NULL, NULL) < 0);
	assert_int_equal(s->worker->metrics.closed[CLOSE_NO_WORKLOAD], times);
}
