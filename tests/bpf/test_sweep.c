/* SPDX-License-Identifier: Apache-2.0 */
/* A new table and what was connected under the old one: ended, left alone, never unjudged. */
#include "scene.h"
#include <poll.h>
#include <sched.h>
#include "sweep.h"

struct swept_list {
	struct swept items[16];
	unsigned n;
};

static void on_swept(void *ctx, const struct swept *e)
{
	struct swept_list *list = ctx;

	if (list->n < ARRAY_SIZE(list->items))
		list->items[list->n] = *e;
	list->n++;
}

static struct swept_list sweep(struct scene *s)
{
	struct swept_list list = { .n = 0 };

	assert_int_equal(steer_sweep(s->steer, on_swept, &list), 0);
	return list;
}

static bool is_aborted(int sock)
{
	struct pollfd p = { sock, POLLIN, 0 };
	char c;

	if (poll(&p, 1, 5000) != 1)
		return false;
	return read(sock, &c, 1) < 0 && (errno == ECONNABORTED || errno == ECONNRESET);
}

struct connected {
	const char *ip, *device;
	int family;
	bool own_network, survives;
};

static int listen_in_own_network(const struct connected *t)
{
	CHECK(unshare(CLONE_NEWNET) == 0);
	CHECK(system("ip link set lo up") == 0);
	return scene_listen(t->family, t->ip, PORT_ALLOWED);
}

static void connect_and_wait(int fd, void *arg)
{
	const struct connected *t = arg;
	int server = t->own_network ? listen_in_own_network(t) : -1;
	int sock = socket(t->family, SOCK_STREAM, 0);

	if (t->device)
		CHECK(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, t->device,
				 (socklen_t)strlen(t->device)) == 0);
	CHECK(dial(sock, t->family, t->ip, PORT_ALLOWED) == 0);
	CHECK(write(sock, "x", 1) == 1);
	meet(fd);
	meet(fd);
	if (t->survives)
		CHECK(write(sock, "x", 1) == 1);
	else
		CHECK(is_aborted(sock));
	close(server);
}

static void check_connected(struct scene *s, struct connected *t, bool from_nothing,
			    enum l4_action then)
{
	struct swept_list list;
	struct worker w;

	scene_set_table(s, !from_nothing);
	w = worker_start(s, connect_and_wait, t);
	meet(w.fd);
	list = sweep(s);
	assert_int_equal(list.n, 0);
	scene_set_allowed(s, then);
	list = sweep(s);
	meet(w.fd);
	worker_end(&w);
	assert_int_equal(list.n, t->survives ? 0 : 1);
	if (t->survives)
		return;
	assert_true(address_is(&list.items[0].destination, t->ip, PORT_ALLOWED));
	assert_int_not_equal(list.items[0].source.port, 0);
	assert_int_equal(list.items[0].result, 0);
}

/* Whatever was left alone and would be refused or steered now is ended. */
static void test_connections_end(void **state)
{
	static struct connected cases[] = {
		{ "127.0.0.1", NULL, AF_INET, false, false },
		{ "::1", NULL, AF_INET6, false, false },
		{ "127.0.0.1", NULL, AF_INET6, false, false }, /* mapped */
		{ "127.0.0.1", "lo", AF_INET, false, false },
		{ HERE4, NULL, AF_INET, false, false },
		{ "127.0.0.1", NULL, AF_INET, true, false },
		{ "::1", NULL, AF_INET6, true, false },
	};
	struct scene *s = *state;
	int server4 = scene_listen(AF_INET, "0.0.0.0", PORT_ALLOWED);
	int server6 = scene_listen(AF_INET6, "::", PORT_ALLOWED);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		check_connected(s, &cases[i], false, L4_REFUSE);
		check_connected(s, &cases[i], false, L4_STEER);
		check_connected(s, &cases[i], true, L4_REFUSE);
	}
	close(server4);
	close(server6);
}

static void test_allowed_ones_stay(void **state)
{
	struct connected t = { "127.0.0.1", NULL, AF_INET, false, true };
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);

	check_connected(s, &t, false, L4_ALLOW);
	check_connected(s, &t, true, L4_ALLOW);
	close(server);
}

/* ---- without a sweep, and in the middle of connecting ---- */

/* Nothing passes even before anybody sweeps. */
static void write_after_the_change(int fd, void *arg)
{
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);

	(void)arg;
	CHECK(sock >= 0);
	meet(fd);
	meet(fd);
	CHECK(write(sock, "secret", 6) == 6);
	meet(fd);
	CHECK(is_aborted(sock));
}

static void test_no_byte_passes_before_the_sweep(void **state)
{
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), conn;
	struct worker w = worker_start(s, write_after_the_change, NULL);
	struct pollfd p = { -1, POLLIN, 0 };
	char c;

	conn = accept(server, NULL, NULL);
	p.fd = conn;
	meet(w.fd);
	scene_set_allowed(s, L4_STEER);
	meet(w.fd);
	meet(w.fd);
	assert_int_equal(poll(&p, 1, 50), 0);
	assert_int_equal(sweep(s).n, 1);
	worker_end(&w);
	/* Not even then: the reset is all that comes. */
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(read(conn, &c, 1) < 0 && errno == ECONNRESET);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_PACKET_DROPPED], 0);
	close(conn);
	close(server);
}

static void connect_to_nowhere(int fd, void *arg)
{
	struct sockaddr_storage there = place(AF_INET, FAR4, PORT_ALLOWED);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
	socklen_t len = sizeof(error);
	struct pollfd p = { sock, POLLOUT, 0 };

	(void)arg;
	CHECK(connect(sock, (struct sockaddr *)&there, place_len(&there)) < 0 &&
	      errno == EINPROGRESS);
	meet(fd);
	CHECK(poll(&p, 1, 5000) == 1);
	CHECK(getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	CHECK(error == ECONNABORTED);
}

static void test_connecting(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, connect_to_nowhere, NULL);

	meet(w.fd);
	scene_set_allowed(s, L4_REFUSE);
	assert_int_equal(sweep(s).n, 1);
	worker_end(&w);
}

/* ---- a switch that fails ---- */

static void dial_and_stay(int fd, void *arg)
{
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);

	(void)arg;
	CHECK(sock >= 0);
	meet(fd);
	meet(fd);
	CHECK(write(sock, "x", 1) == 1);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED) >= 0);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED) == -EPERM);
}

/* Everything is as it was. */
static void test_failed_switch(void **state)
{
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w = worker_start(s, dial_and_stay, NULL);
	const struct l4_table table = { .enforced = true };
	struct error err = { "" };

	meet(w.fd);
	assert_int_equal(steer_switch_table(s->steer, s->workload, -1, &table, &err), -EBADF);
	assert_true(err.text[0]);
	assert_int_equal(sweep(s).n, 0);
	meet(w.fd);
	worker_end(&w);
	close(server);
}

/* ---- what is none of its business ---- */

static void serve(int fd, void *arg)
{
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), conn;
	char c;

	(void)arg;
	meet(fd);
	conn = accept(server, NULL, NULL);
	CHECK(conn >= 0);
	meet(fd);
	CHECK(read(conn, &c, 1) == 1);
	CHECK(write(conn, "y", 1) == 1);
	meet(fd);
}

/* Incoming connections are not held to egress rules, and outsiders to none. */
static void test_accepted_and_others(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, serve, NULL);
	int client;
	char c;

	meet(w.fd);
	client = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);
	assert_true(client >= 0);
	scene_set_allowed(s, L4_REFUSE);
	assert_int_equal(sweep(s).n, 0);
	meet(w.fd);
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(read(client, &c, 1), 1);
	meet(w.fd);
	worker_end(&w);
	close(client);
}

static void stay_steered(int fd, void *arg)
{
	int sock = dial_tcp(AF_INET, FAR4, PORT_STEERED);

	(void)arg;
	CHECK(sock >= 0);
	meet(fd);
	meet(fd);
	CHECK(write(sock, "x", 1) == 1);
}

static void test_steered_ones_are_the_workers(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, stay_steered, NULL);
	struct flow flow;
	int fd = accept_flow(s, s->listener4, &flow);

	meet(w.fd);
	scene_set_allowed(s, L4_REFUSE);
	assert_int_equal(sweep(s).n, 0);
	meet(w.fd);
	worker_end(&w);
	close(fd);
}

static void datagrams(int fd, void *arg)
{
	struct sockaddr_storage there = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int connected = socket(AF_INET, SOCK_DGRAM, 0), loose = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr *to = (struct sockaddr *)&there;

	(void)arg;
	CHECK(dial(connected, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
	CHECK(send(connected, "x", 1, 0) == 1);
	CHECK(sendto(loose, "x", 1, 0, to, place_len(&there)) == 1);
	meet(fd);
	meet(fd);
	CHECK(send(connected, "x", 1, 0) < 0 && errno == EPERM);
	CHECK(sendto(loose, "x", 1, 0, to, place_len(&there)) < 0 && errno == EPERM);
}

/* Each datagram is judged by itself: there is nothing to end. */
static void test_datagrams(void **state)
{
	struct scene *s = *state;
	struct sockaddr_storage at = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct worker w;

	assert_int_equal(bind(server, (struct sockaddr *)&at, place_len(&at)), 0);
	for (int i = 0; i < 2; i++) {
		scene_set_table(s, i == 0);
		w = worker_start(s, datagrams, NULL);
		meet(w.fd);
		scene_set_allowed(s, L4_REFUSE);
		assert_int_equal(sweep(s).n, 0);
		meet(w.fd);
		worker_end(&w);
	}
	close(server);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_connections_end, scene_setup, scene_teardown),
		cmocka_unit_test_setup_teardown(test_allowed_ones_stay, scene_setup,
						scene_teardown),
		cmocka_unit_test_setup_teardown(test_no_byte_passes_before_the_sweep, scene_setup,
						scene_teardown),
		cmocka_unit_test_setup_teardown(test_connecting, scene_setup, scene_teardown),
		cmocka_unit_test_setup_teardown(test_failed_switch, scene_setup, scene_teardown),
		cmocka_unit_test_setup_teardown(test_accepted_and_others, scene_setup,
						scene_teardown),
		cmocka_unit_test_setup_teardown(test_steered_ones_are_the_workers, scene_setup,
						scene_teardown),
		cmocka_unit_test_setup_teardown(test_datagrams, scene_setup, scene_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
