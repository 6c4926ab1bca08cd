/* SPDX-License-Identifier: Apache-2.0 */
/* A workload is removed from a worker: its connections end, but what it said before it ended itself
 * arrives. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "conn.h"
#include "relay_talk.h"
#include "worker_pair.h"

static void remove_and_check(struct scene *s, uint64_t workload, struct pair ends,
			     struct pair stays)
{
	struct worker_changes *changes = worker_changes_new();

	assert_int_equal(worker_changes_remove_workload(changes, workload), 0);
	scene_post(s, changes);
	assert_null(s->worker->gone);
	assert_null(workload_find(&s->worker->workloads, workload));
	pair_check_ended(s, ends);
	pair_check_passes(s, stays, GET("/x"));
	pair_check_refused(s, workload, 2); /* the first one is the connection that has ended */
}

static void test_remove(void **state)
{
	struct pair a, b;
	struct scene s;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	b = pair_meet(&s, OTHER);
	scene_say(&s, a.client, GET("/x"));
	scene_hear(&s, a.server, GET("/x"));
	remove_and_check(&s, SCENE_WORKLOAD, a, b);
	assert_int_equal(atomic_load(&s.worker->ended), 1);
	pair_part(b);
	scene_end(&s);
}

/* Also one that waits for its client to read the last answer. */
static void test_remove_draining(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct scene s;
	struct pair a;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	scene_say(&s, a.client, "GET / HTTP/1.1\r\nhost: h\r\nbad header\r\n\r\n");
	while (s.worker->conns->state != CONN_DRAIN)
		scene_turn(&s, -1, 0);
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	scene_post(&s, changes);
	assert_null(s.worker->conns);
	assert_int_equal(s.worker->metrics.closed[CLOSE_MALFORMED], 1);
	pair_part(a);
	scene_end(&s);
}

/* Who comes to its end before it is removed has said everything, whether or not it was read: as
 * without us, it arrives. */
static void test_remove_ended(void **state)
{
	for (int ingress = 0; ingress < 2; ingress++) {
		struct flow flow = { .local = true, .ingress = ingress };
		struct worker_changes *changes = worker_changes_new();
		struct scene s;
		struct pair a;

		pair_begin(&s);
		flow.destination = s.server;
		a.client = scene_connect_to(&s, &flow);
		a.server = scene_accept(&s);
		if (ingress) {
			scene_say(&s, a.client, GET("/x"));
			scene_hear(&s, a.server, GET("/x"));
			assert_int_equal(send(a.server, OK_REST("all"), strlen(OK_REST("all")), 0),
					 strlen(OK_REST("all")));
			close(a.server);
		} else {
			assert_int_equal(send(a.client, GET("/x"), strlen(GET("/x")), 0),
					 strlen(GET("/x")));
			close(a.client);
		}
		assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
		worker_post(s.worker, changes, 2);
		worker_take_changes(s.worker); /* before it is read */
		scene_wait_swept(&s, 2);
		scene_hear(&s, ingress ? a.client : a.server, ingress ? OK_REST("all") : GET("/x"));
		scene_hear_end(&s, ingress ? a.client : a.server);
		close(ingress ? a.client : a.server);
		scene_wait_idle(&s);
		assert_int_equal(s.worker->metrics.closed[CLOSE_DONE], 1);
		assert_int_equal(atomic_load(&s.worker->ended), 0);
		scene_end(&s);
	}
}

/* It is judged by the last policy, and it is not waited for longer than that. */
static void test_remove_ended_late(void **state)
{
	static char body[8 << 20];
	struct worker_changes *changes = worker_changes_new();
	struct scene s;
	struct pair a;
	ssize_t n;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	scene_shrink_buffers(a.server);
	scene_say(&s, a.client, GET("/deny") POST("/x", "99999999", ""));
	for (int i = 0; i < 100; i++) {
		n = send(a.client, body, sizeof(body), MSG_NOSIGNAL);
		assert_true(n > 0 || errno == EAGAIN);
		scene_turn(&s, -1, 0);
	}
	close(a.client); /* nobody reads it, nor the answer: by a reset or in order */
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	scene_post(&s, changes);
	if (s.worker->conns)
		conn_tick(s.worker->conns, uv_now(&s.worker->loop) + s.shared.limits.wind_up + 1);
	close(a.server);
	scene_wait_idle(&s);
	assert_int_equal(s.worker->metrics.requests_denied, 1);
	assert_int_equal(s.worker->metrics.closed[CLOSE_DONE], 0);
	scene_end(&s);
}

/* Before the sweep comes to it an event is enough: not a byte passes in the name of who is gone. */
static void test_remove_without_sweep(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct scene s;
	struct pair a;
	char byte;

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	pair_check_passes(&s, a, GET("/x"));
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	worker_post(s.worker, changes, 2);
	worker_take_changes(s.worker);
	uv_idle_stop(&s.worker->sweep);
	scene_say(&s, a.client, GET("/x"));
	assert_true(scene_read(&s, a.server, &byte, 1) < 0);
	assert_int_equal(s.worker->metrics.closed[CLOSE_NO_WORKLOAD], 1);
	pair_part(a);
	scene_end(&s);
}

/* Who gets the slot of another is not taken for it, whether or not that one was removed before. */
static void test_slot_again(void **state)
{
	for (int removed = 0; removed < 2; removed++) {
		struct worker_changes *changes = worker_changes_new();
		struct pair a, b;
		struct scene s;

		pair_begin(&s);
		a = pair_meet(&s, SCENE_WORKLOAD);
		if (removed)
			assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD),
					 0);
		pair_set_policy(changes, SAME_SLOT, "/again");
		scene_post(&s, changes);
		pair_check_ended(&s, a);
		pair_check_refused(&s, SCENE_WORKLOAD, 2);
		b = pair_meet(&s, SAME_SLOT);
		pair_check_passes(&s, b, GET("/deny"));
		pair_check_denied(&s, b, GET("/again"));
		pair_part(b);
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

	pair_begin(&s);
	a = pair_meet(&s, SCENE_WORKLOAD);
	assert_int_equal(worker_changes_remove_workload(changes, UNKNOWN), 0);
	assert_int_equal(worker_changes_remove_workload(changes, SAME_SLOT), 0);
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	pair_set_policy(changes, SCENE_WORKLOAD, "/back");
	worker_post(s.worker, changes, 2);
	changes = worker_changes_new();
	pair_set_policy(changes, SCENE_WORKLOAD, "/last");
	worker_post(s.worker, changes, 3);
	scene_wait_swept(&s, 3);
	pair_check_ended(&s, a);
	b = pair_meet(&s, SCENE_WORKLOAD);
	pair_check_passes(&s, b, GET("/back"));
	pair_check_denied(&s, b, GET("/last"));
	pair_part(b);
	scene_end(&s);
}

/* Nothing is ended: it goes on, and is judged by what was in force. */
static void test_remove_in_audit(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	struct scene s;
	struct pair a;

	pair_begin(&s);
	worker_set_audit(s.worker);
	a = pair_meet(&s, SCENE_WORKLOAD);
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	scene_post(&s, changes);
	assert_non_null(s.worker->gone);
	pair_check_passes(&s, a, GET("/deny"));
	assert_int_equal(s.worker->metrics.requests_denied, 1);
	assert_int_equal(atomic_load(&s.worker->ended), 0);
	pair_part(a);
	scene_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_remove_ended),
		cmocka_unit_test(test_remove_ended_late),
		cmocka_unit_test(test_remove_draining),
		cmocka_unit_test(test_remove_without_sweep),
		cmocka_unit_test(test_slot_again),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_remove_in_audit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
