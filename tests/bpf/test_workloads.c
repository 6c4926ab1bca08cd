/* SPDX-License-Identifier: Apache-2.0 */
/* Many workloads below one attach point: whose a socket is, what holds for it, and what happens
 * when workloads come and go. */
#include "scene.h"
#include <poll.h>
#include <signal.h>
#include "sweep.h"

/* One set of programs, attached to BASE; A, INNER (below A), B and DEAD are cgroups below it, each
 * a scene of its own that shares the rest. */
struct tree {
	struct scene base, a, inner, b, dead;
};

static struct scene below(const struct scene *base, const char *name)
{
	struct scene ret = *base;
	struct error err = { "" };

	if (cgroup_make(&ret.cgroup, name, &err) < 0)
		fail_msg("%s", err.text);
	return ret;
}

static int setup_tree(void **state)
{
	const struct steer_options options = { .max_flows = 1024, .max_workloads = 3 };
	struct tree *t = test_calloc(1, sizeof(*t));
	struct error err = { "" };
	struct scene *s = &t->base;

	*state = t;
	snprintf(s->pin_dir, sizeof(s->pin_dir), "/sys/fs/bpf/sluice/tree");
	if (cgroup_make(&s->cgroup, "base", &err) < 0 ||
	    steer_open(&options, &s->steer, &err) < 0 ||
	    routes_open(s->steer, 0, -1, &s->routes, &err) < 0)
		fail_msg("%s", err.text);
	scene_add_listeners(s);
	if (steer_attach(s->steer, s->cgroup.fd, s->pin_dir, &err) < 0)
		fail_msg("%s", err.text);
	t->a = below(s, "base/a");
	t->inner = below(s, "base/a/inner");
	t->b = below(s, "base/b");
	t->dead = below(s, "base/dead");
	return 0;
}

static int teardown_tree(void **state)
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

static void add(struct scene *s, enum l4_action allowed)
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

/* The workload of the one connection that the sweep ends, or 0. */
static uint64_t sweep(struct scene *s)
{
	uint64_t ret = 0;

	assert_int_equal(steer_sweep(s->steer, on_swept, &ret), 0);
	return ret;
}

/* ---- whose it is ---- */

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

static void expect(struct scene *s, uint16_t port, int result)
{
	struct expected e = { port, result };

	worker_run(s, dial_one, &e);
}

static void test_two_tables(void **state)
{
	struct tree *t = *state;
	int allowed = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int refused = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED);
	uint64_t counted[STEER_EVENT_MAX];

	expect(&t->a, PORT_REFUSED, 0); /* nobody is a workload */
	add(&t->a, L4_ALLOW);
	add(&t->b, L4_REFUSE);
	assert_true(t->a.workload && t->b.workload && t->a.workload != t->b.workload);
	expect(&t->a, PORT_ALLOWED, 0);
	expect(&t->b, PORT_ALLOWED, -EPERM);
	scene_read_events(&t->base);
	assert_int_equal(t->base.n_events[STEER_CONNECT_REFUSED], 1);
	assert_int_equal(t->base.last_event.workload, t->b.workload);
	assert_int_equal(t->base.last_event.netns_cookie, steer_netns_cookie(t->base.steer, 0));
	expect(&t->a, PORT_REFUSED, -EPERM);
	expect(&t->inner, PORT_REFUSED, -EPERM);
	scene_read_events(&t->base);
	assert_int_equal(t->base.last_event.workload, t->a.workload);
	expect(&t->dead, PORT_REFUSED, 0); /* in no workload */
	expect(&t->base, PORT_REFUSED, 0);
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

	add(&t->a, L4_REFUSE);
	expect(&t->inner, PORT_ALLOWED, -EPERM);
	add(&t->inner, L4_ALLOW);
	expect(&t->inner, PORT_ALLOWED, 0);
	expect(&t->a, PORT_ALLOWED, -EPERM);
	assert_int_equal(steer_remove_workload(t->base.steer, t->inner.workload), 0);
	expect(&t->inner, PORT_ALLOWED, -EPERM);
	assert_int_equal(steer_remove_workload(t->base.steer, t->a.workload), 0);
	expect(&t->inner, PORT_ALLOWED, 0);
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

	add(&t->a, L4_ALLOW);
	add(&t->b, L4_ALLOW);
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

	add(&t->a, L4_REFUSE);
	add(&t->b, L4_ALLOW);
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

static char next_byte(int conn, int ms)
{
	struct pollfd p = { conn, POLLIN, 0 };
	char c = 0;

	return poll(&p, 1, ms) == 1 && read(conn, &c, 1) == 1 ? c : 0;
}

/* Sockets that are there when their cgroup becomes a workload: the next packet is judged, and the
 * sweep ends what it would refuse, nobody else's. */
static void test_added_later(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), conn[2];
	bool survives[2] = { false, true };
	struct worker w[2];

	add(&t->dead, L4_ALLOW); /* so that something is in force */
	for (int i = 0; i < 2; i++) {
		w[i] = worker_start(i ? &t->b : &t->a, stay_connected, &survives[i]);
		conn[i] = accept(server, NULL, NULL);
		assert_int_equal(next_byte(conn[i], 5000), 'x');
	}
	add(&t->a, L4_REFUSE);
	for (int i = 0; i < 2; i++)
		meet(w[i].fd);
	assert_int_equal(next_byte(conn[1], 5000), 'y');
	assert_int_equal(next_byte(conn[0], 50), 0);
	assert_int_equal(sweep(&t->base), t->a.workload);
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

	add(&t->b, L4_REFUSE);
	add(&t->a, L4_ALLOW);
	first = t->a.workload;
	w = worker_start(&t->a, stay_connected, &survives);
	conn = accept(server, NULL, NULL);
	assert_int_equal(next_byte(conn, 5000), 'x');
	expect(&t->a, PORT_REFUSED, -EPERM);
	assert_int_equal(steer_remove_workload(t->base.steer, first), 0);
	assert_int_equal(steer_workload_counters(t->base.steer, first, counted), -ENOENT);
	expect(&t->a, PORT_REFUSED, -ECONNREFUSED);
	meet(w.fd);
	assert_int_equal(next_byte(conn, 5000), 'y');
	assert_int_equal(sweep(&t->base), 0);
	/* Another one gets the slot, and nothing of what was known of the first. */
	add(&t->inner, L4_REFUSE);
	assert_true(t->inner.workload != first);
	assert_int_equal((uint32_t)t->inner.workload, (uint32_t)first);
	assert_int_equal(steer_workload_counters(t->base.steer, t->inner.workload, counted), 0);
	assert_int_equal(counted[STEER_CONNECT_REFUSED], 0);
	expect(&t->inner, PORT_ALLOWED, -EPERM);
	assert_int_equal(sweep(&t->base), 0);
	meet(w.fd);
	worker_end(&w);
	close(conn);
	close(server);
}

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

	add(&t->b, L4_ALLOW);
	add(&t->dead, L4_ALLOW);
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
	assert_int_equal(next_byte(conn, 50), 0);
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

/* Its cgroup goes, and it was no workload: nobody's business. */
static void test_never_a_workload(void **state)
{
	struct tree *t = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED);
	struct worker w = begin_to_pass_on(t);

	add(&t->a, L4_ALLOW); /* so that something is in force */
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
	add(&t->a, L4_ALLOW);
	add(&t->dead, L4_ALLOW);
	assert_int_equal(cgroup_remove(&t->dead.cgroup), 0);
	assert_int_equal(steer_remove_workload(t->base.steer, t->dead.workload), 0);
	if (forgotten)
		assert_int_equal(sweep(&t->base), 0);
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
		add(&t->dead, L4_ALLOW);
		assert_int_equal(cgroup_remove(&t->dead.cgroup), 0);
		assert_int_equal(steer_remove_workload(t->base.steer, t->dead.workload), 0);
		if (i % 4 == 3)
			assert_int_equal(sweep(&t->base), 0);
		assert_int_equal(cgroup_make(&t->dead.cgroup, "base/dead", &err), 0);
	}
}

static void test_no_room(void **state)
{
	struct tree *t = *state;
	uint64_t id = 0, counted[STEER_EVENT_MAX];
	struct steer_options options = { .max_workloads = (1u << 16) + 1 };
	struct error err = { "" };
	struct steer *most;

	add(&t->a, L4_ALLOW);
	assert_int_equal(steer_add_workload(t->base.steer, cgroup_id(&t->a.cgroup), 0, &id, &err),
			 -EEXIST);
	add(&t->b, L4_ALLOW);
	add(&t->inner, L4_ALLOW);
	assert_int_equal(steer_add_workload(t->base.steer, cgroup_id(&t->dead.cgroup), 0, &id,
					    &err),
			 -ENOSPC);
	assert_non_null(strstr(err.text, "3 workloads"));
	assert_int_equal(id, 0);
	/* The last one has a slot of every map. */
	assert_int_equal((uint32_t)t->inner.workload, 4);
	expect(&t->inner, PORT_ALLOWED, -ECONNREFUSED);
	expect(&t->inner, PORT_REFUSED, -EPERM);
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

	add(&t->a, L4_ALLOW);
	for (n = 0; n < ARRAY_SIZE(above); n++) {
		strncat(name, "/d", sizeof(name) - strlen(name) - 1);
		if (cgroup_make(&above[n], name, &err) < 0)
			fail_msg("%s", err.text);
	}
	deep.cgroup = above[n - 1];
	expect(&deep, PORT_ALLOWED, -EPERM);
	deep.cgroup = above[20];
	expect(&deep, PORT_ALLOWED, -ECONNREFUSED);
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
	add(&t->b, L4_ALLOW);
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

/* Two that share a place, each in a cgroup of its own. */
static void share(int fd, void *arg)
{
	struct sockaddr_storage at = place(AF_INET, "127.0.0.1", PORT_STEERED);
	int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	(void)arg;
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

/* ---- attach points ---- */

static void test_attach_points(void **state)
{
	struct tree *t = *state;
	struct scene other = t->base;
	struct error err = { "" };

	assert_int_equal(steer_attach(t->base.steer, t->base.cgroup.fd, t->base.pin_dir, &err),
			 -EEXIST);
	other = below(&t->base, "other");
	add(&other, L4_REFUSE);
	expect(&other, PORT_ALLOWED, -ECONNREFUSED);
	assert_int_equal(steer_attach(t->base.steer, other.cgroup.fd, t->base.pin_dir, &err), 0);
	expect(&other, PORT_ALLOWED, -EPERM);
	assert_int_equal(steer_detach(t->base.steer, other.cgroup.fd), 0);
	assert_int_equal(steer_detach(t->base.steer, other.cgroup.fd), -ENOENT);
	expect(&other, PORT_ALLOWED, -ECONNREFUSED);
	assert_int_equal(cgroup_remove(&other.cgroup), 0);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_tree, teardown_tree)
		TEST(test_two_tables),
		TEST(test_nested),
		TEST(test_flows_name_theirs),
		TEST(test_socket_keeps_its_workload),
		TEST(test_added_later),
		TEST(test_removed),
		TEST(test_removed_with_its_cgroup),
		TEST(test_never_a_workload),
		TEST(test_became_a_workload),
		TEST(test_many_go),
		TEST(test_no_room),
		TEST(test_too_deep),
		TEST(test_servers),
		TEST(test_shared_place),
		TEST(test_attach_points),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
