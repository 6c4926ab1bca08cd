/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "conn.h"
#include "netns.h"
#include "side.h"
#include "sockaddr.h"
#include "steer.h"
#include "upstream.h"
#include "worker.h"

/* The kernel hands over what was to go elsewhere: FD's own name says where. */
static bool find_client(struct listener *l, int fd, const struct address *client, struct flow *ret)
{
	struct worker *w = l->polled.owner;
	struct address server;

	if (upstream_local(fd, &server) < 0 || address_same(&server, &l->place))
		return false;
	return steer_client(w->steer, l->netns, client, &server, ret) == 0;
}

/* Whose connection is it? False: the kernel steered none to us from PEER. */
static bool find_flow(struct listener *l, int fd, const struct sockaddr_storage *peer,
		      struct flow *ret)
{
	struct worker *w = l->polled.owner;
	struct address client;

	if (sockaddr_to(peer, &client) < 0)
		return false;
	return l->inbound ? find_client(l, fd, &client, ret)
			  : steer_take(w->steer, l->netns, &client, ret) == 0;
}

/* What was accepted cannot be carried: count it and say so. */
static void give_up(struct worker *w, const struct flow *flow, enum close_reason why)
{
	struct workload *wl = flow ? workload_find(&w->workloads, flow->workload) : NULL;

	w->metrics.closed[why]++;
	if (wl)
		wl->metrics.closed[why]++;
	if (flow)
		report_close(wl ? &wl->reporter : &w->reporter, flow, why);
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
		if (find_flow(l, fd, &peer, &flow))
			give_up(w, &flow, CLOSE_LIMIT);
		else
			give_up(w, NULL, CLOSE_NOT_STEERED);
		side_reset(fd);
	}
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

static void take(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
	struct worker *w = l->polled.owner;
	struct flow flow = { 0 };
	struct workload *wl;

	if (!find_flow(l, fd, peer, &flow)) {
		give_up(w, NULL, CLOSE_NOT_STEERED);
		side_reset(fd);
		return;
	}
	flow.netns = l->netns;
	wl = workload_find(&w->workloads, flow.workload);
	if (!wl || !worker_admit(w)) {
		give_up(w, &flow, wl ? CLOSE_LIMIT : CLOSE_NO_WORKLOAD);
		side_reset(fd);
		return;
	}
	if (conn_open(w, wl, fd, &flow) < 0) {
		worker_release(w);
		give_up(w, &flow, CLOSE_OOM);
	}
}

/* Returns whether there may be more. */
static bool accept_one(struct listener *l)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd;

	fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		take(l, fd, &peer);
		return true;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		return refuse_without_descriptor(l);
	}
	return errno == ECONNABORTED || errno == EINTR;
}

static void on_connection(struct polled *polled, uint32_t events)
{
	struct listener *l = (struct listener *)polled;

	(void)events;
	for (int i = 0; i < LISTENER_ACCEPTS_MAX && accept_one(l); i++)
		;
}

void listener_tick(struct listener *l)
{
	if (l->fd < 0)
		return;
	if (!l->started)
		listener_start(l, l->polled.owner);
	if (l->spare < 0)
		l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (l->paused && l->spare >= 0) {
		struct worker *w = l->polled.owner;

		l->paused = false;
		poller_set(&w->poller, &l->polled, EPOLLIN);
	}
}

/* In a namespace that is just being made loopback may still have no address. */
static int bind_ahead(int fd, int family)
{
	int on = 1;

	if (family == AF_INET)
		return setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	return setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
}

/* SO_REUSEADDR: what is accepted for a server of the workload counts as a user of that server's
 * port, which must not keep the server from binding it again. The same goes for SO_REUSEPORT, by
 * which listeners for egress share theirs. */
static int listen_on_loopback(int fd, int family, struct address *ret)
{
	struct address a = { .family = (uint16_t)family, .port = ret->port };
	struct sockaddr_storage ss;
	socklen_t len;
	int on = 1;

	if (family == AF_INET)
		memcpy(a.ip, &(struct in_addr){ htonl(INADDR_LOOPBACK) }, sizeof(struct in_addr));
	else
		memcpy(a.ip, &in6addr_loopback, sizeof(in6addr_loopback));
	len = sockaddr_from(&a, &ss);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
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
	*ret = a;
	return 0;
}

/* L->inbound and the port of L->place are set. */
static int open_listener(struct listener *l, const struct netns *netns, struct steer *steer,
			 int family, struct error *err)
{
	int fd = netns_socket(netns, family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			      IPPROTO_TCP),
	    r;

	if (fd < 0)
		return fd;
	r = netns && bind_ahead(fd, family) < 0 ? -errno : 0;
	if (r == 0)
		r = listen_on_loopback(fd, family, &l->place);
	if (r == 0)
		r = l->inbound ? steer_add_inbound(steer, fd, err)
			       : steer_add_listener(steer, fd, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	l->netns = netns ? netns->number : 0;
	l->fd = fd;
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

int listener_open(struct listener *l, const struct netns *netns, struct steer *steer, int family,
		  uint16_t *port, struct error *err)
{
	int r;

	l->inbound = false;
	l->place.port = *port;
	r = open_listener(l, netns, steer, family, err);
	if (r == 0)
		*port = l->place.port;
	return r;
}

int listener_open_inbound(struct listener *l, const struct netns *netns, struct steer *steer,
			  int family, struct error *err)
{
	l->inbound = true;
	l->place.port = 0;
	return open_listener(l, netns, steer, family, err);
}

int listener_start(struct listener *l, struct worker *w)
{
	int r;

	if (l->fd < 0 || l->started)
		return 0;
	l->polled.owner = w;
	r = poller_add(&w->poller, &l->polled, l->fd, EPOLLIN, on_connection, w);
	l->started = r == 0;
	return r;
}

static void on_closed(struct polled *polled)
{
	((struct listener *)polled)->closing = false;
}

void listener_close(struct listener *l)
{
	struct worker *w = l->polled.owner;

	if (l->fd < 0)
		return;
	if (l->started) {
		/* What the command connected before it ended has its turn. */
		for (int i = 0; i < LISTENER_BACKLOG && accept_one(l); i++)
			;
		poller_remove(&w->poller, &l->polled, on_closed);
		l->closing = true;
	}
	l->started = false;
	close(l->fd);
	l->fd = -1;
	if (l->spare >= 0)
		close(l->spare);
}
