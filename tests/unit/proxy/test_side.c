/* SPDX-License-Identifier: Apache-2.0 */
/* One socket of a connection, on a real loop. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "loopback.h"
#include "side.h"
#include "sluice/array.h"
#include "sockaddr.h"
#include "upstream.h"

#define BUFFERS ((size_t)256 * 1024 * 1024)

#define TURNS_MAX 1000

/* A side whose peer the test plays. */
struct booth {
	uv_loop_t loop;
	struct poller poller;
	struct buffer_pool pool;
	struct side side;
	int peer;
	uint32_t events; /* of the last event */
	unsigned n_events, n_closed;
	char scratch[BUFFER_MAX];
};

static void on_event(struct polled *polled, uint32_t events)
{
	struct booth *b = polled->owner;

	b->events = events;
	b->n_events++;
}

static void on_closed(struct polled *polled)
{
	struct booth *b = polled->owner;

	side_release(&b->side, &b->pool);
	b->n_closed++;
}

static void tcp_pair(int fds[2])
{
	struct address a = loopback(0);
	struct sockaddr_storage ss;
	int listener = listen_at(&a);
	socklen_t len = sockaddr_from(&a, &ss);

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&ss, len), 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fds[1] >= 0);
	close(listener);
}

static void unix_pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void booth_open(struct booth *b, void (*pair)(int fds[2]))
{
	int fds[2];

	pair(fds);
	memset(b, 0, sizeof(*b));
	assert_int_equal(uv_loop_init(&b->loop), 0);
	buffer_pool_init(&b->pool, BUFFERS);
	assert_int_equal(poller_open(&b->poller, &b->loop), 0);
	assert_int_equal(side_open(&b->side, &b->poller, fds[0], 0, on_event, b), 0);
	b->peer = fds[1];
}

static void turn(struct booth *b)
{
	struct pollfd p = { .fd = b->poller.fd, .events = POLLIN };

	poll(&p, 1, 10);
	poller_turn(&b->poller, false);
}

static void wait_event(struct booth *b, uint32_t events)
{
	b->n_events = 0;
	side_arm(&b->side, &b->poller, events);
	for (unsigned i = 0; b->n_events == 0; i++) {
		assert_true(i < TURNS_MAX);
		turn(b);
	}
}

/* Everything borrowed is back, and no handle is left open. */
static void booth_close(struct booth *b)
{
	if (b->side.fd >= 0)
		assert_true(side_close(&b->side, &b->poller, false, on_closed));
	assert_false(side_close(&b->side, &b->poller, false, on_closed));
	for (unsigned i = 0; poller_turn(&b->poller, false); i++)
		assert_true(i < TURNS_MAX);
	assert_int_equal(b->n_closed, 1);
	poller_close(&b->poller);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	assert_int_equal(b->pool.lent, 0);
	buffer_pool_done(&b->pool);
	if (b->peer >= 0)
		close(b->peer);
}

static struct booth booth;

static char byte_at(size_t i)
{
	return (char)(i * 11 + i / 509);
}

/* More than the kernel takes: the rest is queued and leaves in order, then the half-close. */
static void check_queue(void (*pair)(int fds[2]))
{
	static char piece[10007], got[65536];
	size_t sent = 0, received = 0;
	ssize_t n;

	booth_open(&booth, pair);
	while (!side_congested(&booth.side) || sent < 3000000) {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = byte_at(sent + i);
		assert_int_equal(side_send(&booth.side, &booth.pool, piece, sizeof(piece)), 0);
		sent += sizeof(piece);
	}
	booth.side.finish = true;
	assert_int_equal(side_send(&booth.side, &booth.pool, "late", 4), 0); /* dropped */
	assert_int_equal(side_flush(&booth.side, &booth.pool), 0);
	assert_false(booth.side.finished);
	while ((n = recv(booth.peer, got, sizeof(got),
			 side_congested(&booth.side) ? MSG_DONTWAIT : 0))) {
		for (ssize_t i = 0; i < n; i++)
			if (got[i] != byte_at(received + (size_t)i))
				fail_msg("byte %zu differs", received + (size_t)i);
		received += n > 0 ? (size_t)n : 0;
		assert_int_equal(side_flush(&booth.side, &booth.pool), 0);
	}
	assert_int_equal(received, sent);
	assert_true(booth.side.finished);
	assert_false(side_congested(&booth.side));
	assert_int_equal(booth.pool.n_lent, 0);
	booth_close(&booth);
}

static void test_queue(void **state)
{
	check_queue(unix_pair);
	check_queue(tcp_pair);
}

/* Reading, keeping what was not used, growing, and the limit. */
static void test_read_and_keep(void **state)
{
	static char block[4096];
	size_t total = 6;
	ssize_t n;

	booth_open(&booth, unix_pair);
	assert_int_equal(side_read(&booth.side, &booth.pool, booth.scratch, 100), -EAGAIN);
	assert_int_equal(send(booth.peer, "abcdef", 6, 0), 6);
	wait_event(&booth, EPOLLIN);
	assert_int_equal(booth.events, EPOLLIN);
	assert_int_equal(side_read(&booth.side, &booth.pool, booth.scratch, 100), 6);
	assert_memory_equal(booth.scratch, "abcdef", 6);
	assert_int_equal(side_keep(&booth.side, &booth.pool, booth.scratch, 6), 0);
	assert_int_equal(buffer_len(booth.side.in), 6);
	side_used(&booth.side, &booth.pool, 2);
	assert_memory_equal(booth.side.in->data + booth.side.in->start, "cdef", 4);
	total -= 2;
	for (;;) { /* until the largest buffer is full */
		assert_int_equal(send(booth.peer, block, sizeof(block), 0), sizeof(block));
		n = side_read(&booth.side, &booth.pool, booth.scratch, sizeof(booth.scratch));
		if (n == -ENOBUFS)
			break;
		assert_true(n > 0);
		total += (size_t)n;
		assert_int_equal(buffer_len(booth.side.in), total);
		assert_memory_equal(booth.side.in->data + booth.side.in->start, "cdef", 4);
	}
	assert_int_equal(total, BUFFER_MAX);
	assert_int_equal(booth.pool.n_lent, 1);
	side_used(&booth.side, &booth.pool, 10); /* room is made of what was used */
	assert_true(side_read(&booth.side, &booth.pool, booth.scratch, 1) > 0);
	side_used(&booth.side, &booth.pool, buffer_len(booth.side.in));
	assert_null(booth.side.in);
	assert_int_equal(booth.pool.n_lent, 0);
	booth_close(&booth);
}

static void test_no_memory(void **state)
{
	static char large[4 << 20];

	booth_open(&booth, unix_pair);
	fail_alloc_at(1);
	assert_int_equal(side_keep(&booth.side, &booth.pool, "x", 1), -ENOBUFS);
	fail_alloc_at(3);
	assert_int_equal(side_send(&booth.side, &booth.pool, large, sizeof(large)), -ENOBUFS);
	assert_true(fail_alloc_happened());
	fail_alloc_at(0);
	booth_close(&booth);
}

static void test_end_of_peer(void **state)
{
	booth_open(&booth, tcp_pair);
	assert_int_equal(send(booth.peer, "x", 1, 0), 1);
	assert_int_equal(shutdown(booth.peer, SHUT_WR), 0);
	wait_event(&booth, EPOLLIN);
	assert_int_equal(side_read(&booth.side, &booth.pool, booth.scratch, 100), 1);
	assert_false(booth.side.eof);
	wait_event(&booth, EPOLLIN);
	assert_int_equal(side_read(&booth.side, &booth.pool, booth.scratch, 100), 0);
	assert_true(booth.side.eof);
	assert_int_equal(side_send(&booth.side, &booth.pool, "y", 1),
			 0); /* the other half goes on */
	assert_int_equal(recv(booth.peer, booth.scratch, 10, 0), 1);
	booth_close(&booth);
}

static void reset_peer(void)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(booth.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(booth.peer);
	booth.peer = -1;
}

/* A reset is noticed whatever is waited for. */
static void test_reset(void **state)
{
	static const uint32_t armed[] = { EPOLLIN, EPOLLOUT, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(armed); i++) {
		unsigned turns = 0;
		ssize_t n = -EAGAIN;

		booth_open(&booth, tcp_pair);
		side_arm(&booth.side, &booth.poller, armed[i]);
		turn(&booth);
		reset_peer();
		booth.n_events = 0;
		wait_event(&booth, armed[i]);
		while (n == -EAGAIN && turns++ < TURNS_MAX)
			n = side_read(&booth.side, &booth.pool, booth.scratch, 100);
		assert_int_equal(n, -ECONNRESET);
		assert_int_equal(side_send(&booth.side, &booth.pool, "x", 1), -EPIPE);
		assert_true(booth.side.broken);
		assert_int_equal(side_send(&booth.side, &booth.pool, "x", 1), 0);
		booth_close(&booth);
	}
}

/* Both halves have ended, and what the peer sent is not read yet: that wakes nobody for ever. */
static void test_hung_up(void **state)
{
	struct pollfd p = { .events = POLLIN };

	booth_open(&booth, tcp_pair);
	p.fd = booth.poller.fd;
	side_arm(&booth.side, &booth.poller, 0);
	assert_int_equal(send(booth.peer, "x", 1, 0), 1);
	assert_int_equal(shutdown(booth.peer, SHUT_WR), 0);
	booth.side.finish = true;
	assert_int_equal(side_flush(&booth.side, &booth.pool), 0);
	assert_true(booth.side.finished);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(poll(&p, 1, 0) >= 0);
		poller_turn(&booth.poller, false);
	}
	assert_int_equal(booth.n_events, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	wait_event(&booth, EPOLLIN);
	assert_int_equal(side_read(&booth.side, &booth.pool, booth.scratch, 100), 1);
	booth_close(&booth);
}

/* Queued bytes are dropped when the peer is gone. */
static void test_reset_with_queue(void **state)
{
	static char large[8 << 20];

	booth_open(&booth, tcp_pair);
	assert_int_equal(side_send(&booth.side, &booth.pool, large, sizeof(large)), 0);
	assert_true(side_congested(&booth.side));
	reset_peer();
	wait_event(&booth, EPOLLOUT);
	assert_true(side_flush(&booth.side, &booth.pool) < 0);
	assert_true(booth.side.broken);
	assert_false(side_congested(&booth.side));
	assert_int_equal(booth.pool.n_lent, 0);
	booth.side.finish = true;
	assert_int_equal(side_flush(&booth.side, &booth.pool), 0);
	assert_true(booth.side.finished);
	booth_close(&booth);
}

static void test_close(void **state)
{
	char byte;

	for (int reset = 0; reset < 2; reset++) {
		booth_open(&booth, tcp_pair);
		assert_int_equal(side_keep(&booth.side, &booth.pool, "kept", 4), 0);
		assert_true(side_close(&booth.side, &booth.poller, reset, on_closed));
		fcntl(booth.peer, F_SETFL, 0);
		assert_int_equal(recv(booth.peer, &byte, 1, 0), reset ? -1 : 0);
		assert_int_equal(booth.pool.n_lent, 1); /* somebody may be reading it */
		booth_close(&booth);
	}
}

static void expect_options(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_not_equal(value, 0);
	value = 0;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	assert_int_not_equal(value, 0);
}

/* Of a socket, and of those that it accepts. */
static void test_options(void **state)
{
	struct flow flow = { .destination = loopback(0) };
	int listener = listen_at(&flow.destination), fd, accepted;

	side_set_options(listener);
	fd = upstream_connect(NULL, &flow);
	assert_true(fd >= 0);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	expect_options(fd);
	expect_options(accepted);
	close(fd);
	close(accepted);
	close(listener);
}

/* What cannot be polled is refused, and its descriptor closed. */
static void test_open_fails(void **state)
{
	struct poller poller = { 0 };
	uv_loop_t loop;
	struct side side = { .fd = -1 };
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(poller_open(&poller, &loop), 0);
	assert_int_equal(side_open(&side, &poller, fd, EPOLLIN, on_event, NULL), -EPERM);
	assert_int_equal(side.fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	poller_close(&poller);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue),	   cmocka_unit_test(test_read_and_keep),
		cmocka_unit_test(test_no_memory),  cmocka_unit_test(test_end_of_peer),
		cmocka_unit_test(test_reset),	   cmocka_unit_test(test_reset_with_queue),
		cmocka_unit_test(test_close),	   cmocka_unit_test(test_options),
		cmocka_unit_test(test_open_fails), cmocka_unit_test(test_hung_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
