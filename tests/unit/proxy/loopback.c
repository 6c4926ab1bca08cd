/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "loopback.h"
#include "sockaddr.h"

struct address loopback(uint16_t port)
{
	return (struct address){ .family = AF_INET, .port = port, .ip = { 127, 0, 0, 1 } };
}

int listen_at(struct address *a)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_from(a, &ss);
	int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(sockaddr_to(&ss, a), 0);
	return fd;
}
