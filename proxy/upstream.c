/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream.h"
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>
#include "netns.h"
#include "side.h"
#include "sockaddr.h"

static int bind_like(int fd, const struct flow *flow)
{
	struct sockaddr_storage source;
	struct address a = flow->source;
	socklen_t len;
	int on = 1;

	if (flow->device &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &flow->device, sizeof(flow->device)) < 0)
		return -errno;
	if (!a.family)
		return 0;
	/* The port is the application's own and taken; the kernel picks another when it knows the
	 * destination. */
	a.port = 0;
	len = sockaddr_from(&a, &source);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&source, len) < 0 ? -errno : 0;
}

int upstream_dial(int fd, const struct flow *flow)
{
	struct sockaddr_storage ss;
	struct address to = flow->destination;
	socklen_t len;

	if (to.family == AF_INET6 && to.scope == 0)
		to.scope = flow->device; /* what a link-local address needs; others ignore it */
	len = sockaddr_from(&to, &ss);
	return connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

int upstream_socket(const struct netns *netns, const struct flow *flow)
{
	int fd = netns_socket(netns, flow->destination.family,
			      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd < 0)
		return fd;
	side_set_options(fd);
	return fd;
}

int upstream_connect(const struct netns *netns, const struct flow *flow)
{
	int fd = upstream_socket(netns, flow), r;

	if (fd < 0)
		return fd;
	r = bind_like(fd, flow);
	if (r == 0)
		r = upstream_dial(fd, flow);
	if (r < 0 && r != -EINPROGRESS) {
		close(fd);
		return r;
	}
	return fd;
}

int upstream_stands(int fd, const struct flow *flow)
{
	int r;

	if (!flow->local && !flow->ingress)
		return 0;
	r = upstream_dial(fd, flow);
	if (r == 0 || r == -EISCONN)
		return 1;
	return r == -EALREADY || r == -EINPROGRESS || r == -EINTR ? 0 : r;
}

int upstream_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

int upstream_local(int fd, struct address *ret)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);

	if (getsockname(fd, (struct sockaddr *)&local, &len) < 0)
		return -errno;
	return sockaddr_to(&local, ret);
}

enum close_reason upstream_close_reason(int error)
{
	switch (error) {
	case -ENOMEM:
	case -ENOBUFS:
	case -ENOSPC: /* fs.epoll.max_user_watches */
		return CLOSE_OOM;
	case -EMFILE:
	case -ENFILE:
		return CLOSE_LIMIT;
	default:
		return CLOSE_UPSTREAM_REFUSED;
	}
}
