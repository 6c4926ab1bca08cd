/* SPDX-License-Identifier: Apache-2.0 */
/* What comes to servers of the workload: handed to us, left alone, refused; and what they then
 * believe. Clients are outside of the workload unless it is said. */
#include "scene.h"
#include <poll.h>
#include <sched.h>

struct inbound {
	struct scene *s;
	int four, six; /* ours, to which clients are handed */
};

static struct inbound begin(struct scene *s)
{
	struct inbound in = { s, scene_listen(AF_INET, "127.0.0.1", 0),
			      scene_listen(AF_INET6, "::1", 0) };
	struct error err = { "" };

	if (steer_add_inbound(s->steer, in.four, &err) < 0 ||
	    steer_add_inbound(s->steer, in.six, &err) < 0)
		fail_msg("%s", err.text);
	scene_set_ingress(s, false, L4_ALLOW);
	return in;
}

static void end(struct inbound *in)
{
	close(in->four);
	close(in->six);
}

static struct address name_of(int fd, bool peer)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof(ss);
	int r = peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		     : getsockname(fd, (struct sockaddr *)&ss, &len);

	check(r == 0, "a socket's name", __FILE__, __LINE__);
	return address_of(&ss);
}

static bool somebody_waits(int listener, int ms)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* ---- a server of the workload ---- */

struct place_of_server {
	int family;
	const char *ip; /* that it binds to; a name of "::" is dual-stack */
	uint16_t port;
	const char *device; /* or NULL */
};

static int open_server(const struct place_of_server *at)
{
	struct sockaddr_storage ss = place(at->family, at->ip, at->port);
	int fd = socket(at->family, SOCK_STREAM, 0), one = 1;

	CHECK(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (at->device)
		CHECK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, at->device,
				 (socklen_t)strlen(at->device)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&ss, place_len(&ss)) == 0);
	CHECK(listen(fd, 64) == 0);
	return fd;
}

/* Accepts one connection between two meetings, and says whom it sees; then it ends. */
static void serve_one(int fd, void *arg)
{
	int server = open_server(arg), conn;
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof(ss);
	struct address seen[2];

	meet(fd);
	conn = accept(server, (struct sockaddr *)&ss, &len);
	CHECK(conn >= 0);
	seen[0] = address_of(&ss);
	seen[1] = name_of(conn, true);
	CHECK(address_same(&seen[0], &seen[1]));
	seen[1] = name_of(conn, false);
	CHECK(write(fd, seen, sizeof(seen)) == sizeof(seen));
	CHECK(write(conn, "x", 1) == 1);
	meet(fd);
	close(conn);
	close(server);
}

/* Waits for its end between two meetings, without accepting anybody. */
static void serve_nobody(int fd, void *arg)
{
	int server = open_server(arg);

	meet(fd);
	meet(fd);
	CHECK(!somebody_waits(server, 0));
	close(server);
}

/* What the worker does in the world's own way: the address as the kernel would choose it. */
static int dial_leg(struct scene *s, const struct flow *to, struct flow *ret)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	char text[INET6_ADDRSTRLEN];
	int family = to->destination.family, fd = socket(family, SOCK_STREAM, 0);

	inet_ntop(family, to->destination.ip, text, sizeof(text));
	ss = place(family, text, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, place_len(&ss)), 0);
	*ret = *to;
	ret->source = name_of(fd, false);
	assert_int_equal(steer_add_leg(s->steer, fd, ret), 0);
	assert_int_equal(dial(fd, family, text, to->destination.port), 0);
	return fd;
}

static const struct {
	struct place_of_server server;
	int family; /* of the client */
	const char *ip;
} ways[] = {
	{ { AF_INET, "127.0.0.1", PORT_STEERED, NULL }, AF_INET, "127.0.0.1" },
	{ { AF_INET, "0.0.0.0", PORT_STEERED, NULL }, AF_INET, "127.0.0.1" },
	{ { AF_INET, "0.0.0.0", PORT_STEERED, NULL }, AF_INET, "127.9.9.9" },
	{ { AF_INET, "0.0.0.0", PORT_STEERED, NULL }, AF_INET, HERE4 },
	{ { AF_INET, "0.0.0.0", PORT_STEERED, NULL }, AF_INET6, HERE4 },
	{ { AF_INET, HERE4, PORT_STEERED, NULL }, AF_INET, HERE4 },
	{ { AF_INET6, "::1", PORT_STEERED, NULL }, AF_INET6, "::1" },
	{ { AF_INET6, "::", PORT_STEERED, NULL }, AF_INET6, HERE6 },
	{ { AF_INET6, "::", PORT_STEERED, NULL }, AF_INET, HERE4 },
	{ { AF_INET6, "::", PORT_STEERED, NULL }, AF_INET, "127.0.0.1" },
	{ { AF_INET6, HERE4, PORT_STEERED, NULL }, AF_INET, HERE4 }, /* mapped */
};

static void test_handed_over(void **state)
{
	struct scene *s = *state;
	struct inbound in = begin(s);

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct place_of_server at = ways[i].server;
		struct worker w = worker_start(s, serve_one, &at);
		struct address client, server, seen[2];
		int sock, ours, leg;
		struct flow flow, with_leg;
		char c = 0;

		meet(w.fd);
		sock = dial_tcp(ways[i].family, ways[i].ip, PORT_STEERED);
		if (sock < 0)
			fail_msg("%zu: %s", i, strerror(-sock));
		ours = accept(strchr(ways[i].ip, ':') ? in.six : in.four, NULL, NULL);
		assert_true(ours >= 0);
		client = name_of(ours, true);
		server = name_of(ours, false);
		assert_true(address_is(&server, ways[i].ip, PORT_STEERED));
		assert_int_equal(steer_client(s->steer, 0, &client, &server, &flow), 0);
		assert_true(flow.local && flow.ingress);
		leg = dial_leg(s, &flow, &with_leg);
		assert_int_equal(read(w.fd, seen, sizeof(seen)), sizeof(seen));
		assert_int_equal(seen[0].port, client.port);
		assert_int_equal(seen[1].port, PORT_STEERED);
		if (at.family == ways[i].family) {
			assert_true(address_same(&seen[0], &client));
			assert_true(address_same(&seen[1], &server));
		}
		assert_int_equal(read(leg, &c, 1), 1);
		assert_int_equal(c, 'x');
		meet(w.fd);
		worker_end(&w);
		close(leg);
		steer_remove_leg(s->steer, &with_leg);
		close(ours);
		close(sock);
		sock = dial_tcp(ways[i].family, ways[i].ip, PORT_STEERED);
		assert_int_equal(sock, -ECONNREFUSED); /* as without us */
	}
	scene_read_events(s);
	for (int kind = 0; kind < STEER_EVENT_MAX; kind++)
		assert_int_equal(s->n_events[kind], 0);
	end(&in);
}

/* ---- alone, and refused ---- */

static void test_left_alone(void **state)
{
	struct place_of_server at = { AF_INET6, "::", PORT_ALLOWED, NULL };
	struct scene *s = *state;
	struct inbound in = begin(s);
	struct worker w = worker_start(s, serve_one, &at);
	struct address seen[2], own;
	char c = 0;
	int sock;

	meet(w.fd);
	sock = dial_tcp(AF_INET6, HERE6, PORT_ALLOWED);
	assert_true(sock >= 0);
	own = name_of(sock, false);
	assert_int_equal(read(w.fd, seen, sizeof(seen)), sizeof(seen));
	assert_true(address_same(&seen[0], &own));
	assert_int_equal(read(sock, &c, 1), 1);
	assert_false(somebody_waits(in.six, 0));
	meet(w.fd);
	worker_end(&w);
	close(sock);
	end(&in);
}

static void test_refused(void **state)
{
	struct place_of_server at = { AF_INET6, "::", PORT_REFUSED, NULL };
	struct scene *s = *state;
	struct inbound in = begin(s);
	struct worker w = worker_start(s, serve_nobody, &at);

	meet(w.fd);
	assert_int_equal(dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED), -ECONNREFUSED);
	assert_int_equal(dial_tcp(AF_INET, HERE4, PORT_REFUSED), -ECONNREFUSED);
	assert_int_equal(dial_tcp(AF_INET6, HERE4, PORT_REFUSED), -ECONNREFUSED);
	assert_int_equal(dial_tcp(AF_INET6, HERE6, PORT_REFUSED), -ECONNREFUSED);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_ACCEPT_REFUSED], 4);
	assert_true(address_is(&s->last_event.destination, HERE6, PORT_REFUSED));
	assert_int_equal(s->last_event.source.family, AF_INET6);
	meet(w.fd);
	worker_end(&w);
	end(&in);
}

/* Of a server that nobody selected sluice knows nothing, on whichever port. */
static void test_others(void **state)
{
	static const uint16_t ports[] = { PORT_STEERED, PORT_REFUSED };
	struct scene *s = *state;
	struct inbound in = begin(s);

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		int server = scene_listen(AF_INET, "0.0.0.0", ports[i]);
		int sock = dial_tcp(AF_INET, HERE4, ports[i]);

		assert_true(sock >= 0 && somebody_waits(server, 1000));
		close(sock);
		close(server);
	}
	end(&in);
}

/* Nor is another address of the same port its business. */
static void test_other_address(void **state)
{
	struct place_of_server at = { AF_INET, HERE4, PORT_REFUSED, NULL };
	struct scene *s = *state;
	struct inbound in = begin(s);
	struct worker w = worker_start(s, serve_nobody, &at);
	int other = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED), sock;

	meet(w.fd);
	sock = dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED);
	assert_true(sock >= 0 && somebody_waits(other, 1000));
	assert_int_equal(dial_tcp(AF_INET, HERE4, PORT_REFUSED), -ECONNREFUSED);
	meet(w.fd);
	worker_end(&w);
	close(sock);
	close(other);
	end(&in);
}

/* A socket of IPv6 only says nothing of IPv4, where somebody else may listen. */
static void serve_six_only(int fd, void *arg)
{
	int server = scene_listen(AF_INET6, "::", PORT_REFUSED);

	(void)arg;
	meet(fd);
	meet(fd);
	close(server);
}

static void test_six_only(void **state)
{
	struct scene *s = *state;
	struct inbound in = begin(s);
	struct worker w = worker_start(s, serve_six_only, NULL);
	int other, sock;

	meet(w.fd);
	other = scene_listen(AF_INET, "0.0.0.0", PORT_REFUSED);
	sock = dial_tcp(AF_INET, HERE4, PORT_REFUSED);
	assert_true(sock >= 0);
	assert_int_equal(dial_tcp(AF_INET6, HERE6, PORT_REFUSED), -ECONNREFUSED);
	meet(w.fd);
	worker_end(&w);
	close(sock);
	close(other);
	end(&in);
}

/* ---- going around ---- */

/* Nobody reaches a server past the program of the namespace: here it is bound to a device. */
static void test_device(void **state)
{
	struct place_of_server at = { AF_INET, "0.0.0.0", PORT_STEERED, "lo" };
	struct scene *s = *state;
	struct inbound in = begin(s);
	struct worker w = worker_start(s, serve_nobody, &at);
	struct sockaddr_storage to = place(AF_INET, "127.0.0.1", PORT_STEERED);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	meet(w.fd);
	assert_int_equal(connect(sock, (struct sockaddr *)&to, place_len(&to)), -1);
	assert_int_equal(errno, EINPROGRESS); /* its SYN is dropped */
	usleep(50000);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_ACCEPT_UNSTEERABLE], 1);
	meet(w.fd);
	worker_end(&w);
	close(sock);
	end(&in);
}

/* Who binds to the address of a leg that has gone is no leg, registered as it may be. */
static void test_false_leg(void **state)
{
	struct place_of_server at = { AF_INET, "127.0.0.1", PORT_STEERED, NULL };
	struct scene *s = *state;
	struct inbound in = begin(s);
	struct worker w = worker_start(s, serve_nobody, &at);
	struct sockaddr_storage to = place(AF_INET, "127.0.0.1", PORT_STEERED);
	struct sockaddr_storage from = place(AF_INET, "127.0.0.1", 0);
	int real = socket(AF_INET, SOCK_STREAM, 0), sock;
	struct address server = address_of(&to);
	struct flow flow;

	meet(w.fd);
	assert_int_equal(bind(real, (struct sockaddr *)&from, place_len(&from)), 0);
	steer_client(s->steer, 0, &server, &server, &flow);
	flow.source = name_of(real, false);
	assert_int_equal(steer_add_leg(s->steer, real, &flow), 0);
	close(real);
	from = place(AF_INET, "127.0.0.1", flow.source.port);
	sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&from, place_len(&from)), 0);
	assert_int_equal(connect(sock, (struct sockaddr *)&to, place_len(&to)), -1);
	assert_int_equal(errno, EINPROGRESS);
	usleep(50000);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_ACCEPT_UNSTEERABLE], 1);
	steer_remove_leg(s->steer, &flow);
	meet(w.fd);
	worker_end(&w);
	close(sock);
	end(&in);
}

/* Our listeners are gone, as when sluice was killed: refused, and nobody else can take their place.
 */
static void test_no_listener(void **state)
{
	struct place_of_server at = { AF_INET, "0.0.0.0", PORT_STEERED, NULL };
	struct scene *s = *state;
	struct worker w = worker_start(s, serve_nobody, &at); /* has no copy of our listeners */
	struct inbound in = begin(s);
	struct address name = name_of(in.four, false);
	int thief, alone;

	meet(w.fd);
	close(in.four);
	thief = scene_listen(AF_INET, "127.0.0.1", name.port);
	assert_int_equal(dial_tcp(AF_INET, HERE4, PORT_STEERED), -ECONNREFUSED);
	assert_false(somebody_waits(thief, 0));
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_ACCEPT_NO_LISTENER], 1);
	alone = scene_listen(AF_INET, HERE4, PORT_ALLOWED);
	assert_true(dial_tcp(AF_INET, HERE4, PORT_ALLOWED) >= 0);
	close(alone);
	meet(w.fd);
	worker_end(&w);
	in.four = thief;
	end(&in);
}

/* ---- a new table ---- */

/* Who was let in by an older table is not, as soon as the new one is in force. */
static void hold_one(int fd, void *arg)
{
	struct place_of_server at = { AF_INET, "0.0.0.0", PORT_ALLOWED, NULL };
	int server = open_server(&at), conn;
	char bytes[16];

	(void)arg;
	meet(fd);
	conn = accept(server, NULL, NULL);
	CHECK(conn >= 0 && read(conn, bytes, 1) == 1);
	meet(fd);
	meet(fd);
	CHECK(recv(conn, bytes, sizeof(bytes), MSG_DONTWAIT) < 0 && errno == EAGAIN);
	CHECK(write(conn, "x", 1) == 1); /* which does not arrive */
	meet(fd);
}

static void test_table_changes(void **state)
{
	struct scene *s = *state;
	struct inbound in = begin(s);
	struct worker w = worker_start(s, hold_one, NULL);
	char c;
	int sock;

	scene_set_ingress(s, false, L4_ALLOW);
	meet(w.fd);
	sock = dial_tcp(AF_INET, HERE4, PORT_ALLOWED);
	assert_true(sock >= 0);
	assert_int_equal(write(sock, "x", 1), 1);
	meet(w.fd);
	scene_set_ingress(s, false, L4_STEER);
	assert_int_equal(write(sock, "y", 1), 1);
	usleep(20000);
	meet(w.fd);
	usleep(20000);
	assert_int_equal(recv(sock, &c, 1, MSG_DONTWAIT), -1);
	meet(w.fd);
	worker_end(&w);
	close(sock);
	end(&in);
}

/* ---- UDP ---- */

static void answer_datagrams(int fd, void *arg)
{
	struct sockaddr_storage to = place(AF_INET, HERE4, *(uint16_t *)arg);
	int allowed = scene_udp_server(AF_INET, "0.0.0.0", PORT_ALLOWED);
	int refused = scene_udp_server(AF_INET, "0.0.0.0", PORT_REFUSED);
	int asks = scene_udp_server(AF_INET, "0.0.0.0", 0);

	meet(fd);
	meet(fd); /* both have been written to */
	CHECK(scene_datagrams(allowed) == 1);
	CHECK(scene_datagrams(refused) == 0);
	CHECK(sendto(asks, "?", 1, 0, (struct sockaddr *)&to, place_len(&to)) == 1);
	meet(fd);
	CHECK(scene_datagrams(asks) == 1);
}

static void test_datagrams(void **state)
{
	struct scene *s = *state;
	struct inbound in = begin(s);
	int peer = scene_udp_server(AF_INET, HERE4, 0);
	struct address name = name_of(peer, false);
	struct worker w = worker_start(s, answer_datagrams, &name.port);
	struct sockaddr_storage to = place(AF_INET, HERE4, PORT_ALLOWED);
	socklen_t len = sizeof(to);
	char c;

	meet(w.fd);
	assert_int_equal(sendto(peer, "x", 1, 0, (struct sockaddr *)&to, place_len(&to)), 1);
	to = place(AF_INET, HERE4, PORT_REFUSED);
	assert_int_equal(sendto(peer, "x", 1, 0, (struct sockaddr *)&to, place_len(&to)), 1);
	meet(w.fd);
	assert_int_equal(recvfrom(peer, &c, 1, 0, (struct sockaddr *)&to, &len), 1);
	assert_int_equal(sendto(peer, "!", 1, 0, (struct sockaddr *)&to, len), 1);
	meet(w.fd);
	worker_end(&w);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_DATAGRAM_REFUSED], 1);
	assert_true(address_is(&s->last_event.destination, HERE4, PORT_REFUSED));
	close(peer);
	end(&in);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

static int run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_handed_over), TEST(test_left_alone),	  TEST(test_refused),
		TEST(test_others),	TEST(test_other_address), TEST(test_six_only),
		TEST(test_device),	TEST(test_false_leg),	  TEST(test_no_listener),
		TEST(test_datagrams),	TEST(test_table_changes),
	};

	return cmocka_run_group_tests_name("inbound", tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
