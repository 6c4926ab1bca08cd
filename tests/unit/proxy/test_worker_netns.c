/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that listens in another network namespace, and dials from there. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "conn.h"
#include "netns.h"
#include "relay_talk.h"
#include "sockaddr.h"
#include "worker_scene.h"

/* In a namespace of the test's own: a server, and a client that the worker carries. */
struct place {
	struct scene s;
	struct netns *home, *other;
	uint16_t ports[2];
	int listener, client, server;
};

static int open_other(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	close(fd);
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int listen_there(struct place *p)
{
	struct address a = { .family = AF_INET, .ip = { 127, 0, 0, 1 } };
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_from(&a, &ss);
	int fd = netns_socket(p->other, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(fd, 10), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(sockaddr_to(&ss, &p->s.server), 0);
	return fd;
}

static void add_netns(struct place *p)
{
	struct worker_changes *changes = worker_changes_new();
	struct worker_netns *wn;
	struct error err = { "" };

	assert_int_equal(worker_netns_new(p->other, &p->s.steer, p->ports, &wn, &err), 0);
	assert_true(p->ports[0] != 0);
	fail_alloc_at(1);
	assert_int_equal(worker_changes_add_netns(changes, &wn), -ENOMEM);
	fail_alloc_at(0);
	assert_int_equal(worker_changes_add_netns(changes, &wn), 0);
	assert_null(wn);
	scene_post(&p->s, changes);
}

static int dial(struct place *p, uint32_t netns)
{
	struct address to = { .family = AF_INET, .port = p->ports[0], .ip = { 127, 0, 0, 1 } };
	struct address here = { .family = AF_INET, .ip = { 127, 0, 0, 1 } };
	struct flow flow = { .destination = p->s.server,
			     .netns = netns,
			     .workload = SCENE_WORKLOAD,
			     .local = true };
	int fd = netns_socket(p->other, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_from(&here, &ss);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(sockaddr_to(&ss, &flow.client), 0);
	fake_steer_file(&p->s.steer, &flow);
	len = sockaddr_from(&to, &ss);
	assert_true(connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS);
	return fd;
}

static bool begin(struct place *p)
{
	int fd;

	memset(p, 0, sizeof(*p));
	assert_int_equal(netns_home(&p->home), 0);
	fd = open_other();
	if (fd < 0) {
		netns_unref(p->home);
		return false;
	}
	assert_int_equal(setns(p->home->fd, CLONE_NEWNET), 0);
	assert_int_equal(netns_new(p->home, fd, 1, &p->other), 0);
	close(fd);
	scene_begin(&p->s, fake_policy_new(L4_STEER, "/deny"));
	close(p->s.listener);
	add_netns(p);
	p->s.listener = listen_there(p);
	p->client = dial(p, 1);
	p->server = scene_accept(&p->s);
	return true;
}

static void remove_netns(struct place *p)
{
	struct worker_changes *changes = worker_changes_new();

	assert_int_equal(worker_changes_remove_netns(changes, 1), 0);
	assert_int_equal(worker_changes_remove_netns(changes, 0), 0); /* stays */
	assert_int_equal(worker_changes_remove_netns(changes, SCENE_NETNS), 0);
	scene_post(&p->s, changes);
	assert_null(p->s.worker->netns[1]);
	assert_non_null(p->s.worker->netns[0]);
}

/* Other references are of the worker. */
static void end(struct place *p)
{
	remove_netns(p);
	assert_int_equal(p->other->conns, 0);
	assert_int_equal(p->other->refs, 1);
	close(p->client);
	close(p->server);
	scene_end(&p->s);
	netns_unref(p->other);
	netns_unref(p->home);
}

static void test_carried(void **state)
{
	struct place p;

	if (!begin(&p))
		skip();
	scene_say(&p.s, p.client, GET("/a"));
	scene_hear(&p.s, p.server, GET("/a"));
	scene_say(&p.s, p.server, OK("1", "1"));
	scene_hear(&p.s, p.client, OK("1", "1"));
	scene_say(&p.s, p.client, GET("/deny"));
	scene_hear(&p.s, p.client, FORBIDDEN);
	assert_int_equal(p.s.worker->conns->flow.netns, 1);
	assert_int_equal(p.s.worker->netns[1]->n_conns, 1);
	assert_int_equal(p.other->conns, 1);
	end(&p);
}

/* When it says that it is done no socket is left there, and the number may be given again. */
static void test_removed(void **state)
{
	struct place p;

	if (!begin(&p))
		skip();
	remove_netns(&p);
	assert_null(p.s.worker->conns);
	scene_hear_reset(&p.s, p.client);
	scene_hear_reset(&p.s, p.server);
	close(p.client);
	close(p.server);
	p.ports[0] = p.ports[1] = 0;
	add_netns(&p);
	p.client = dial(&p, 1);
	p.server = scene_accept(&p.s);
	end(&p);
}

static void note_progress(uv_async_t *async)
{
	++*(unsigned *)async->data;
}

/* What a workload said before it ended is delivered, and only then its namespace is left, of which
 * whoever waits for it is told. */
static void test_left(void **state)
{
	struct worker_changes *changes = worker_changes_new();
	unsigned told = 0;
	uv_loop_t loop;
	uv_async_t progress;
	struct place p;

	if (!begin(&p))
		skip();
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_async_init(&loop, &progress, note_progress), 0);
	progress.data = &told;
	assert_int_equal(send(p.client, GET("/x"), strlen(GET("/x")), 0), strlen(GET("/x")));
	close(p.client);
	assert_int_equal(worker_changes_remove_workload(changes, SCENE_WORKLOAD), 0);
	worker_post(p.s.worker, changes, p.s.worker->serial + 1);
	worker_take_changes(p.s.worker); /* before it is read */
	p.s.worker->progress = &progress;
	assert_false(netns_is_left(p.other));
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(told, 0);
	scene_wait_swept(&p.s, p.s.worker->serial);
	scene_hear(&p.s, p.server, GET("/x"));
	scene_hear_end(&p.s, p.server);
	close(p.server);
	p.server = -1;
	scene_wait_idle(&p.s);
	assert_true(netns_is_left(p.other));
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(told, 1); /* also of the sweep: once for all that has happened */
	p.s.worker->progress = NULL;
	assert_int_equal(p.s.worker->metrics.closed[CLOSE_DONE], 1);
	uv_close((uv_handle_t *)&progress, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	p.client = -1;
	end(&p);
}

/* It is the listener that says where a connection is. */
static void test_listener_says(void **state)
{
	struct place p;
	int client;

	if (!begin(&p))
		skip();
	client = dial(&p, 0);
	close(scene_accept(&p.s));
	close(client);
	end(&p);
}

static void test_without_memory(void **state)
{
	struct worker_netns *wn;
	uint16_t ports[2] = { 0, 0 };
	struct steer steer = { 0 };
	struct error err = { "" };

	fail_alloc_at(1);
	assert_int_equal(worker_netns_new(NULL, &steer, ports, &wn, &err), -ENOMEM);
	fail_alloc_at(0);
	assert_true(err.text[0] != '\0');
	worker_netns_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_carried),	       cmocka_unit_test(test_removed),
		cmocka_unit_test(test_left),	       cmocka_unit_test(test_listener_says),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
