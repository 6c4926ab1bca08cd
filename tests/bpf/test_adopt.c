/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that are older than the programs: found, told apart, judged; and until they are found
 * nothing passes on them. */
#include "scene.h"
#include <poll.h>
#include <sys/stat.h>
#include "look.h"
#include "sweep.h"

/* BASE, to which the programs are attached later, and W below it, which becomes the workload. */
struct older {
	struct scene base, w;
	int inbound;
};

static int setup_older(void **state)
{
	const struct steer_options options = { .max_flows = 1024, .max_workloads = 3 };
	struct older *o = test_calloc(1, sizeof(*o));
	struct error err = { "" };
	struct scene *s = &o->base;

	*state = o;
	scene_open(s, "base", &options);
	scene_add_listeners(s);
	o->inbound = scene_listen(AF_INET, "127.0.0.1", 0);
	assert_int_equal(steer_add_inbound(s->steer, o->inbound, &err), 0);
	o->w = *s;
	if (cgroup_make(&o->w.cgroup, "base/w", &err) < 0)
		fail_msg("%s", err.text);
	scene_add_workload(&o->w, &o->w.cgroup);
	scene_set_table(&o->w, false); /* by which it is one */
	return 0;
}

static int teardown_older(void **state)
{
	struct older *o = *state;

	routes_close(o->base.routes);
	steer_close(o->base.steer);
	assert_int_equal(cgroup_remove(&o->w.cgroup), 0);
	assert_int_equal(cgroup_remove(&o->base.cgroup), 0);
	assert_true(access(o->base.pin_dir, F_OK) < 0);
	close(o->base.listener4);
	close(o->base.listener6);
	close(o->inbound);
	test_free(o);
	return 0;
}

static void attach(struct older *o)
{
	struct error err = { "" };

	if (steer_attach(o->base.steer, o->base.cgroup.fd, o->base.pin_dir, &err) < 0)
		fail_msg("%s", err.text);
}

static struct steer_adopted adopt(struct older *o)
{
	struct steer_adopted found = { 0 };
	struct error err = { "" };

	if (steer_adopt(o->base.steer, 0, &found, &err) < 0)
		fail_msg("%s", err.text);
	return found;
}

struct ended {
	unsigned n;
	struct swept last;
};

static void on_swept(void *ctx, const struct swept *e)
{
	struct ended *ended = ctx;

	ended->n++;
	ended->last = *e;
}

static struct ended sweep(struct older *o)
{
	struct ended ended = { .n = 0 };

	assert_int_equal(steer_sweep(o->base.steer, on_swept, &ended), 0);
	return ended;
}

/* ---- connections ---- */

enum way {
	DIALS,
	DIALS_BOUND,   /* from a port that it names */
	DIALS_CRAFTED, /* from one that it did not name, where it listens as well */
	ACCEPTS,
	ACCEPTS_AND_STOPS, /* nobody listens there any more: who can tell? */
};

struct older_case {
	enum way way;
	int family;
	const char *ip;
	uint16_t port; /* of the server */
	bool egress;   /* is enforced; else only ingress is */
	bool survives;
};

static int bind_to(int family, const char *ip, uint16_t port)
{
	struct sockaddr_storage at = place(family, ip, port);
	int fd = socket(family, SOCK_STREAM, 0), one = 1;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&at, place_len(&at)) == 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof(ss);

	CHECK(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
	return address_of(&ss).port;
}

static int dial_so(const struct older_case *t)
{
	int sock = t->way == DIALS ? socket(t->family, SOCK_STREAM, 0)
				   : bind_to(t->family, t->ip, t->way == DIALS_BOUND ? 9123 : 0);

	CHECK(dial(sock, t->family, t->ip, t->port) == 0);
	if (t->way == DIALS_CRAFTED)
		CHECK(listen(bind_to(t->family, t->ip, port_of(sock)), 1) == 0);
	return sock;
}

static int accept_so(int fd, const struct older_case *t)
{
	int server = bind_to(t->family, t->ip, t->port), conn;

	CHECK(listen(server, 1) == 0);
	meet(fd);
	conn = accept(server, NULL, NULL);
	CHECK(conn >= 0);
	if (t->way == ACCEPTS_AND_STOPS)
		close(server);
	return conn;
}

static void be_older(int fd, void *arg)
{
	const struct older_case *t = arg;
	int sock = t->way < ACCEPTS ? dial_so(t) : accept_so(fd, t);
	struct pollfd p = { sock, POLLIN, 0 };
	char c;

	meet(fd); /* it is there; programs come */
	CHECK(write(sock, "x", 1) == 1);
	meet(fd); /* they know it, and it was judged */
	CHECK(poll(&p, 1, 5000) == 1);
	if (t->survives)
		CHECK(read(sock, &c, 1) == 1 && write(sock, "y", 1) == 1);
	else
		CHECK(read(sock, &c, 1) < 0);
	meet(fd);
	close(sock);
}

static int meet_older(const struct older_case *t, struct worker *w, int server)
{
	int conn;

	if (t->way < ACCEPTS)
		return accept(server, NULL, NULL);
	meet(w->fd); /* it listens */
	conn = dial_tcp(t->family, t->ip, t->port);
	assert_true(conn >= 0);
	return conn;
}

static void check_older(struct older *o, struct older_case *t)
{
	int server = t->way < ACCEPTS ? scene_listen(t->family, t->ip, t->port) : -1, conn;
	struct worker w = worker_start(&o->w, be_older, t);
	struct steer_adopted found;
	struct ended ended;
	char c;

	conn = meet_older(t, &w, server);
	assert_true(conn >= 0);
	assert_int_equal(read(w.fd, &c, 1), 1);
	attach(o);
	scene_set_ingress(&o->w, t->egress, L4_ALLOW);
	assert_int_equal(write(w.fd, &c, 1), 1);
	assert_int_equal(look_next_byte(conn, 30), 0); /* nothing, until it is known */
	found = adopt(o);
	assert_int_equal(found.connections, 1);
	assert_int_equal(found.listeners, t->way == ACCEPTS || t->way == DIALS_CRAFTED ? 1 : 0);
	found = adopt(o);
	assert_int_equal(found.connections + found.listeners, 0);
	ended = sweep(o);
	assert_int_equal(ended.n, t->survives ? 0 : 1);
	if (ended.n)
		assert_int_equal(ended.last.ingress, t->way == ACCEPTS);
	meet(w.fd);
	if (t->survives) {
		assert_int_equal(look_next_byte(conn, 5000), 'x');
		assert_int_equal(write(conn, "z", 1), 1);
		assert_int_equal(look_next_byte(conn, 5000), 'y');
	}
	meet(w.fd);
	worker_end(&w);
	close(conn);
	close(server);
	assert_int_equal(steer_detach(o->base.steer, o->base.cgroup.fd), 0);
}

static void test_connections(void **state)
{
	static struct older_case cases[] = {
		{ DIALS, AF_INET, "127.0.0.1", PORT_ALLOWED, true, true },
		{ DIALS, AF_INET, "127.0.0.1", PORT_REFUSED, true, false },
		{ DIALS, AF_INET, "127.0.0.1", PORT_STEERED, true, false },
		{ DIALS, AF_INET6, "::1", PORT_REFUSED, true, false },
		{ DIALS, AF_INET, "127.0.0.1", PORT_REFUSED, false, true },
		{ DIALS_BOUND, AF_INET, "127.0.0.1", PORT_ALLOWED, true, true },
		{ DIALS_BOUND, AF_INET, "127.0.0.1", PORT_REFUSED, true, false },
		{ DIALS_CRAFTED, AF_INET, "127.0.0.1", PORT_REFUSED, true, false },
		{ DIALS_CRAFTED, AF_INET, "127.0.0.1", PORT_ALLOWED, true, false },
		{ ACCEPTS, AF_INET, "127.0.0.1", PORT_ALLOWED, true, true },
		{ ACCEPTS, AF_INET6, "::1", PORT_ALLOWED, true, true },
		{ ACCEPTS, AF_INET6, HERE4, PORT_ALLOWED, true, true }, /* mapped */
		{ ACCEPTS, AF_INET, "127.0.0.1", PORT_REFUSED, true, false },
		{ ACCEPTS, AF_INET, "127.0.0.1", PORT_STEERED, false, false },
		{ ACCEPTS_AND_STOPS, AF_INET, "127.0.0.1", PORT_ALLOWED, false, true },
		{ ACCEPTS_AND_STOPS, AF_INET, "127.0.0.1", PORT_ALLOWED, true, false },
		{ ACCEPTS_AND_STOPS, AF_INET, "127.0.0.1", PORT_REFUSED, false, false },
	};
	struct older *o = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		check_older(o, &cases[i]);
	}
}

/* ---- servers ---- */

static void serve(int fd, void *arg)
{
	int six = scene_listen(AF_INET6, "::1", PORT_STEERED2),
	    both = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_storage any = place(AF_INET6, "::", PORT_STEERED);

	(void)arg;
	CHECK(bind(both, (struct sockaddr *)&any, place_len(&any)) == 0 && listen(both, 8) == 0);
	meet(fd);
	meet(fd);
	close(six);
	close(both);
	meet(fd);
}

static void expect_client(int listener)
{
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED), accepted;

	assert_true(sock >= 0);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	close(accepted);
	close(sock);
}

static void test_servers(void **state)
{
	struct older *o = *state;
	struct worker w = worker_start(&o->w, serve, NULL);
	int other;

	meet(w.fd);
	attach(o);
	assert_int_equal(adopt(o).listeners, 2);
	scene_set_ingress(&o->w, false, L4_ALLOW);
	expect_client(o->inbound);
	assert_int_equal(dial_tcp(AF_INET6, "::1", PORT_STEERED2), -ECONNREFUSED);
	scene_read_events(&o->base);
	assert_int_equal(o->base.n_events[STEER_ACCEPT_REFUSED], 1);
	meet(w.fd);
	meet(w.fd);
	/* They are gone, and whoever comes then is not theirs. */
	other = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED);
	expect_client(other);
	close(other);
	worker_end(&w);
}

/* ---- datagrams ---- */

static void send_older(int fd, void *arg)
{
	struct sockaddr_storage allowed = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int good = socket(AF_INET, SOCK_DGRAM, 0), bad = socket(AF_INET, SOCK_DGRAM, 0);
	int mixed = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr *to = (struct sockaddr *)&allowed;

	(void)arg;
	CHECK(dial(good, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
	CHECK(dial(bad, AF_INET, "127.0.0.1", PORT_REFUSED) == 0);
	CHECK(dial(mixed, AF_INET, "127.0.0.1", PORT_REFUSED) == 0);
	meet(fd);
	CHECK(send(good, "x", 1, 0) == 1);
	CHECK(send(bad, "x", 1, 0) < 0 && errno == EPERM);
	CHECK(sendto(mixed, "x", 1, 0, to, place_len(&allowed)) == 1);
	CHECK(send(mixed, "x", 1, 0) < 0 && errno == EPERM);
}

/* Connected before there were programs: what they are connected to says the socket. */
static void test_datagrams(void **state)
{
	struct older *o = *state;
	int allowed = scene_udp_server(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int refused = scene_udp_server(AF_INET, "127.0.0.1", PORT_REFUSED);
	struct worker w = worker_start(&o->w, send_older, NULL);
	char c;

	assert_int_equal(read(w.fd, &c, 1), 1);
	attach(o);
	scene_set_table(&o->w, true);
	assert_int_equal(write(w.fd, &c, 1), 1);
	worker_end(&w);
	assert_int_equal(scene_datagrams(allowed), 2);
	assert_int_equal(scene_datagrams(refused), 0);
	close(allowed);
	close(refused);
}

/* ---- from elsewhere ---- */

static void hold_all(int fd, void *arg)
{
	int own = scene_listen(AF_INET, "127.0.0.1", 0);

	(void)arg;
	meet(fd);
	meet(fd);
	close(own);
}

struct found_foreign {
	unsigned n;
	struct steer_foreign last;
};

static void on_foreign(void *ctx, const struct steer_foreign *f)
{
	struct found_foreign *found = ctx;

	found->n++;
	found->last = *f;
}

static struct found_foreign look_for_foreign(struct older *o)
{
	struct found_foreign found = { .n = 0 };

	assert_int_equal(steer_each_foreign(o->base.steer, on_foreign, &found), 0);
	return found;
}

/* A listening socket that was made outside, as socket activation does. */
static void test_passed_in(void **state)
{
	struct older *o = *state;
	struct found_foreign found;
	struct worker w;
	int passed;

	attach(o);
	/* The test's own and sluice's are inherited as well, but it closes the latter. */
	assert_int_equal(look_for_foreign(o).n, 0);
	close(o->inbound);
	passed = scene_listen(AF_INET, HERE4, PORT_STEERED);
	w = worker_start(&o->w, hold_all, NULL);
	meet(w.fd);
	found = look_for_foreign(o);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.last.workload, o->w.workload);
	assert_int_equal(found.last.netns_cookie, steer_netns_cookie(o->base.steer, 0));
	assert_int_equal(found.last.pid, w.pid);
	assert_true(address_is(&found.last.at, HERE4, PORT_STEERED));
	assert_true(found.last.command[0]);
	meet(w.fd);
	worker_end(&w);
	assert_int_equal(look_for_foreign(o).n, 0);
	close(passed);
	o->inbound = -1;
}

/* A program that cannot be pinned would not outlive us: it does not count as attached, and is
 * attached when it is tried again. */
static void test_name_is_taken(void **state)
{
	struct older *o = *state;
	struct steer_adopted found;
	struct error err = { "" };
	char pin[256];

	attach(o);
	snprintf(pin, sizeof(pin), "%s/link_0_steer_release", o->base.pin_dir);
	assert_int_equal(mkdir(pin, 0700), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(steer_adopt(o->base.steer, 0, &found, &err), -EEXIST);
	assert_int_equal(rmdir(pin), 0);
	adopt(o);
	assert_int_equal(access(pin, F_OK), 0);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_older, teardown_older)
		TEST(test_connections), TEST(test_servers),	  TEST(test_datagrams),
		TEST(test_passed_in),	TEST(test_name_is_taken),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
