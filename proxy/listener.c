/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "conn.h"
#include "side.h"
#include "sockaddr.h"
#include "steer.h"
#include "worker.h"

/* Whose connection is it? False: the kernel steered none to us from PEER. */
static bool find_flow(struct worker *w, const struct sockaddr_storage *peer, struct flow *ret)
{
	struct address client;

	return sockaddr_to(peer, &client) == 0 && steer_take(w->steer, &client, ret) == 0;
}

/* What was accepted cannot be carried: count it and say so. */
static void give_up(struct worker *w, const struct flow *flow, enum close_reason why)
{
	w->metrics.closed[why]++;
	if (flow)
		report_close(&w->reporter, flow, why);
}

/* Descriptors have run out: without one the connection would wait, and wake us, for ever. Returns
 * whether there was one to refuse. */
static bool refuse_without_descriptor(struct listener *l)
{
	struct worker *w = l->polled.owner;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct flow flow = { 0 };
	int fd;

	if (l->spare < 0) {
		/* Another thread was faster. The kernel's queue holds who comes until the next
		 * tick. */
		l->paused = true;
		poller_set(&w->poller, &l->polled, 0);
		return false;
	}
	close(l->spare);
	fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	if (fd >= 0) {
		if (find_flow(w, &peer, &flow))
			give_up(w, &flow, CLOSE_LIMIT);
		else
			give_up(w, NULL, CLOSE_NOT_STEERED);
		side_reset(fd);
	}
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

static void take(struct worker *w, int fd, const struct sockaddr_storage *peer)
{
	struct flow flow = { 0 };

	if (!find_flow(w, peer, &flow)) {
		give_up(w, NULL, CLOSE_NOT_STEERED);
		side_reset(fd);
		return;
	}
	if (!worker_admit(w)) {
		give_up(w, &flow, CLOSE_LIMIT);
		side_reset(fd);
		return;
	}
	if (conn_open(w, fd, &flow) < 0) {
		worker_release(w);
		give_up(w, &flow, CLOSE_OOM);
	}
}

/* Returns whether there may be more. */
static bool accept_one(struct listener *l)
{
	struct worker *w = l->polled.owner;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd;

	fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		take(w, fd, &peer);
		return true;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		return refuse_without_descriptor(l);
	}
	return errno == ECONNABORTED || errno == EINTR;
}

static void on_connection(struct polled *polled, uint32_t events)
{
	struct worker *w = polled->owner;
	struct listener *l = polled == &w->listeners[0].polled ? &w->listeners[0]
							       : &w->listeners[1];

	(void)events;
	for (int i = 0; i < LISTENER_ACCEPTS_MAX && accept_one(l); i++)
		;
}

void listener_tick(struct listener *l)
{
	if (l->fd < 0)
		return;
	if (l->spare < 0)
		l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (l->paused && l->spare >= 0) {
		struct worker *w = l->polled.owner;

		l->paused = false;
		poller_set(&w->poller, &l->polled, EPOLLIN);
	}
}

static int listen_on_loopback(int fd, int family, uint16_t *port)
{
	struct address a = { .family = (uint16_t)family, .port = *port };
	struct sockaddr_storage ss;
	socklen_t len;
	int on = 1;

	if (family == AF_INET)
		memcpy(a.ip, &(struct in_addr){ htonl(INADDR_LOOPBACK) }, sizeof(struct in_addr));
	else
		memcpy(a.ip, &in6addr_loopback, sizeof(in6addr_loopback));
	len = sockaddr_from(&a, &ss);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	side_set_options(fd); /* once for all that it accepts */
	if (listen(fd, LISTENER_BACKLOG) < 0)
		return -errno;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 || sockaddr_to(&ss, &a) < 0)
		return -errno;
	*port = a.port;
	return 0;
}

int listener_open(struct listener *l, struct worker *w, int family, uint16_t *port,
		  struct error *err)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP), r;

	if (fd < 0)
		return -errno;
	r = listen_on_loopback(fd, family, port);
	if (r < 0)
		goto fail;
	r = steer_add_listener(w->steer, fd, err);
	if (r < 0)
		goto fail;
	r = poller_add(&w->poller, &l->polled, fd, EPOLLIN, on_connection, w);
	if (r < 0)
		goto fail;
	l->fd = fd;
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
fail:
	close(fd);
	return r;
}

void listener_close(struct listener *l)
{
	struct worker *w = l->polled.owner;

	if (l->fd < 0)
		return;
	/* What the command connected before it ended has its turn. */
	for (int i = 0; i < LISTENER_BACKLOG && accept_one(l); i++)
		;
	poller_remove(&w->poller, &l->polled, NULL);
	close(l->fd);
	l->fd = -1;
	if (l->spare >= 0)
		close(l->spare);
}
