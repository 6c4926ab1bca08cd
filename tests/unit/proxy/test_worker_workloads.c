/* SPDX-License-Identifier: Apache-2.0 */
/* Several workloads in one worker: each is judged by its own policy, and what changes for one is
 * nothing to the others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "conn.h"
#include "fail_alloc.h"
#include "relay_talk.h"
#include "sluice/array.h"
#include "worker_scene.h"

#define OTHER	   (SCENE_WORKLOAD | 1)
#define SAME_SLOT  (2 * SCENE_WORKLOAD)
#define SAME_PLACE (SCENE_WORKLOAD | SCENE_WORKLOADS) /* a slot that the table has not */
#define UNKNOWN	   (SCENE_WORKLOAD | 2)
#define PER_SCENE  20

/* A client of a workload, and the server that it reaches. */
struct pair {
	int client, server;
};

/* The workload may not ask for DENIED, and is called so. */
static void set_policy(struct worker_changes *changes, uint64_t workload, const char *denied)
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

/* Two workloads, of which SCENE_WORKLOAD may not ask for /deny and OTHER not for /other. */
static void begin(struct scene *s)
{
	struct worker_changes *changes = worker_changes_new();

	scene_begin(s, fake_policy_new(L4_STEER, "/deny"));
	set_policy(changes, OTHER, "/other");
	scene_post(s, changes);
}

static int dial(struct scene *s, uint64_t workload)
{
	struct flow flow = { .destination = s->server, .workload = workload, .local = true };

	return scene_connect_to(s, &flow);
}

static struct pair meet(struct scene *s, uint64_t workload)
{
	struct pair p;

	p.client = dial(s, workload);
	p.server = scene_accept(s);
	return p;
}

static void part(struct pair p)
{
	close(p.client);
	close(p.server);
}

static void check_ended(struct scene *s, struct pair p)
{
	scene_hear_reset(s, p.client);
	scene_hear_reset(s, p.server);
	part(p);
}

static void check_passes(struct scene *s, struct pair p, const char *request)
{
	scene_say(s, p.client, request);
	scene_hear(s, p.server, request);
	scene_say(s, p.server, OK("1", "1"));
	scene_hear(s, p.client, OK("1", "1"));
}

static void check_denied(struct scene *s, struct pair p, const char *request)
{
	scene_say(s, p.client, request);
	scene_hear(s, p.client, FORBIDDEN);
}

static void test_own_policy(void **state)
{
	struct scene s;
	struct pair a, b;

	begin(&s);
	a = meet(&s, SCENE_WORKLOAD);
	b = meet(&s, OTHER);
	check_passes(&s, a, GET("/other"));
	check_denied(&s, a, GET("/deny"));
	check_passes(&s, b, GET("/deny"));
	check_denied(&s, b, GET("/other"));
	part(a);
	part(b);
	scene_end(&s);
}

/* Its connections are not even looked at. */
static void test_untouched(void **state)
{
	struct pair mine[PER_SCENE], other[PER_SCENE];
	struct workload *wl;
	struct scene s;
	unsigned n = 0;

	begin(&s);
	for (int i = 0; i < PER_SCENE; i++) {
		mine[i] = meet(&s, SCENE_WORKLOAD);
		other[i] = meet(&s, OTHER);
		scene_say(&s, mine[i].client, GET("/x"));
		scene_hear(&s, mine[i].server, GET("/x"));
		scene_say(&s, other[i].client, GET("/x"));
		scene_hear(&s, other[i].server, GET("/x"));
	}
	wl = workload_find(&s.worker->workloads, OTHER);
	for (struct conn *c = wl->conns; c; c = workload_next_conn(c), n++)
		assert_int_equal(c->policy_generation, 1);
	assert_int_equal(n, PER_SCENE);
	scene_change(&s, fake_policy_new(L4_STEER, "/x"));
	assert_int_equal(atomic_load(&s.worker->ended), PER_SCENE);
	assert_int_equal(wl->policy_generation, 1);
	for (int i = 0; i < PER_SCENE; i++) {
		check_ended(&s, mine[i]);
		scene_say(&s, other[i].server, OK("1", "1"));
		scene_hear(&s, other[i].client, OK("1", "1"));
		part(other[i]);
	}
	scene_end(&s);
}

static void check_refused(struct scene *s, uint64_t workload, unsigned times)
{
	int client = dial(s, workload);

	scene_hear_reset(s, client);
	close(client);
	assert_true(accept(s->listener, NULL, NULL) < 0);
	assert_int_equal(s->worker->metrics.closed[CLOSE_NO_WORKLOAD], times);
}

/* Whoever comes in a name that is not known is reset, counted and reported. */
static void test_unknown(void **state)
{
	static const uint64_t names[] = { UNKNOWN, SAME_SLOT, SAME_PLACE, 1, UINT64_MAX };
	struct scene s;

	begin(&s);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		check_refused(&s, names[i], i + 1);
	assert_int_equal(s.worker->metrics.opened, 0);
	assert_int_equal(s.worker->reporter.denials.n, 1);
	assert_non_null(strstr(s.worker->reporter.denials.entries[0].text, "workload"));
	scene_end(&s);
}

static void remove_and_check(struct scene *s, uint64_t workload, struct pair ends,
			     struct pair stays)
{
	struct worker_changes *changes = worker_changes_new();

	assert_int_equal(worker_changes_remove_workload(changes, workload), 0);
	scene_post(s, changes);
	assert_null(s->worker->gone);
	assert_null(workload_find(&s->worker->workloads, workload));
	check_ended(s, ends);
	check_passes(s, stays, GET("/x"));
	check_refused(s, workload, 2); /* the first one is the connection that has ended */
}

static void test_remove(void **state)
{
	struct pair a, b;
	struct scene s;

	begin(&s);
	a = meet(&s, SCENE_WORKLOAD);
	b = meet(&s, OTHER);
	scene_say(&s, a.client, GET("/x"));
	scene_hear(&s, a.server, GET("/x"));
	remove_and_check(&s, SCENE_WORKLOAD, a, b);
	assert_int_equal(atomic_load(&s.worker->ended), 1);
	part(b);
	scene_end(&s);
}

/* Also one that waits for its client to read the last answer. */
static void test_remove_draining(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct scene s;
	struct pair a;

	begin(&s);
	a = meet(&s, SCENE_WORKLOAD);
	scene_say(&s, a.client, "GET / HTTP/1.1\r\nhost: h\r\nbad header\r\n\r\n");
	while (s.worker->conns->state != CONN_DRAIN)
		scene_turn(&s, -1, 0);
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	scene_post(&s, changes);
	assert_null(s.worker->conns);
	assert_int_equal(s.worker->metrics.closed[CLOSE_MALFORMED], 1);
	part(a);
	scene_end(&s);
}

/* Before the sweep comes to it an event is enough: not a byte passes in the name of who is gone. */
static void test_remove_without_sweep(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct scene s;
	struct pair a;
	char byte;

	begin(&s);
	a = meet(&s, SCENE_WORKLOAD);
	check_passes(&s, a, GET("/x"));
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	worker_post(s.worker, changes, 2);
	worker_take_changes(s.worker);
	uv_idle_stop(&s.worker->sweep);
	scene_say(&s, a.client, GET("/x"));
	assert_true(scene_read(&s, a.server, &byte, 1) < 0);
	assert_int_equal(s.worker->metrics.closed[CLOSE_NO_WORKLOAD], 1);
	part(a);
	scene_end(&s);
}

/* Who gets the slot of another is not taken for it, whether or not that one was removed before. */
static void test_slot_again(void **state)
{
	for (int removed = 0; removed < 2; removed++) {
		struct worker_changes *changes = worker_changes_new();
		struct pair a, b;
		struct scene s;

		begin(&s);
		a = meet(&s, SCENE_WORKLOAD);
		if (removed)
			assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD),
					 0);
		set_policy(changes, SAME_SLOT, "/again");
		scene_post(&s, changes);
		check_ended(&s, a);
		check_refused(&s, SCENE_WORKLOAD, 2);
		b = meet(&s, SAME_SLOT);
		check_passes(&s, b, GET("/deny"));
		check_denied(&s, b, GET("/again"));
		part(b);
		scene_end(&s);
	}
}

/* Removed and back again by the same id: what it was carrying ends all the same. Who is not there
 * can be removed. */
static void test_order(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct pair a, b;
	struct scene s;

	begin(&s);
	a = meet(&s, SCENE_WORKLOAD);
	assert_int_equal(worker_changes_remove_workload(changes, UNKNOWN), 0);
	assert_int_equal(worker_changes_remove_workload(changes, SAME_SLOT), 0);
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	set_policy(changes, SCENE_WORKLOAD, "/back");
	worker_post(s.worker, changes, 2);
	changes = worker_changes_new();
	set_policy(changes, SCENE_WORKLOAD, "/last");
	worker_post(s.worker, changes, 3);
	scene_wait_swept(&s, 3);
	check_ended(&s, a);
	b = meet(&s, SCENE_WORKLOAD);
	check_passes(&s, b, GET("/back"));
	check_denied(&s, b, GET("/last"));
	part(b);
	scene_end(&s);
}

/* Nothing is ended: it goes on, and is judged by what was in force. */
static void test_remove_in_audit(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct scene s;
	struct pair a;

	begin(&s);
	worker_set_audit(s.worker);
	a = meet(&s, SCENE_WORKLOAD);
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	scene_post(&s, changes);
	assert_non_null(s.worker->gone);
	check_passes(&s, a, GET("/deny"));
	assert_int_equal(s.worker->metrics.requests_denied, 1);
	assert_int_equal(atomic_load(&s.worker->ended), 0);
	part(a);
	scene_end(&s);
}

static void check_summary(struct scene *s, const char *const *lines, unsigned n)
{
	struct denials sum = { 0 };

	worker_merge_denials(s->worker, &sum);
	assert_int_equal(sum.n, n);
	for (unsigned i = 0; i < n; i++)
		assert_non_null(strstr(sum.entries[i].text, lines[i]));
	denials_done(&sum);
}

/* Each denial is told with the name of its workload, also when that is gone. */
static void test_summary(void **state)
{
	static const char *const before[] = { "GET http://h/deny: ",
					      "shop/other: GET http://h/other: " };
	static const char *const after[] = { "shop/other: GET http://h/other: ",
					     "GET http://h/deny: ",
					     "shop/new: GET http://h/new: " };
	struct worker_changes *changes = worker_changes_new();
	struct pair a, b;
	struct scene s;

	begin(&s);
	a = meet(&s, SCENE_WORKLOAD);
	b = meet(&s, OTHER);
	check_denied(&s, a, GET("/deny"));
	check_denied(&s, b, GET("/other"));
	check_denied(&s, b, GET("/other"));
	assert_int_equal(s.worker->reporter.denials.n, 0);
	assert_int_equal(scene_workload(&s)->reporter.denials.n, 1);
	check_summary(&s, before, ARRAY_SIZE(before));
	assert_int_equal(worker_changes_remove_workload(changes, OTHER), 0);
	set_policy(changes, UNKNOWN, "/new");
	scene_post(&s, changes);
	check_ended(&s, b);
	b = meet(&s, UNKNOWN);
	check_denied(&s, b, GET("/new"));
	/* That its connection was ended is told with the rest of what is gone. */
	assert_int_equal(s.worker->reporter.denials.n, 2);
	s.worker->reporter.denials.n = 1;
	check_summary(&s, after, ARRAY_SIZE(after));
	s.worker->reporter.denials.n = 2;
	part(a);
	part(b);
	scene_end(&s);
}

static void ask(struct scene *s, struct worker_question *q)
{
	struct worker_changes *changes = worker_changes_new();

	*q = (struct worker_question){ .result = 0 };
	assert_int_equal(worker_changes_ask(changes, q), 0);
	worker_post(s->worker, changes, 0);
	for (unsigned turn = 0; !atomic_load(&q->answered); turn++) {
		assert_true(turn < SCENE_TURNS_MAX);
		scene_turn(s, -1, 0);
	}
}

static void check_counts(const struct tally *t, uint64_t workload, unsigned open, unsigned allowed,
			 unsigned denied)
{
	const struct workload_tally *wl = tally_find(t, workload);

	assert_non_null(wl);
	assert_int_equal(wl->metrics.open, open);
	assert_int_equal(wl->metrics.requests_allowed, allowed);
	assert_int_equal(wl->metrics.requests_denied, denied);
	assert_int_equal(wl->denials.n, denied > 0);
	if (denied == 0)
		return;
	assert_int_equal(wl->denials.entries[0].denied, denied);
	assert_string_equal(wl->denials.entries[0].policy, "fake");
}

/* Each workload has its own, the worker has all, and nobody waits for a serial. */
static void test_counts(void **state)
{
	struct worker_question q;
	struct pair a, b;
	struct scene s;

	begin(&s);
	a = meet(&s, SCENE_WORKLOAD);
	b = meet(&s, OTHER);
	check_passes(&s, a, GET("/other"));
	check_passes(&s, b, GET("/deny"));
	check_passes(&s, b, GET("/deny"));
	for (int i = 0; i < 3; i++)
		check_denied(&s, b, GET("/other"));
	ask(&s, &q);
	assert_int_equal(q.result, 0);
	assert_int_equal(q.tally.n, 2);
	check_counts(&q.tally, SCENE_WORKLOAD, 1, 1, 0);
	check_counts(&q.tally, OTHER, 1, 2, 3);
	assert_null(tally_find(&q.tally, UNKNOWN));
	assert_int_equal(q.tally.all.requests_allowed, 3);
	assert_int_equal(q.tally.all.requests_denied, 3);
	assert_int_equal(q.tally.all.open, 2);
	assert_int_equal(s.worker->serial, atomic_load(&s.worker->swept));
	tally_done(&q.tally);
	part(b);
	scene_say(&s, a.client, "no request\r\n\r\n");
	part(a);
	scene_wait_idle(&s);
	check_refused(&s, UNKNOWN, 1);
	ask(&s, &q);
	check_counts(&q.tally, OTHER, 0, 2, 3);
	assert_int_equal(tally_find(&q.tally, OTHER)->metrics.closed[CLOSE_DONE], 1);
	assert_int_equal(tally_find(&q.tally, OTHER)->metrics.closed[CLOSE_NO_WORKLOAD], 0);
	assert_int_equal(q.tally.all.closed[CLOSE_NO_WORKLOAD], 1);
	tally_done(&q.tally);
	scene_end(&s);
}

static void test_counts_without_memory(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct worker_question q = { .result = 0 };
	struct scene s;

	begin(&s);
	fail_alloc_at(1);
	assert_int_equal(worker_changes_ask(changes, &q), -ENOMEM);
	fail_alloc_at(0);
	assert_int_equal(worker_changes_ask(changes, &q), 0);
	worker_post(s.worker, changes, 0);
	fail_alloc_at(1);
	worker_take_changes(s.worker);
	assert_true(fail_alloc_happened());
	fail_alloc_at(0);
	assert_true(atomic_load(&q.answered));
	assert_int_equal(q.result, -ENOMEM);
	tally_done(&q.tally);
	scene_end(&s);
}

/* The worker ends while a change has not been taken, or not been swept. */
static void test_end_on_the_way(void **state)
{
	for (int taken = 0; taken < 2; taken++) {
		struct worker_changes *changes = worker_changes_new();
		struct scene s;

		begin(&s);
		set_policy(changes, OTHER, "/x");
		set_policy(changes, UNKNOWN, "/x");
		assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
		worker_post(s.worker, changes, 2);
		if (taken)
			worker_take_changes(s.worker);
		scene_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_policy),
		cmocka_unit_test(test_untouched),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_remove_draining),
		cmocka_unit_test(test_remove_without_sweep),
		cmocka_unit_test(test_slot_again),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_remove_in_audit),
		cmocka_unit_test(test_summary),
		cmocka_unit_test(test_end_on_the_way),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_counts_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
