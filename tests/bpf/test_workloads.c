/* SPDX-License-Identifier: Apache-2.0 */
/* Many workloads below one attach point: whose a socket is, what holds for it, and what happens
 * when workloads come and go. */
#include "tree.h"
#include <poll.h>
#include "look.h"

/* ---- whose it is ---- */

static void test_two_tables(void **state)
{
	struct tree *t = *state;
	int allowed = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int refused = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED);
	uint64_t counted[STEER_EVENT_MAX];

	tree_expect(&t->a, PORT_REFUSED, 0); /* nobody is a workload */
	tree_add(&t->a, L4_ALLOW);
	tree_add(&t->b, L4_REFUSE);
	assert_true(t->a.workload && t->b.workload && t->a.workload != t->b.workload);
	tree_expect(&t->a, PORT_ALLOWED, 0);
	tree_expect(&t->b, PORT_ALLOWED, -EPERM);
	scene_read_events(&t->base);
	assert_int_equal(t->base.n_events[STEER_CONNECT_REFUSED], 1);
	assert_int_equal(t->base.last_event.workload, t->b.workload);
	assert_int_equal(t->base.last_event.netns_cookie, steer_netns_cookie(t->base.steer, 0));
	tree_expect(&t->a, PORT_REFUSED, -EPERM);
	tree_expect(&t->inner, PORT_REFUSED, -EPERM);
	scene_read_events(&t->base);
	assert_int_equal(t->base.last_event.workload, t->a.workload);
	tree_expect(&t->dead, PORT_REFUSED, 0); /* in no workload */
	tree_expect(&t->base, PORT_REFUSED, 0);
	assert_int_equal(steer_workload_counters(t->base.steer, t->a.workload, counted), 0);
	assert_int_equal(counted[STEER_CONNECT_REFUSED], 2);
	assert_int_equal(steer_workload_counters(t->base.steer, t->b.workload, counted), 0);
	assert_int_equal(counted[STEER_CONNECT_REFUSED], 1);
	close(allowed);
	close(refused);
}

static void test_nested(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);

	tree_add(&t->a, L4_REFUSE);
	tree_expect(&t->inner, PORT_ALLOWED, -EPERM);
	scene_add_workload(&t->inner, &t->inner.cgroup);
	tree_expect(&t->inner, PORT_ALLOWED, -EPERM); /* until it has a table */
	scene_read_events(&t->base);
	assert_int_equal(t->base.last_event.workload, t->a.workload);
	scene_set_allowed(&t->inner, L4_ALLOW);
	tree_expect(&t->inner, PORT_ALLOWED, 0);
	tree_expect(&t->a, PORT_ALLOWED, -EPERM);
	assert_int_equal(steer_remove_workload(t->base.steer, t->inner.workload), 0);
	tree_expect(&t->inner, PORT_ALLOWED, -EPERM);
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), 0);
	tree_expect(&t->inner, PORT_ALLOWED, 0);
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), -ENOENT);
	close(server);
}

static void dial_steered(int fd, void *arg)
{
	(void)arg;
	CHECK(dial_tcp(AF_INET, FAR4, PORT_STEERED) >= 0);
	meet(fd);
}

static void test_flows_name_theirs(void **state)
{
	struct tree *t = *state;
	struct scene *const both[] = { &t->a, &t->b };

	tree_add(&t->a, L4_ALLOW);
	tree_add(&t->b, L4_ALLOW);
	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		struct worker w = worker_start(both[i], dial_steered, NULL);
		struct flow flow;
		int fd = accept_flow(&t->base, t->base.listener4, &flow);

		assert_int_equal(flow.workload, both[i]->workload);
		meet(w.fd);
		worker_end(&w);
		close(fd);
	}
}

/* The SYN is put off until the first byte. */
static void dial_and_wait(int fd, void *arg)
{
	int sock = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	(void)arg;
	CHECK(setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) == 0);
	CHECK(dial(sock, AF_INET, FAR4, PORT_STEERED) == 0);
	meet(fd);
	CHECK(write(sock, "x", 1) == 1);
	meet(fd);
}

/* Whoever has the slot by then does not answer for it. */
static void test_flow_of_one_that_has_gone(void **state)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof(ss);
	struct tree *t = *state;
	struct address client;
	struct worker w;
	struct flow flow;
	int fd;

	assert_true(scene_shell("echo 5 >/proc/sys/net/ipv4/tcp_fastopen"));
	tree_add(&t->a, L4_ALLOW);
	w = worker_start(&t->a, dial_and_wait, NULL);
	assert_int_equal(read(w.fd, &(char){ 0 }, 1), 1);
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), 0);
	tree_add(&t->b, L4_ALLOW);
	assert_int_equal((uint32_t)t->a.workload, (uint32_t)t->b.workload);
	assert_int_equal(write(w.fd, ".", 1), 1);
	fd = accept(t->base.listener4, (struct sockaddr *)&ss, &len);
	assert_true(fd >= 0);
	client = address_of(&ss);
	assert_int_equal(steer_take(t->base.steer, 0, &client, &flow), -ENOENT);
	meet(w.fd);
	worker_end(&w);
	close(fd);
	assert_true(scene_shell("echo 1 >/proc/sys/net/ipv4/tcp_fastopen"));
}

/* The process leaves for a cgroup that is free, or held to something else; its sockets stay. */
static void leave_with_sockets(int fd, void *arg)
{
	struct scene *to = arg;
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_storage there = place(AF_INET, "127.0.0.1", PORT_ALLOWED);

	CHECK(cgroup_enter(&to->cgroup) == 0);
	meet(fd);
	CHECK(dial(tcp, AF_INET, "127.0.0.1", PORT_ALLOWED) == -EPERM);
	CHECK(sendto(udp, "x", 1, 0, (struct sockaddr *)&there, place_len(&there)) < 0 &&
	      errno == EPERM);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED) >= 0);
}

static void test_socket_keeps_its_workload(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w;

	tree_add(&t->a, L4_REFUSE);
	tree_add(&t->b, L4_ALLOW);
	w = worker_start(&t->a, leave_with_sockets, &t->b);
	meet(w.fd);
	worker_end(&w);
	close(server);
}

/* ---- coming and going ---- */

static void stay_connected(int fd, void *arg)
{
	bool *survives = arg;
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct pollfd p = { sock, POLLIN, 0 };

	CHECK(sock >= 0);
	CHECK(write(sock, "x", 1) == 1);
	meet(fd);
	(void)!write(sock, "y", 1);
	meet(fd);
	CHECK(poll(&p, 1, *survives ? 0 : 5000) == (*survives ? 0 : 1));
}

/* Sockets that are there when their cgroup becomes a workload: the next packet is judged, and the
 * sweep ends what it would refuse, nobody else's. */
static void test_added_later(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), conn[2];
	bool survives[2] = { false, true };
	struct worker w[2];

	tree_add(&t->dead, L4_ALLOW); /* so that something is in force */
	for (int i = 0; i < 2; i++) {
		w[i] = worker_start(i ? &t->b : &t->a, stay_connected, &survives[i]);
		conn[i] = accept(server, NULL, NULL);
		assert_int_equal(look_next_byte(conn[i], 5000), 'x');
	}
	tree_add(&t->a, L4_REFUSE);
	for (int i = 0; i < 2; i++)
		meet(w[i].fd);
	assert_int_equal(look_next_byte(conn[1], 5000), 'y');
	assert_int_equal(look_next_byte(conn[0], 50), 0);
	assert_int_equal(tree_sweep(&t->base), t->a.workload);
	for (int i = 0; i < 2; i++) {
		meet(w[i].fd);
		worker_end(&w[i]);
		close(conn[i]);
	}
	close(server);
}

/* Its cgroup lives: it is as if it had never been one. */
static void test_removed(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), conn;
	uint64_t first, counted[STEER_EVENT_MAX];
	bool survives = true;
	struct worker w;

	tree_add(&t->b, L4_REFUSE);
	tree_add(&t->a, L4_ALLOW);
	first = t->a.workload;
	w = worker_start(&t->a, stay_connected, &survives);
	conn = accept(server, NULL, NULL);
	assert_int_equal(look_next_byte(conn, 5000), 'x');
	tree_expect(&t->a, PORT_REFUSED, -EPERM);
	assert_int_equal(steer_remove_workload(t->base.steer, first), 0);
	assert_int_equal(steer_workload_counters(t->base.steer, first, counted), -ENOENT);
	tree_expect(&t->a, PORT_REFUSED, -ECONNREFUSED);
	meet(w.fd);
	assert_int_equal(look_next_byte(conn, 5000), 'y');
	assert_int_equal(tree_sweep(&t->base), 0);
	/* Another one gets the slot, and nothing of what was known of the first. */
	tree_add(&t->inner, L4_REFUSE);
	assert_true(t->inner.workload != first);
	assert_int_equal((uint32_t)t->inner.workload, (uint32_t)first);
	assert_int_equal(steer_workload_counters(t->base.steer, t->inner.workload, counted), 0);
	assert_int_equal(counted[STEER_CONNECT_REFUSED], 0);
	tree_expect(&t->inner, PORT_ALLOWED, -EPERM);
	assert_int_equal(tree_sweep(&t->base), 0);
	meet(w.fd);
	worker_end(&w);
	close(conn);
	close(server);
}

static unsigned failing_delete; /* 1: the next one, once */

int __real_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_delete_elem(int fd, const void *key)
{
	if (failing_delete > 0 && --failing_delete == 0)
		return -ENOMEM;
	return __real_bpf_map_delete_elem(fd, key);
}

/* A removal that stops half-way is repeated when the cgroup is a workload again: that one stays. */
static void test_removed_late(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	uint64_t first;

	tree_add(&t->a, L4_ALLOW);
	first = t->a.workload;
	failing_delete = 2; /* it is no member any more, but has its table */
	assert_int_equal(steer_remove_workload(t->base.steer, first), -ENOMEM);
	tree_add(&t->a, L4_REFUSE);
	assert_int_equal(steer_remove_workload(t->base.steer, first), 0);
	tree_expect(&t->a, PORT_ALLOWED, -EPERM);
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), 0);
	tree_expect(&t->a, PORT_ALLOWED, 0);
	close(server);
}

static void test_no_room(void **state)
{
	struct tree *t = *state;
	uint64_t id = 0, counted[STEER_EVENT_MAX];
	struct steer_options options = { .max_workloads = (1u << 16) + 1 };
	struct error err = { "" };
	struct steer *most;

	tree_add(&t->a, L4_ALLOW);
	assert_int_equal(steer_add_workload(t->base.steer, cgroup_id(&t->a.cgroup), 0, &id, &err),
			 -EEXIST);
	tree_add(&t->b, L4_ALLOW);
	tree_add(&t->inner, L4_ALLOW);
	assert_int_equal(steer_add_workload(t->base.steer, cgroup_id(&t->dead.cgroup), 0, &id,
					    &err),
			 -ENOSPC);
	assert_non_null(strstr(err.text, "3 workloads"));
	assert_int_equal(id, 0);
	/* The last one has a slot of every map. */
	assert_int_equal((uint32_t)t->inner.workload, 4);
	tree_expect(&t->inner, PORT_ALLOWED, -ECONNREFUSED);
	tree_expect(&t->inner, PORT_REFUSED, -EPERM);
	assert_int_equal(steer_workload_counters(t->base.steer, t->inner.workload, counted), 0);
	assert_int_equal(counted[STEER_CONNECT_REFUSED], 1);
	assert_int_equal(steer_open(&options, &most, &err), -EINVAL);
	options.max_workloads--;
	assert_int_equal(steer_open(&options, &most, &err), 0);
	steer_close(most);
}

/* Deeper than anybody looks, where nobody can say what is above: refused. */
static void test_too_deep(void **state)
{
	struct tree *t = *state;
	struct scene deep = t->base;
	struct error err = { "" };
	char name[512] = "base";
	struct cgroup above[70];
	unsigned n;

	tree_add(&t->a, L4_ALLOW);
	for (n = 0; n < ARRAY_SIZE(above); n++) {
		strncat(name, "/d", sizeof(name) - strlen(name) - 1);
		if (cgroup_make(&above[n], name, &err) < 0)
			fail_msg("%s", err.text);
	}
	deep.cgroup = above[n - 1];
	tree_expect(&deep, PORT_ALLOWED, -EPERM);
	deep.cgroup = above[20];
	tree_expect(&deep, PORT_ALLOWED, -ECONNREFUSED);
	while (n-- > 0)
		assert_int_equal(cgroup_remove(&above[n]), 0);
}

/* ---- what comes in ---- */

static void serve(int fd, void *arg)
{
	int server = scene_listen(AF_INET, "127.0.0.1", *(uint16_t *)arg);

	meet(fd);
	meet(fd);
	close(server);
}

/* A server that listened before its cgroup was a workload, and one that is somebody else's. */
static void test_servers(void **state)
{
	struct tree *t = *state;
	int inbound = scene_listen(AF_INET, "127.0.0.1", 0), sock, ours;
	uint16_t ports[] = { PORT_STEERED, PORT_STEERED2 };
	struct worker a = worker_start(&t->a, serve, &ports[0]);
	struct worker b = worker_start(&t->b, serve, &ports[1]);
	struct sockaddr_storage from = { .ss_family = 0 };
	socklen_t len = sizeof(from);
	struct address client, server = address_ip("127.0.0.1", PORT_STEERED);
	struct error err = { "" };
	struct flow flow;

	meet(a.fd);
	meet(b.fd);
	assert_int_equal(steer_add_inbound(t->base.steer, inbound, &err), 0);
	scene_add_workload(&t->a, &t->a.cgroup);
	scene_set_ingress(&t->a, false, L4_ALLOW);
	tree_add(&t->b, L4_ALLOW);
	sock = dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED);
	assert_true(sock >= 0);
	ours = accept(inbound, (struct sockaddr *)&from, &len);
	assert_true(ours >= 0);
	client = address_of(&from);
	assert_int_equal(steer_client(t->base.steer, 0, &client, &server, &flow), 0);
	assert_int_equal(flow.workload, t->a.workload);
	close(sock);
	sock = dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED2); /* not held */
	assert_true(sock >= 0);
	server.port = PORT_STEERED2;
	assert_int_equal(steer_client(t->base.steer, 0, &client, &server, &flow), 0);
	assert_int_equal(flow.workload, t->b.workload);
	close(sock);
	close(ours);
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), 0);
	server.port = PORT_STEERED;
	assert_int_equal(steer_client(t->base.steer, 0, &client, &server, &flow), -ENOENT);
	sock = dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED);
	assert_true(sock >= 0);
	close(sock);
	meet(a.fd);
	meet(b.fd);
	worker_end(&a);
	worker_end(&b);
	close(inbound);
}

/* ---- attach points ---- */

static void test_attach_points(void **state)
{
	struct tree *t = *state;
	struct scene other = t->base;
	struct error err = { "" };

	assert_int_equal(steer_attach(t->base.steer, t->base.cgroup.fd, t->base.pin_dir, &err),
			 -EEXIST);
	other = tree_below(&t->base, "other");
	tree_add(&other, L4_REFUSE);
	tree_expect(&other, PORT_ALLOWED, -ECONNREFUSED);
	assert_int_equal(steer_attach(t->base.steer, other.cgroup.fd, t->base.pin_dir, &err), 0);
	tree_expect(&other, PORT_ALLOWED, -EPERM);
	assert_int_equal(steer_detach(t->base.steer, other.cgroup.fd), 0);
	assert_int_equal(steer_detach(t->base.steer, other.cgroup.fd), -ENOENT);
	tree_expect(&other, PORT_ALLOWED, -ECONNREFUSED);
	assert_int_equal(cgroup_remove(&other.cgroup), 0);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)
		TEST(test_two_tables),
		TEST(test_nested),
		TEST(test_flows_name_theirs),
		TEST(test_flow_of_one_that_has_gone),
		TEST(test_socket_keeps_its_workload),
		TEST(test_added_later),
		TEST(test_removed),
		TEST(test_removed_late),
		TEST(test_no_room),
		TEST(test_too_deep),
		TEST(test_servers),
		TEST(test_attach_points),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
