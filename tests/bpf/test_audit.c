/* SPDX-License-Identifier: Apache-2.0 */
/* In audit nothing is refused, whatever the reason, and each refusal that would have been is an
 * event. */
#include "scene.h"
#include <poll.h>
#include <sched.h>
#include <signal.h>

/* All events so far were of this kind, and passed. */
static void expect_events(struct scene *s, enum steer_event_kind kind, unsigned n)
{
	unsigned all = 0;

	scene_read_events(s);
	for (int i = 0; i < STEER_EVENT_MAX; i++)
		all += s->n_events[i];
	assert_int_equal(s->n_events[kind], n);
	assert_int_equal(all, n);
	assert_int_equal(s->n_audited, n);
}

/* The next connection of LISTENER brings what its client said. */
static void check_arrives(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	char byte = 0;
	int fd;

	assert_int_equal(poll(&p, 1, 5000), 1);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	close(fd);
}

static void dial_and_say(int family, const char *ip, uint16_t port)
{
	int sock = dial_tcp(family, ip, port);

	CHECK(sock >= 0);
	CHECK(write(sock, "x", 1) == 1);
	close(sock);
}

/* ---- TCP ---- */

static void dial_refused(int fd, void *arg)
{
	struct sockaddr_storage name, want = place(AF_INET, "127.0.0.1", PORT_REFUSED);
	socklen_t len = sizeof(name);
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_REFUSED);

	CHECK(sock >= 0 && write(sock, "x", 1) == 1);
	CHECK(getpeername(sock, (struct sockaddr *)&name, &len) == 0 && same_place(&name, &want));
	dial_and_say(AF_INET6, "127.0.0.1", PORT_REFUSED); /* mapped */
	dial_and_say(AF_INET6, "::1", PORT_REFUSED);
	dial_and_say(AF_INET, "127.0.0.1", PORT_ALLOWED);
}

static void test_refused(void **state)
{
	struct scene *s = *state;
	int server4 = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED);
	int server6 = scene_listen(AF_INET6, "::1", PORT_REFUSED);
	int allowed = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);

	worker_run(s, dial_refused, NULL);
	check_arrives(server4);
	check_arrives(server4);
	check_arrives(server6);
	check_arrives(allowed);
	expect_events(s, STEER_CONNECT_REFUSED, 3);
	assert_true(address_is(&s->last_event.destination, "::1", PORT_REFUSED));
	close(server4);
	close(server6);
	close(allowed);
}

static void dial_steered(int fd, void *arg)
{
	dial_and_say(AF_INET, FAR4, PORT_STEERED);
}

static void test_steered(void **state)
{
	struct scene *s = *state;
	struct flow flow;
	int fd;

	worker_run(s, dial_steered, NULL);
	fd = accept_flow(s, s->listener4, &flow);
	assert_true(address_is(&flow.destination, FAR4, PORT_STEERED));
	expect_events(s, STEER_CONNECT_REFUSED, 0);
	close(fd);
}

/* A connection that was allowed, and would not be any more. */
static void keep_talking(int fd, void *arg)
{
	int sock = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);

	CHECK(sock >= 0);
	meet(fd);
	for (int i = 0; i < 3; i++)
		CHECK(write(sock, "x", 1) == 1);
}

static void test_table_changes(void **state)
{
	const struct l4_table nothing = { .enforced = true };
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w = worker_start(s, keep_talking, NULL);
	char c;

	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(steer_set_table(s->steer, s->workload, &nothing, NULL), 0);
	assert_int_equal(write(w.fd, &c, 1), 1);
	worker_end(&w);
	check_arrives(server);
	expect_events(s, STEER_PACKET_DROPPED, 1);
	close(server);
}

/* ---- what has to be steered and cannot be ---- */

static void dial_local(int fd, void *arg)
{
	dial_and_say(AF_INET, "127.0.0.1", PORT_STEERED);
	dial_and_say(AF_INET6, "::1", PORT_STEERED);
}

static void test_no_listener(void **state)
{
	struct scene *s = *state;
	int server4 = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED);
	int server6 = scene_listen(AF_INET6, "::1", PORT_STEERED);

	close(s->listener4);
	close(s->listener6);
	worker_run(s, dial_local, NULL);
	check_arrives(server4);
	check_arrives(server6);
	expect_events(s, STEER_CONNECT_NO_LISTENER, 2);
	close(server4);
	close(server6);
	s->listener4 = s->listener6 = -1;
}

static void dial_in_own_network(int fd, void *arg)
{
	int listener, sock;
	char byte = 0;

	CHECK(unshare(CLONE_NEWNET) == 0 && scene_shell("ip link set lo up"));
	listener = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED);
	dial_and_say(AF_INET, "127.0.0.1", PORT_STEERED);
	sock = accept(listener, NULL, NULL);
	CHECK(sock >= 0 && read(sock, &byte, 1) == 1 && byte == 'x');
}

static void test_own_network(void **state)
{
	struct scene *s = *state;

	worker_run(s, dial_in_own_network, NULL);
	expect_events(s, STEER_CONNECT_NO_LISTENER, 1);
}

static int dial_from(uint16_t from, const char *ip, uint16_t port)
{
	struct sockaddr_storage source = place(AF_INET, "127.0.0.1", from);
	int sock = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	CHECK(setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(bind(sock, (struct sockaddr *)&source, place_len(&source)) == 0);
	CHECK(dial(sock, AF_INET, ip, port) == 0);
	CHECK(write(sock, "x", 1) == 1);
	return sock;
}

static void dial_twice_from_one_port(int fd, void *arg)
{
	dial_from(7077, "127.0.0.1", PORT_STEERED);
	dial_from(7077, "127.0.0.1", PORT_STEERED2);
	meet(fd);
}

static void test_one_source_port(void **state)
{
	struct scene *s = *state;
	int first = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED);
	int second = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED2);
	struct worker w = worker_start(s, dial_twice_from_one_port, NULL);
	struct flow flow;
	int fd = accept_flow(s, s->listener4, &flow);

	assert_true(address_is(&flow.destination, "127.0.0.1", PORT_STEERED));
	check_arrives(second);
	meet(w.fd);
	worker_end(&w);
	expect_events(s, STEER_CONNECT_PORT_TAKEN, 1);
	close(fd);
	close(first);
	close(second);
}

/* Left to fail, since nobody listened there; then somebody does. */
static void dial_too_early(int fd, void *arg)
{
	int sock = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	CHECK(setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) == 0);
	CHECK(setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one)) == 0);
	CHECK(dial(sock, AF_INET, "127.0.0.1", PORT_STEERED) == 0);
	meet(fd);
	CHECK(write(sock, "x", 1) == 1);
	meet(fd);
}

static void test_listener_appears(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, dial_too_early, NULL);
	int server;
	char c;

	assert_int_equal(read(w.fd, &c, 1), 1);
	server = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED);
	assert_int_equal(write(w.fd, &c, 1), 1);
	check_arrives(server);
	meet(w.fd);
	worker_end(&w);
	expect_events(s, STEER_PACKET_DROPPED, 1);
	close(server);
}

/* ---- UDP and other sockets ---- */

static void send_all(int fd, void *arg)
{
	struct sockaddr_storage a = place(AF_INET, "127.0.0.1", PORT_REFUSED);
	struct sockaddr_storage b = place(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct sockaddr_storage c = place(AF_INET, "127.0.0.1", PORT_STEERED);
	int sock = socket(AF_INET, SOCK_DGRAM, 0), peer = socket(AF_INET, SOCK_DGRAM, 0);

	for (int i = 0; i < 3; i++)
		CHECK(sendto(sock, "x", 1, 0, (struct sockaddr *)&a, place_len(&a)) == 1);
	CHECK(sendto(sock, "x", 1, 0, (struct sockaddr *)&b, place_len(&b)) == 1);
	CHECK(sendto(sock, "x", 1, 0, (struct sockaddr *)&c, place_len(&c)) == 1);
	CHECK(dial(peer, AF_INET, "127.0.0.1", PORT_REFUSED) == 0);
	CHECK(sendto(peer, "x", 1, 0, (struct sockaddr *)&c, place_len(&c)) == 1);
	for (int i = 0; i < 3; i++)
		CHECK(write(peer, "x", 1) == 1);
}

/* One event for what goes to one place in a row: sock to two, peer to two. */
static void test_udp(void **state)
{
	struct scene *s = *state;
	int refused = scene_udp_server(AF_INET, "127.0.0.1", PORT_REFUSED),
	    allowed = scene_udp_server(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int other = scene_udp_server(AF_INET, "127.0.0.1", PORT_STEERED);

	worker_run(s, send_all, NULL);
	assert_int_equal(scene_datagrams(refused), 6);
	assert_int_equal(scene_datagrams(allowed), 1);
	assert_int_equal(scene_datagrams(other), 2);
	expect_events(s, STEER_SENDMSG_REFUSED, 4);
	close(refused);
	close(allowed);
	close(other);
}

static void ping_by_hand(int fd, void *arg)
{
	struct sockaddr_storage to = place(AF_INET, "127.0.0.1", 0);
	int sock = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	char packet[8] = { 8, 0, (char)0xf7, (char)0xff }, answer[100];

	CHECK(sock >= 0);
	for (int i = 0; i < 2; i++)
		CHECK(sendto(sock, packet, sizeof(packet), 0, (struct sockaddr *)&to,
			     place_len(&to)) == sizeof(packet));
	CHECK(recv(sock, answer, sizeof(answer), 0) > 8);
}

static void test_raw(void **state)
{
	struct scene *s = *state;

	worker_run(s, ping_by_hand, NULL);
	expect_events(s, STEER_SOCKET_REFUSED, 1);
}

static void use_multipath(int fd, void *arg)
{
	int sock = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	CHECK(sock >= 0);
	CHECK(dial(sock, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
	CHECK(write(sock, "x", 1) == 1);
	close(sock);
}

static void test_multipath(void **state)
{
	struct scene *s = *state;
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), server;

	if (fd < 0) {
		scene_skip("MPTCP", strerror(errno), false);
		return;
	}
	close(fd);
	server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	worker_run(s, use_multipath, NULL);
	check_arrives(server);
	expect_events(s, STEER_SOCKET_REFUSED, 1);
	close(server);
}

/* ---- the end ---- */

static void own_programs(int fd, void *arg)
{
	const struct steer_options options = { .max_flows = 1024, .audit = true };
	struct scene own = { .listener4 = -1, .listener6 = -1 };
	struct cgroup *cg = arg;
	struct error err = { "" };

	CHECK(steer_open(&options, &own.steer, &err) == 0);
	scene_add_workload(&own, cg);
	scene_set_table(&own, true);
	scene_add_listeners(&own);
	CHECK(steer_attach(own.steer, cg->fd, "/sys/fs/bpf/sluice/killed", &err) == 0);
	CHECK(access("/sys/fs/bpf/sluice", F_OK) < 0);
	meet(fd);
	pause();
}

static void dial_refused_and_steered(int fd, void *arg)
{
	dial_and_say(AF_INET, "127.0.0.1", PORT_REFUSED);
	dial_and_say(AF_INET, "127.0.0.1", PORT_STEERED);
}

/* Killed, it leaves nothing that could refuse. */
static void test_killed(void **state)
{
	struct scene s = { .listener4 = -1, .listener6 = -1 };
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_REFUSED), status;
	int steered = scene_listen(AF_INET, "127.0.0.1", PORT_STEERED);
	struct error err = { "" };
	struct worker owner;
	char c;

	assert_int_equal(cgroup_make(&s.cgroup, "killed", &err), 0);
	owner = worker_start(NULL, own_programs, &s.cgroup);
	assert_int_equal(read(owner.fd, &c, 1), 1);
	kill(owner.pid, SIGKILL);
	assert_int_equal(waitpid(owner.pid, &status, 0), owner.pid);
	close(owner.fd);
	worker_run(&s, dial_refused_and_steered, NULL);
	check_arrives(server);
	check_arrives(steered);
	assert_int_equal(cgroup_remove(&s.cgroup), 0);
	close(server);
	close(steered);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup_audit, scene_teardown)
		TEST(test_refused),
		TEST(test_steered),
		TEST(test_table_changes),
		TEST(test_no_listener),
		TEST(test_own_network),
		TEST(test_one_source_port),
		TEST(test_listener_appears),
		TEST(test_udp),
		TEST(test_raw),
		TEST(test_multipath),
		cmocka_unit_test(test_killed),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
