/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that outlive their cgroup, and places at which several cgroups listen. */
#include "tree.h"
#include "count.h"
#include "look.h"

static void outlive(int fd, void *arg)
{
	struct scene *to = arg;
	struct sockaddr_storage there = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int conn = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(conn >= 0);
	CHECK(cgroup_enter(&to->cgroup) == 0);
	meet(fd);
	CHECK(write(conn, "y", 1) == 1); /* and it goes nowhere */
	CHECK(dial(tcp, AF_INET, "127.0.0.1", PORT_ALLOWED) == -EPERM);
	CHECK(sendto(udp, "x", 1, 0, (struct sockaddr *)&there, place_len(&there)) < 0 &&
	      errno == EPERM);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED) >= 0);
	meet(fd);
}

/* Its cgroup is gone: who still holds a socket of it may do nothing with it. */
static void test_removed_with_its_cgroup(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), conn;
	struct worker w;

	tree_add(&t->b, L4_ALLOW);
	tree_add(&t->dead, L4_ALLOW);
	w = worker_start(&t->dead, outlive, &t->a);
	conn = accept(server, NULL, NULL);
	assert_true(conn >= 0);
	{
		char c;

		assert_int_equal(read(w.fd, &c, 1), 1);
		assert_int_equal(cgroup_remove(&t->dead.cgroup), 0);
		t->dead.cgroup.fd = -1;
		assert_int_equal(steer_remove_workload(t->base.steer, t->dead.workload), 0);
		assert_int_equal(write(w.fd, &c, 1), 1);
	}
	meet(w.fd);
	assert_int_equal(look_next_byte(conn, 50), 0);
	worker_end(&w);
	close(conn);
	close(server);
}

/* What somebody does with a socket that he got: PORT_REFUSED is refused in every workload. */
static void pass_on(int fd, void *arg)
{
	struct scene *to = arg;
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_storage there = place(AF_INET, "127.0.0.1", PORT_REFUSED);
	char expected;

	CHECK(cgroup_enter(&to->cgroup) == 0);
	meet(fd);
	CHECK(read(fd, &expected, 1) == 1);
	CHECK(dial(tcp, AF_INET, "127.0.0.1", PORT_REFUSED) == (expected == 'f' ? 0 : -EPERM));
	CHECK((sendto(udp, "x", 1, 0, (struct sockaddr *)&there, place_len(&there)) == 1) ==
	      (expected == 'f'));
	meet(fd);
}

static struct worker begin_to_pass_on(struct tree *t)
{
	struct worker w = worker_start(&t->dead, pass_on, &t->b);

	meet(w.fd);
	assert_int_equal(cgroup_remove(&t->dead.cgroup), 0);
	t->dead.cgroup.fd = -1;
	return w;
}

static void end_to_pass_on(struct worker *w, char expected)
{
	assert_int_equal(write(w->fd, &expected, 1), 1);
	meet(w->fd);
	worker_end(w);
}

/* The same if nothing but itself was above it to attach to. What is attached there goes with the
 * last socket. */
static void test_removed_with_its_attach_point(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), conn, point;
	struct scene other = tree_below(&t->base, "other");
	unsigned pins = count_entries(t->base.pin_dir);
	struct error err = { "" };
	struct worker w;
	char c;

	point = dup(other.cgroup.fd);
	assert_int_equal(steer_attach(t->base.steer, point, t->base.pin_dir, &err), 0);
	assert_true(count_entries(t->base.pin_dir) > pins);
	tree_add(&t->b, L4_ALLOW);
	tree_add(&other, L4_ALLOW);
	w = worker_start(&other, outlive, &t->dead);
	conn = accept(server, NULL, NULL);
	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(cgroup_remove(&other.cgroup), 0);
	assert_int_equal(steer_remove_workload(t->base.steer, other.workload), 0);
	assert_int_equal(steer_detach(t->base.steer, point), 0);
	assert_int_equal(steer_detach(t->base.steer, point), -ENOENT);
	assert_int_equal(write(w.fd, &c, 1), 1);
	meet(w.fd);
	assert_int_equal(look_next_byte(conn, 50), 0);
	worker_end(&w);
	close(conn);
	close(server);
	close(point);
	for (int i = 0; i < 500 && count_entries(t->base.pin_dir) > pins; i++) {
		tree_sweep(&t->base); /* what was closed is still said to be there */
		usleep(10000);
	}
	assert_int_equal(count_entries(t->base.pin_dir), pins);
}

/* Its cgroup goes, and it was no workload: nobody's business. */
static void test_never_a_workload(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED);
	struct worker w = begin_to_pass_on(t);

	tree_add(&t->a, L4_ALLOW); /* so that something is in force */
	end_to_pass_on(&w, 'f');
	close(server);
}

/* It was one, though nobody looked at its sockets while it was: refused, also when the steering has
 * forgotten the cgroup. */
static void check_became_one(struct tree *t, bool forgotten)
{
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED);
	struct worker w = worker_start(&t->dead, pass_on, &t->b);
	struct error err = { "" };

	meet(w.fd);
	tree_add(&t->a, L4_ALLOW);
	tree_add(&t->dead, L4_ALLOW);
	assert_int_equal(cgroup_remove(&t->dead.cgroup), 0);
	assert_int_equal(steer_remove_workload(t->base.steer, t->dead.workload), 0);
	if (forgotten)
		assert_int_equal(tree_sweep(&t->base), 0);
	end_to_pass_on(&w, 'r');
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), 0);
	assert_int_equal(cgroup_make(&t->dead.cgroup, "base/dead", &err), 0);
	close(server);
}

static void test_became_a_workload(void **state)
{
	check_became_one(*state, false);
	check_became_one(*state, true);
}

/* However many go: what is kept of them does not grow. */
static void test_many_go(void **state)
{
	struct tree *t = *state;
	struct error err = { "" };

	for (int i = 0; i < 40; i++) {
		tree_add(&t->dead, L4_ALLOW);
		assert_int_equal(cgroup_remove(&t->dead.cgroup), 0);
		assert_int_equal(steer_remove_workload(t->base.steer, t->dead.workload), 0);
		if (i % 4 == 3)
			assert_int_equal(tree_sweep(&t->base), 0);
		assert_int_equal(cgroup_make(&t->dead.cgroup, "base/dead", &err), 0);
	}
}

/* ---- places ---- */

/* Two that share a place, each in a cgroup of its own. */
static void share(int fd, void *arg)
{
	struct sockaddr_storage at = place(AF_INET, "127.0.0.1", PORT_STEERED);
	int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	(void)arg;
	CHECK(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(setsockopt(server, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
	CHECK(bind(server, (struct sockaddr *)&at, place_len(&at)) == 0);
	CHECK(listen(server, 8) == 0);
	meet(fd);
	meet(fd);
}

static void hold_ingress(struct scene *s)
{
	scene_add_workload(s, &s->cgroup);
	scene_set_ingress(s, false, L4_ALLOW);
}

/* The place belongs to the workload that comes above both later, not to two of them. */
static void test_shared_place(void **state)
{
	struct tree *t = *state;
	int inbound = scene_listen(AF_INET, "127.0.0.1", 0), sock, ours;
	struct worker one = worker_start(&t->a, share, NULL);
	struct worker two = worker_start(&t->inner, share, NULL);
	struct error err = { "" };

	meet(one.fd);
	meet(two.fd);
	assert_int_equal(steer_add_inbound(t->base.steer, inbound, &err), 0);
	hold_ingress(&t->a);
	sock = dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED);
	assert_true(sock >= 0);
	ours = accept(inbound, NULL, NULL);
	assert_true(ours >= 0);
	close(ours);
	close(sock);
	hold_ingress(&t->inner);
	sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(dial(sock, AF_INET, "127.0.0.1", PORT_STEERED), -EINPROGRESS);
	scene_read_events(&t->base);
	assert_true(t->base.n_events[STEER_ACCEPT_UNSTEERABLE] >= 1);
	close(sock);
	meet(one.fd);
	meet(two.fd);
	worker_end(&one);
	worker_end(&two);
	close(inbound);
}

/* A server takes on a process and lets go of one while a client waits for us. */
static void test_server_renews(void **state)
{
	struct tree *t = *state;
	int inbound = scene_listen(AF_INET, "127.0.0.1", 0), sock, ours;
	struct worker one = worker_start(&t->a, share, NULL), two;
	struct address client, server = address_ip("127.0.0.1", PORT_STEERED);
	struct sockaddr_storage from = { .ss_family = 0 };
	socklen_t len = sizeof(from);
	struct error err = { "" };
	struct flow flow;

	meet(one.fd);
	assert_int_equal(steer_add_inbound(t->base.steer, inbound, &err), 0);
	hold_ingress(&t->a);
	sock = dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED);
	assert_true(sock >= 0);
	two = worker_start(&t->inner, share, NULL);
	meet(two.fd);
	ours = accept(inbound, (struct sockaddr *)&from, &len);
	assert_true(ours >= 0);
	client = address_of(&from);
	assert_int_equal(steer_client(t->base.steer, 0, &client, &server, &flow), 0);
	assert_int_equal(flow.workload, t->a.workload);
	meet(one.fd);
	worker_end(&one);
	assert_int_equal(steer_client(t->base.steer, 0, &client, &server, &flow), 0);
	assert_int_equal(flow.workload, t->a.workload);
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), 0);
	hold_ingress(&t->b); /* the slot */
	assert_int_equal(steer_client(t->base.steer, 0, &client, &server, &flow), -ENOENT);
	meet(two.fd);
	worker_end(&two);
	close(ours);
	close(sock);
	close(inbound);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)
		TEST(test_removed_with_its_cgroup),
		TEST(test_removed_with_its_attach_point),
		TEST(test_never_a_workload),
		TEST(test_became_a_workload),
		TEST(test_many_go),
		TEST(test_shared_place),
		TEST(test_server_renews),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
