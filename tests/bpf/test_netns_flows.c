/* SPDX-License-Identifier: Apache-2.0 */
/* What workloads in other network namespaces connect to, and who comes to them. */
#include "netns_stage.h"
#include <poll.h>
#include <sched.h>
#include "sweep.h"

#define PORT_HOST 8010 /* allowed to and from the host's addresses alone */
#define PORT_FAR  8011 /* to and from all others */

static struct elsewhere there;

#define PEER(where, is_local, which, id)                                                       \
	{                                                                                      \
		.direction = (where), .local = (is_local), .family = (which), .prefix_len = 0, \
		.identity = (id)                                                               \
	}
#define ALLOW(where, id, number, proto, what)                                                  \
	{                                                                                      \
		.direction = (where), .identity = (id), .protocol = (proto), .prefix_len = 16, \
		.port = (number), .action = (what)                                             \
	}

/* Identity 1 is the world, 2 the host. */
static void hold(struct scene *s, unsigned flags, bool ingress)
{
	struct l4_peer peers[] = {
		PEER(L4_EGRESS, 0, 4, 1),  PEER(L4_EGRESS, 1, 4, 2),  PEER(L4_EGRESS, 0, 6, 1),
		PEER(L4_EGRESS, 1, 6, 2),  PEER(L4_INGRESS, 0, 4, 1), PEER(L4_INGRESS, 1, 4, 2),
		PEER(L4_INGRESS, 0, 6, 1), PEER(L4_INGRESS, 1, 6, 2),
	};
	struct l4_port ports[] = {
		ALLOW(L4_EGRESS, 1, PORT_STEERED, IPPROTO_TCP, L4_STEER),
		ALLOW(L4_EGRESS, 2, PORT_STEERED, IPPROTO_TCP, L4_STEER),
		ALLOW(L4_EGRESS, 1, PORT_FAR, IPPROTO_TCP, L4_ALLOW),
		ALLOW(L4_EGRESS, 2, PORT_HOST, IPPROTO_TCP, L4_ALLOW),
		ALLOW(L4_INGRESS, 1, PORT_STEERED, IPPROTO_TCP, L4_STEER),
		ALLOW(L4_INGRESS, 2, PORT_STEERED, IPPROTO_TCP, L4_STEER),
		ALLOW(L4_INGRESS, 1, PORT_FAR, IPPROTO_TCP, L4_ALLOW),
		ALLOW(L4_INGRESS, 2, PORT_HOST, IPPROTO_TCP, L4_ALLOW),
	};
	const struct l4_table table = { .enforced = true,
					.ingress_enforced = ingress,
					.peers = peers,
					.n_peers = ARRAY_SIZE(peers),
					.ports = ports,
					.n_ports = ARRAY_SIZE(ports) };

	elsewhere_hold(s, flags, &table);
}

static int setup(void **state)
{
	int r = elsewhere_setup(state, &there);

	hold(*state, 0, false);
	return r;
}

static int teardown(void **state)
{
	return elsewhere_teardown(state, &there);
}

/* ---- one connect() of the workload from there ---- */

struct dialled {
	const char *ip;
	int family;
	uint16_t port;
	int result; /* 0: it is had */
	bool by_udp;
};

static int send_one(const struct dialled *d)
{
	struct sockaddr_storage to = place(d->family, d->ip, d->port);
	int fd = socket(d->family, SOCK_DGRAM, 0), r;

	r = sendto(fd, "x", 1, 0, (struct sockaddr *)&to, place_len(&to)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static void dial_there(int fd, void *arg)
{
	const struct dialled *d = arg;
	int r;

	(void)fd;
	CHECK(setns(there.fd, CLONE_NEWNET) == 0);
	r = d->by_udp ? send_one(d) : dial_tcp(d->family, d->ip, d->port);
	r = r > 0 ? 0 : r;
	if (r != d->result)
		fprintf(stderr, "%s:%u: %s\n", d->ip, d->port, strerror(-r));
	CHECK(r == d->result);
}

static void expect(struct scene *s, const struct dialled *d)
{
	worker_run(s, dial_there, (void *)d);
}

static struct flow accepted(struct scene *s, int listener, int *fd)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	struct pollfd p = { .fd = listener, .events = POLLIN };
	socklen_t len = sizeof(ss);
	struct address client;
	struct flow flow;

	assert_int_equal(poll(&p, 1, 5000), 1);
	*fd = accept(listener, (struct sockaddr *)&ss, &len);
	assert_true(*fd >= 0);
	client = address_of(&ss);
	assert_int_equal(steer_take(s->steer, 0, &client, &flow), -ENOENT);
	assert_int_equal(steer_take(s->steer, there.number, &client, &flow), 0);
	return flow;
}

/* ---- on the way out ---- */

static void dial_and_see(int fd, void *arg)
{
	const struct dialled *d = arg;
	struct sockaddr_storage to = place(d->family, d->ip, d->port), seen;
	socklen_t len = sizeof(seen);
	int sock;

	CHECK(setns(there.fd, CLONE_NEWNET) == 0);
	sock = dial_tcp(d->family, d->ip, d->port);
	CHECK(sock >= 0);
	CHECK(getpeername(sock, (struct sockaddr *)&seen, &len) == 0);
	CHECK(same_place(&to, &seen));
	meet(fd);
	len = sizeof(seen);
	CHECK(getsockname(sock, (struct sockaddr *)&seen, &len) == 0);
	CHECK(write(fd, &seen, sizeof(seen)) == sizeof(seen));
}

static void test_steered(void **state)
{
	const struct dialled ways[] = {
		{ .family = AF_INET, .ip = FAR4, .port = PORT_STEERED },
		{ .family = AF_INET6, .ip = FAR6, .port = PORT_STEERED },
		{ .family = AF_INET6, .ip = FAR4, .port = PORT_STEERED },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		bool six = strchr(ways[i].ip, ':');
		struct worker w = worker_start(s, dial_and_see, (void *)&ways[i]);
		struct address local = address_ip(six ? there.there6 : there.there4, 1), name;
		struct sockaddr_storage seen;
		struct flow flow;
		int fd;

		flow = accepted(s, six ? there.six : there.four, &fd);
		assert_true(address_is(&flow.destination, ways[i].ip, PORT_STEERED));
		assert_int_equal(flow.netns, there.number);
		assert_int_equal(flow.workload, s->workload);
		assert_false(flow.local);
		assert_int_equal(steer_set_local(s->steer, &flow, &local), 0);
		meet(w.fd);
		assert_int_equal(read(w.fd, &seen, sizeof(seen)), sizeof(seen));
		name = address_of(&seen);
		if (ways[i].family == (six ? AF_INET6 : AF_INET))
			assert_memory_equal(name.ip, local.ip, 16);
		worker_end(&w);
		close(fd);
	}
	scene_read_events(s);
	for (int kind = 0; kind < STEER_KIND_MAX; kind++)
		assert_int_equal(s->n_events[kind], 0);
}

/* Those of the scene are the host's, that of the namespace itself is not. */
static void test_host(void **state)
{
	struct scene *s = *state;
	int host4 = scene_listen(AF_INET, "0.0.0.0", PORT_HOST), fd;
	int host6 = scene_listen(AF_INET6, "::", PORT_HOST);
	int far4 = scene_listen(AF_INET, "0.0.0.0", PORT_FAR);
	const struct dialled tries[] = {
		{ there.here4, AF_INET, PORT_HOST, 0, false },
		{ HERE4, AF_INET, PORT_HOST, 0, false },
		{ there.here6, AF_INET6, PORT_HOST, 0, false },
		{ HERE4, AF_INET6, PORT_HOST, 0, false },
		{ there.here4, AF_INET, PORT_FAR, -EPERM, false },
		{ "192.0.2.5", AF_INET, PORT_HOST, -EPERM, false },
		{ "127.0.0.1", AF_INET, PORT_HOST, -EPERM, false },
		{ "::1", AF_INET6, PORT_HOST, -EPERM, false },
		{ there.there4, AF_INET, PORT_HOST, -EPERM, false },
	};
	struct worker w;
	struct flow flow;

	hold(s, STEER_WORKLOAD_LOOPBACK, false);
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		expect(s, &tries[i]);
	w = worker_start(s, dial_there,
			 &(struct dialled){ HERE4, AF_INET, PORT_STEERED, 0, false });
	flow = accepted(s, there.four, &fd);
	assert_true(flow.local);
	worker_end(&w);
	close(fd);
	close(host4);
	close(host6);
	close(far4);
}

static void test_left_alone(void **state)
{
	struct scene *s = *state;
	struct sockaddr_storage to = place(AF_INET, there.there4, PORT_REFUSED);
	int four = elsewhere_listen(&there, AF_INET, "0.0.0.0", PORT_REFUSED);
	int six = elsewhere_listen(&there, AF_INET6, "::", PORT_REFUSED);
	int home = elsewhere_visit(&there), udp = socket(AF_INET, SOCK_DGRAM, 0);
	const struct dialled own[] = {
		{ "127.0.0.1", AF_INET, PORT_REFUSED, 0, false },
		{ "127.3.2.1", AF_INET, PORT_REFUSED, 0, false },
		{ "0.0.0.0", AF_INET, PORT_REFUSED, 0, false },
		{ there.there4, AF_INET, PORT_REFUSED, 0, false },
		{ "::1", AF_INET6, PORT_REFUSED, 0, false },
		{ there.there6, AF_INET6, PORT_REFUSED, 0, false },
		{ there.there4, AF_INET6, PORT_REFUSED, 0, false },
		{ there.there4, AF_INET, PORT_REFUSED, 0, true },
	};

	assert_int_equal(bind(udp, (struct sockaddr *)&to, place_len(&to)), 0);
	elsewhere_come_back(home);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		expect(s, &own[i]);
	assert_int_equal(scene_datagrams(udp), 1);
	hold(s, STEER_WORKLOAD_LOOPBACK, false);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		struct dialled d = own[i];

		d.result = -EPERM;
		expect(s, &d);
	}
	assert_int_equal(scene_datagrams(udp), 0);
	/* Without a number nothing is known of it. */
	elsewhere_unregister(&there);
	hold(s, 0, false);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		struct dialled d = own[i];

		d.result = -EPERM;
		expect(s, &d);
	}
	elsewhere_register(&there);
	close(four);
	close(six);
	close(udp);
}

/* The mirror still has an address that is somebody else's by now: what is left alone does not
 * leave, neither a new connection, nor an old one, nor a datagram. */
static void talk_and_move(int fd, void *arg)
{
	struct sockaddr_storage to = place(AF_INET, "10.78.1.9", PORT_REFUSED);
	int old, new, udp;

	(void)arg;
	CHECK(setns(there.fd, CLONE_NEWNET) == 0);
	old = dial_tcp(AF_INET, "10.78.1.9", PORT_REFUSED);
	CHECK(old >= 0 && write(old, "a", 1) == 1);
	meet(fd); /* it moves */
	CHECK(write(old, "b", 1) == 1);
	new = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK(dial(new, AF_INET, "10.78.1.9", PORT_REFUSED) == -EINPROGRESS);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	(void)!sendto(udp, "x", 1, 0, (struct sockaddr *)&to, place_len(&to));
	meet(fd);
}

static void test_address_moves(void **state)
{
	struct scene *s = *state;
	struct sockaddr_storage at = place(AF_INET, "10.78.1.9", PORT_REFUSED);
	struct pollfd p = { .events = POLLIN };
	struct worker w;
	int server, udp;

	assert_true(elsewhere_shell(&there, "ip addr add 10.78.1.9/32 dev lo"));
	assert_int_equal(routes_update(there.routes), 0);
	server = elsewhere_listen(&there, AF_INET, "10.78.1.9", PORT_REFUSED);
	w = worker_start(s, talk_and_move, NULL);
	assert_int_equal(read(w.fd, &(char){ 0 }, 1), 1);
	assert_true(elsewhere_shell(&there, "ip addr del 10.78.1.9/32 dev lo"));
	assert_true(scene_shell("ip addr add 10.78.1.9/32 dev out1"));
	p.fd = scene_listen(AF_INET, "10.78.1.9", PORT_REFUSED);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(udp, (struct sockaddr *)&at, place_len(&at)), 0);
	assert_int_equal(write(w.fd, ".", 1), 1);
	meet(w.fd);
	assert_int_equal(poll(&p, 1, 100), 0);
	assert_int_equal(scene_datagrams(udp), 0);
	worker_end(&w);
	assert_true(scene_shell("ip addr del 10.78.1.9/32 dev out1"));
	close(udp);
	close(p.fd);
	close(server);
}

static void on_swept(void *ctx, const struct swept *e)
{
	(void)e;
	*(unsigned *)ctx += 1;
}

static void hold_open(int fd, void *arg)
{
	int own, far;
	char c;

	(void)arg;
	CHECK(setns(there.fd, CLONE_NEWNET) == 0);
	own = dial_tcp(AF_INET, "127.0.0.1", PORT_FAR);
	far = dial_tcp(AF_INET, FAR4, PORT_FAR);
	CHECK(own >= 0 && far >= 0);
	meet(fd); /* nothing is allowed any more */
	CHECK(read(far, &c, 1) < 0);
	CHECK(write(own, "x", 1) == 1);
	meet(fd);
}

/* A sweep ends what the new table does not allow, wherever it is, and not what nobody asks for. */
static void test_sweep(void **state)
{
	const struct l4_table nothing = { .enforced = true };
	struct scene *s = *state;
	struct error err = { "" };
	int own = elsewhere_listen(&there, AF_INET, "127.0.0.1", PORT_FAR), far, conn;
	unsigned swept = 0;
	struct worker w;
	char c = 0;

	assert_true(scene_shell("ip addr add " FAR4 "/32 dev lo"));
	hold(s, 0, false);
	far = scene_listen(AF_INET, FAR4, PORT_FAR);
	/* It is the host's now, until its routes are read again. */
	w = worker_start(s, hold_open, NULL);
	assert_int_equal(read(w.fd, &c, 1), 1);
	conn = accept(own, NULL, NULL);
	assert_int_equal(steer_set_table(s->steer, s->workload, &nothing, &err), 0);
	assert_int_equal(steer_sweep(s->steer, on_swept, &swept), 0);
	assert_int_equal(swept, 1);
	assert_int_equal(write(w.fd, ".", 1), 1);
	meet(w.fd);
	assert_int_equal(read(conn, &c, 1), 1);
	assert_int_equal(c, 'x');
	worker_end(&w);
	assert_true(scene_shell("ip addr del " FAR4 "/32 dev lo"));
	close(conn);
	close(own);
	close(far);
}

/* ---- on the way in ---- */

struct served {
	uint16_t port;
	int family;
};

static void serve(int fd, void *arg)
{
	const struct served *at = arg;
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof(ss);
	struct address seen;
	int server, conn;

	CHECK(setns(there.fd, CLONE_NEWNET) == 0);
	server = scene_listen(at->family, at->family == AF_INET ? "0.0.0.0" : "::", at->port);
	meet(fd);
	conn = accept(server, (struct sockaddr *)&ss, &len);
	CHECK(conn >= 0);
	seen = address_of(&ss);
	CHECK(write(fd, &seen, sizeof(seen)) == sizeof(seen));
	meet(fd);
}

static struct address name_of(int fd, bool peer)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof(ss);

	assert_int_equal(peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
			      : getsockname(fd, (struct sockaddr *)&ss, &len),
			 0);
	return address_of(&ss);
}

/* The host is always let in, unless it is held. */
static void test_host_comes(void **state)
{
	struct scene *s = *state;

	for (int family = AF_INET; family != 0; family = family == AF_INET ? AF_INET6 : 0) {
		const char *ip = family == AF_INET ? there.there4 : there.there6;
		struct served at = { PORT_REFUSED, family };
		struct address seen, own;
		struct worker w;
		unsigned swept = 0;
		int fd;

		hold(s, 0, true);
		w = worker_start(s, serve, &at);
		meet(w.fd);
		fd = dial_tcp(family, ip, PORT_REFUSED);
		if (fd < 0)
			fail_msg("%s: %s", ip, strerror(-fd));
		assert_int_equal(read(w.fd, &seen, sizeof(seen)), sizeof(seen));
		own = name_of(fd, false);
		assert_true(address_same(&seen, &own));
		/* In place: what the host has connected is held to it as well. */
		elsewhere_set_flags(s, STEER_WORKLOAD_HOST_HELD);
		assert_int_equal(dial_tcp(family, ip, PORT_REFUSED), -ECONNREFUSED);
		assert_int_equal(steer_sweep(s->steer, on_swept, &swept), 0);
		assert_int_equal(swept, 1);
		meet(w.fd);
		worker_end(&w);
		close(fd);
	}
}

static void test_handed_over(void **state)
{
	struct scene *s = *state;

	hold(s, STEER_WORKLOAD_HOST_HELD, true);
	for (int family = AF_INET; family != 0; family = family == AF_INET ? AF_INET6 : 0) {
		const char *ip = family == AF_INET ? there.there4 : there.there6;
		struct served at = { PORT_STEERED, family };
		struct worker w = worker_start(s, serve, &at);
		struct address client, server, seen;
		struct sockaddr_storage near;
		int fd, ours, leg, home;
		struct flow flow;

		meet(w.fd);
		fd = dial_tcp(family, ip, PORT_STEERED);
		assert_true(fd >= 0);
		ours = accept(family == AF_INET ? there.inbound_four : there.inbound_six, NULL,
			      NULL);
		client = name_of(ours, true);
		server = name_of(ours, false);
		assert_int_equal(steer_client(s->steer, 0, &client, &server, &flow), -ENOENT);
		assert_int_equal(steer_client(s->steer, there.number, &client, &server, &flow), 0);
		assert_true(flow.ingress && flow.local && flow.netns == there.number);
		assert_int_equal(flow.workload, s->workload);
		home = elsewhere_visit(&there);
		leg = socket(family, SOCK_STREAM, 0);
		elsewhere_come_back(home);
		near = place(family, ip, 0);
		assert_int_equal(bind(leg, (struct sockaddr *)&near, place_len(&near)), 0);
		flow.source = name_of(leg, false);
		assert_int_equal(steer_add_leg(s->steer, leg, &flow), 0);
		assert_int_equal(dial(leg, family, ip, PORT_STEERED), 0);
		assert_int_equal(read(w.fd, &seen, sizeof(seen)), sizeof(seen));
		assert_true(address_same(&seen, &client));
		meet(w.fd);
		worker_end(&w);
		steer_remove_leg(s->steer, &flow);
		close(leg);
		close(ours);
		close(fd);
	}
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_steered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handed_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
