/* SPDX-License-Identifier: Apache-2.0 */
/* UDP, connected and not; and sockets of protocols that nobody can hold. */
#include "scene.h"
#include <bpf/libbpf.h>
#include <poll.h>
#include <signal.h>

static int udp(int family)
{
	int fd = socket(family, SOCK_DGRAM, 0);

	CHECK(fd >= 0);
	return fd;
}

static int say(int fd, int family, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss = place(family, ip, port);

	return sendto(fd, "hi", 2, 0, (struct sockaddr *)&ss, place_len(&ss)) < 0 ? -errno : 0;
}

static void send_unconnected(int fd, void *arg)
{
	int v4 = udp(AF_INET), v6 = udp(AF_INET6);

	CHECK(say(v4, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
	CHECK(say(v4, AF_INET, "0.0.0.0", PORT_ALLOWED) == 0);
	CHECK(say(v6, AF_INET6, "127.0.0.1", PORT_ALLOWED) == 0); /* mapped */
	CHECK(say(v6, AF_INET6, "0.0.0.0", PORT_ALLOWED) == 0);
	CHECK(say(v6, AF_INET6, "::1", PORT_ALLOWED) == 0);
	CHECK(say(v6, AF_INET6, "::", PORT_ALLOWED) == 0);
	CHECK(say(v6, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0); /* AF_INET on an IPv6 socket */
	CHECK(say(v4, AF_UNSPEC, "127.0.0.1", PORT_ALLOWED) != -EPERM);

	CHECK(say(v4, AF_INET, "127.0.0.1", PORT_REFUSED) == -EPERM);
	CHECK(say(v4, AF_INET, "0.0.0.0", PORT_REFUSED) == -EPERM);
	CHECK(say(v6, AF_INET6, "127.0.0.1", PORT_REFUSED) == -EPERM);
	CHECK(say(v6, AF_INET6, "::1", PORT_REFUSED) == -EPERM);
	CHECK(say(v6, AF_INET, "127.0.0.1", PORT_REFUSED) == -EPERM);
	/* Steering is for TCP: a table cannot say it for UDP, and TCP's ports say nothing here. */
	CHECK(say(v4, AF_INET, "127.0.0.1", PORT_STEERED) == -EPERM);
}

static void test_unconnected(void **state)
{
	struct scene *s = *state;
	int server4 = scene_udp_server(AF_INET, "0.0.0.0", PORT_ALLOWED);
	int server6 = scene_udp_server(AF_INET6, "::", PORT_ALLOWED);
	int refused = scene_udp_server(AF_INET, "0.0.0.0", PORT_REFUSED);

	worker_run(s, send_unconnected, NULL);
	assert_true(scene_datagrams(server4) >= 5);
	assert_int_equal(scene_datagrams(server6), 2);
	assert_int_equal(scene_datagrams(refused), 0);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_SENDMSG_REFUSED], 6);
	assert_int_equal(s->n_events[STEER_PACKET_DROPPED], 0);
	assert_int_equal(s->last_event.protocol, IPPROTO_UDP);
	close(server4);
	close(server6);
	close(refused);
}

static int write_refused(int fd)
{
	return write(fd, "hi", 2) < 0 && errno == EPERM;
}

static void send_connected(int fd, void *arg)
{
	int v4 = udp(AF_INET), v6 = udp(AF_INET6);

	/* Connecting sends nothing and is not refused; sending is. */
	CHECK(dial(v4, AF_INET, "127.0.0.1", PORT_REFUSED) == 0 && write_refused(v4));
	CHECK(dial(v6, AF_INET6, "127.0.0.1", PORT_REFUSED) == 0 && write_refused(v6));
	CHECK(dial(v6, AF_INET6, "::", PORT_REFUSED) == 0 && write_refused(v6));
	CHECK(dial(v6, AF_INET, "127.0.0.1", PORT_REFUSED) == 0 && write_refused(v6));
	CHECK(dial(v4, AF_INET, "127.0.0.1", PORT_STEERED) == 0 && write_refused(v4));

	CHECK(dial(v4, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0 && write(v4, "hi", 2) == 2);
	CHECK(say(v4, AF_INET, "127.0.0.1", PORT_REFUSED) == -EPERM);
	CHECK(dial(v6, AF_INET6, "127.0.0.1", PORT_ALLOWED) == 0 && write(v6, "hi", 2) == 2);
	CHECK(dial(v6, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0 && write(v6, "hi", 2) == 2);
	v6 = udp(AF_INET6); /* the other one speaks IPv4 now */
	CHECK(dial(v6, AF_INET6, "::1", PORT_ALLOWED) == 0 && write(v6, "hi", 2) == 2);
}

static void test_connected(void **state)
{
	struct scene *s = *state;
	int server4 = scene_udp_server(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int server6 = scene_udp_server(AF_INET6, "::1", PORT_ALLOWED);
	struct steer_counters c;

	worker_run(s, send_connected, NULL);
	assert_int_equal(scene_datagrams(server4), 3);
	assert_int_equal(scene_datagrams(server6), 1);
	assert_int_equal(steer_counters(s->steer, &c), 0);
	assert_int_equal(c.refused[STEER_PACKET_DROPPED], 0);
	close(server4);
	close(server6);
}

/* ---- connected to one place, sending to another ---- */

static bool disconnect(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(fd, &none, sizeof(none)) == 0;
}

struct mixture {
	const char *ip;
	int family; /* as which the address is given */
	int socket_family;
};

static void send_elsewhere(int fd, void *arg)
{
	const struct mixture *m = arg;
	int sock = udp(m->socket_family);

	CHECK(dial(sock, m->family, m->ip, PORT_REFUSED) == 0 && write_refused(sock));
	for (int i = 0; i < 2; i++) {
		CHECK(say(sock, m->family, m->ip, PORT_ALLOWED) == 0);
		CHECK(write_refused(sock));
		CHECK(say(sock, m->family, m->ip, PORT_REFUSED) == -EPERM);
	}
	CHECK(disconnect(sock) && say(sock, m->family, m->ip, PORT_ALLOWED) == 0);
	CHECK(say(sock, m->family, m->ip, PORT_REFUSED) == -EPERM);
	CHECK(dial(sock, m->family, m->ip, PORT_ALLOWED) == 0 && write(sock, "hi", 2) == 2);
	CHECK(say(sock, m->family, m->ip, PORT_REFUSED) == -EPERM);
}

static void test_elsewhere(void **state)
{
	static struct mixture mixtures[] = {
		{ "127.0.0.1", AF_INET, AF_INET },   { "::1", AF_INET6, AF_INET6 },
		{ "127.0.0.1", AF_INET6, AF_INET6 }, /* mapped */
		{ "127.0.0.1", AF_INET, AF_INET6 },  { HERE4, AF_INET, AF_INET },
	};
	struct scene *s = *state;
	int allowed4 = scene_udp_server(AF_INET, "0.0.0.0", PORT_ALLOWED);
	int allowed6 = scene_udp_server(AF_INET6, "::", PORT_ALLOWED);
	int refused4 = scene_udp_server(AF_INET, "0.0.0.0", PORT_REFUSED);
	int refused6 = scene_udp_server(AF_INET6, "::", PORT_REFUSED);

	for (size_t i = 0; i < ARRAY_SIZE(mixtures); i++) {
		worker_run(s, send_elsewhere, &mixtures[i]);
		assert_int_equal(scene_datagrams(allowed4) + scene_datagrams(allowed6), 4);
		assert_int_equal(scene_datagrams(refused4) + scene_datagrams(refused6), 0);
	}
	close(allowed4);
	close(allowed6);
	close(refused4);
	close(refused6);
}

/* Several processes on one socket: what the one may send opens nothing for the others. */
static void send_at_once(int fd, void *arg)
{
	int sock = udp(AF_INET);
	pid_t pid;

	CHECK(dial(sock, AF_INET, HERE4, PORT_ALLOWED + 10) == 0);
	pid = fork();
	if (pid == 0)
		for (;;)
			(void)!write(sock, "no", 2);
	for (int i = 0; i < 20000; i++) {
		int ports[] = { PORT_ALLOWED, PORT_ALLOWED + 10 };

		/* The peer is a mixture of these two. */
		CHECK(say(sock, AF_INET, HERE4, (uint16_t)ports[0]) == 0);
		CHECK(say(sock, AF_INET, "127.0.0.1", (uint16_t)ports[1]) == 0);
	}
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static void test_elsewhere_at_once(void **state)
{
	struct l4_peer peers[] = {
		{ .local = 1, .family = 4, .identity = 1 },
		{ .local = 1, .family = 4, .prefix_len = 32, .ip = { 127, 0, 0, 1 }, .identity = 2 }
	};
	struct l4_port ports[] = { { .identity = 1,
				     .protocol = IPPROTO_UDP,
				     .prefix_len = 16,
				     .port = PORT_ALLOWED,
				     .action = L4_ALLOW },
				   { .identity = 2,
				     .protocol = IPPROTO_UDP,
				     .prefix_len = 16,
				     .port = PORT_ALLOWED + 10,
				     .action = L4_ALLOW } };
	const struct l4_table table = {
		.enforced = true, .peers = peers, .n_peers = 2, .ports = ports, .n_ports = 2
	};
	struct scene *s = *state;
	int refused = scene_udp_server(AF_INET, HERE4, PORT_ALLOWED + 10);

	assert_int_equal(steer_set_table(s->steer, s->workload, &table, NULL), 0);
	worker_run(s, send_at_once, NULL);
	assert_int_equal(scene_datagrams(refused), 0);
	close(refused);
}

/* A datagram socket of the workload may answer exactly those who wrote to it. */
static void serve(int fd, void *arg)
{
	const int *family = arg;
	struct sockaddr_storage here = place(*family, *family == AF_INET ? "0.0.0.0" : "::", 9001);
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int server = udp(*family), other = udp(*family);
	char bytes[8];

	CHECK(bind(server, (struct sockaddr *)&here, place_len(&here)) == 0);
	meet(fd);
	CHECK(recvfrom(server, bytes, sizeof(bytes), 0, (struct sockaddr *)&peer, &len) == 2);
	CHECK(sendto(server, "ok", 2, 0, (struct sockaddr *)&peer, len) == 2);
	/* not another socket, and not another port */
	CHECK(sendto(other, "no", 2, 0, (struct sockaddr *)&peer, len) < 0 && errno == EPERM);
	((struct sockaddr_in *)&peer)->sin_port ^= htons(1);
	CHECK(sendto(server, "no", 2, 0, (struct sockaddr *)&peer, len) < 0 && errno == EPERM);
	((struct sockaddr_in *)&peer)->sin_port ^= htons(1);
	CHECK(connect(server, (struct sockaddr *)&peer, len) == 0);
	CHECK(write(server, "ok", 2) == 2);
}

static void test_answers(void **state)
{
	static int families[] = { AF_INET, AF_INET6 };
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct worker w = worker_start(s, serve, &families[i]);
		/* The IPv6 server hears from an IPv4 client: it sees a mapped address. */
		struct sockaddr_storage to = place(AF_INET, "127.0.0.1", 9001);
		struct pollfd p = { .fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN };
		char bytes[8];

		meet(w.fd);
		assert_int_equal(sendto(p.fd, "hi", 2, 0, (struct sockaddr *)&to, place_len(&to)),
				 2);
		for (int n = 0; n < 2; n++) {
			assert_int_equal(poll(&p, 1, 5000), 1);
			assert_int_equal(recv(p.fd, bytes, sizeof(bytes), 0), 2);
			assert_memory_equal(bytes, "ok", 2);
		}
		worker_end(&w);
		close(p.fd);
	}
}

/* ---- when the table changes ---- */

static void keep_sending(int fd, void *arg)
{
	int connected = udp(AF_INET), mixed = udp(AF_INET), loose = udp(AF_INET), one = 1;

	CHECK(dial(connected, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
	CHECK(dial(mixed, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0);
	CHECK(setsockopt(loose, IPPROTO_UDP, 1 /* UDP_CORK */, &one, sizeof(one)) == 0);
	CHECK(say(loose, AF_INET, "127.0.0.1", PORT_ALLOWED) == 0); /* waits in the cork */
	CHECK(write(connected, "hi", 2) == 2);
	meet(fd);
	/* Now PORT_REFUSED is allowed and PORT_ALLOWED is not. */
	CHECK(write(connected, "hi", 2) < 0 && errno == EPERM);
	CHECK(say(mixed, AF_INET, "127.0.0.1", PORT_REFUSED) == 0 && write_refused(mixed));
	CHECK(say(mixed, AF_INET, "127.0.0.1", PORT_ALLOWED) == -EPERM);
	CHECK(disconnect(mixed) && say(mixed, AF_INET, "127.0.0.1", PORT_REFUSED) == 0);
	one = 0;
	setsockopt(loose, IPPROTO_UDP, 1, &one, sizeof(one)); /* sends, or would */
	CHECK(dial(connected, AF_INET, "127.0.0.1", PORT_REFUSED) == 0);
	CHECK(write(connected, "hi", 2) == 2);
}

static void test_table_changes(void **state)
{
	struct l4_peer peers[] = { { .local = 1, .family = 4, .identity = 1 } };
	struct l4_port ports[] = { { .identity = 1,
				     .protocol = IPPROTO_UDP,
				     .prefix_len = 16,
				     .port = PORT_REFUSED,
				     .action = L4_ALLOW } };
	const struct l4_table table = {
		.enforced = true, .peers = peers, .n_peers = 1, .ports = ports, .n_ports = 1
	};
	struct scene *s = *state;
	int old = scene_udp_server(AF_INET, "127.0.0.1", PORT_ALLOWED);
	int new = scene_udp_server(AF_INET, "127.0.0.1", PORT_REFUSED);
	struct worker w = worker_start(s, keep_sending, NULL);
	char c;

	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(scene_datagrams(old), 1);
	assert_int_equal(steer_set_table(s->steer, s->workload, &table, NULL), 0);
	assert_int_equal(write(w.fd, &c, 1), 1);
	worker_end(&w);
	assert_int_equal(scene_datagrams(old), 0);
	assert_int_equal(scene_datagrams(new), 3);
	close(old);
	close(new);
}

/* ---- sockets that are not to be had ---- */

static void make_sockets(int fd, void *arg)
{
	const int *mptcp_errno = arg;

	CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) >= 0);
	CHECK(socket(AF_INET6, SOCK_STREAM, 0) >= 0);
	CHECK(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) >= 0);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM);
	CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW) < 0 && errno == EPERM);
	CHECK(socket(AF_INET6, SOCK_RAW, IPPROTO_TCP) < 0 && errno == EPERM);
	/* What the kernel does not have fails by itself. */
	CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) < 0);
	CHECK(errno == *mptcp_errno);
	CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) < 0);
	CHECK(socket(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP) < 0);
	CHECK(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) < 0);
	CHECK(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6) < 0);
	CHECK(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE) < 0);
	CHECK(socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP) < 0);
}

static void say_what_is_missing(void)
{
	static const struct {
		int type, protocol;
		const char *name;
		bool optional;
	} protocols[] = {
		{ SOCK_STREAM, IPPROTO_MPTCP, "MPTCP", false },
		{ SOCK_STREAM, IPPROTO_SCTP, "SCTP", true },
		{ SOCK_DGRAM, IPPROTO_ICMP, "ping sockets", false },
		{ SOCK_DGRAM, IPPROTO_UDPLITE, "UDP-Lite", false },
		{ SOCK_DCCP, IPPROTO_DCCP, "DCCP", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		int fd = socket(AF_INET, protocols[i].type, protocols[i].protocol);

		if (fd < 0)
			scene_skip(protocols[i].name, strerror(errno), protocols[i].optional);
		else
			close(fd);
	}
}

static void test_sockets(void **state)
{
	struct scene *s = *state;
	int mptcp_errno = EPROTONOSUPPORT;

	/* Before Linux 5.18 a program could not choose the error. */
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK, BPF_FUNC_set_retval, NULL) != 1)
		mptcp_errno = EPERM;
	say_what_is_missing();
	worker_run(s, make_sockets, &mptcp_errno);
	scene_read_events(s);
	assert_true(s->n_events[STEER_SOCKET_REFUSED] >= 3);
	assert_int_equal(s->last_event.destination.family, 0);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_unconnected),	  TEST(test_connected), TEST(test_answers),
		TEST(test_table_changes), TEST(test_elsewhere), TEST(test_elsewhere_at_once),
		TEST(test_sockets),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
