/* SPDX-License-Identifier: Apache-2.0 */
/* The leg to the original destination. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "loopback.h"
#include "sockaddr.h"
#include "upstream.h"

/* Returns what upstream_result() says once the socket is writable. */
static int wait_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	assert_int_equal(poll(&p, 1, 10000), 1);
	return upstream_result(fd);
}

static void test_upstream(void **state)
{
	struct flow flow = { .destination = loopback(0) };
	int listener = listen_at(&flow.destination), fd, peer;
	struct address local;
	char byte = 0;

	fd = upstream_connect(NULL, &flow);
	assert_true(fd >= 0);
	assert_int_equal(wait_connected(fd), 0);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(recv(peer, &byte, 1, 0), 1);
	assert_int_equal(upstream_local(fd, &local), 0);
	assert_int_equal(local.family, AF_INET);
	assert_memory_equal(local.ip, flow.destination.ip, 4);
	assert_true(local.port != 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	close(peer);
	close(listener);
}

/* On this host there is nothing to wait for, whether somebody listens or not. */
static void test_upstream_stands(void **state)
{
	struct flow flow = { .destination = loopback(0), .local = true };
	int listener = listen_at(&flow.destination), fd, peer;
	char byte = 0;

	fd = upstream_connect(NULL, &flow);
	assert_true(fd >= 0);
	assert_int_equal(upstream_stands(fd, &flow), 1);
	assert_int_equal(upstream_result(fd), 0);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(recv(peer, &byte, 1, 0), 1);
	assert_int_equal(accept4(listener, NULL, NULL, 0), -1); /* one connection only */
	close(fd);
	close(peer);
	close(listener);
	fd = upstream_connect(NULL, &flow);
	if (fd < 0) {
		assert_int_equal(fd, -ECONNREFUSED);
		return;
	}
	assert_int_equal(upstream_stands(fd, &flow), -ECONNREFUSED);
	close(fd);
}

/* The address that the application had bound is that of the upstream leg, with another port. */
static void test_upstream_source(void **state)
{
	struct flow flow = { .destination = loopback(0) };
	int listener = listen_at(&flow.destination), fd, peer;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct address seen;

	flow.source = loopback(1);
	flow.source.ip[3] = 77;
	fd = upstream_connect(NULL, &flow);
	assert_true(fd >= 0);
	assert_int_equal(wait_connected(fd), 0);
	peer = accept(listener, (struct sockaddr *)&ss, &len);
	assert_int_equal(sockaddr_to(&ss, &seen), 0);
	assert_memory_equal(seen.ip, flow.source.ip, 4);
	assert_int_not_equal(seen.port, 1);
	close(fd);
	close(peer);
	close(listener);
}

static void test_upstream_device(void **state)
{
	struct flow flow = { .destination = loopback(0), .device = if_nametoindex("lo") };
	int listener = listen_at(&flow.destination), fd;
	uint32_t bound = 0;
	socklen_t len = sizeof(bound);

	assert_int_not_equal(flow.device, 0);
	fd = upstream_connect(NULL, &flow);
	assert_true(fd >= 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &bound, &len), 0);
	assert_int_equal(bound, flow.device);
	assert_int_equal(wait_connected(fd), 0);
	close(fd);
	close(listener);
}

static void test_upstream_fails(void **state)
{
	struct flow flow = { .destination = loopback(0) };
	int fd;

	close(listen_at(&flow.destination)); /* a port on which nobody listens */
	fd = upstream_connect(NULL, &flow);
	assert_true(fd >= 0 || fd == -ECONNREFUSED);
	if (fd >= 0) {
		assert_int_equal(wait_connected(fd), -ECONNREFUSED);
		close(fd);
	}
	flow.source = loopback(0);
	memcpy(flow.source.ip, (uint8_t[4]){ 192, 0, 2, 1 }, 4);
	assert_int_equal(upstream_connect(NULL, &flow), -EADDRNOTAVAIL);
	flow.source.family = 0;
	flow.device = 0x7fffffff;
	assert_true(upstream_connect(NULL, &flow) < 0);
	flow.destination.family = 0;
	assert_true(upstream_connect(NULL, &flow) < 0);
	assert_true(upstream_result(-1) < 0);
	assert_true(upstream_local(-1, &flow.source) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upstream),	cmocka_unit_test(test_upstream_stands),
		cmocka_unit_test(test_upstream_source), cmocka_unit_test(test_upstream_device),
		cmocka_unit_test(test_upstream_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
