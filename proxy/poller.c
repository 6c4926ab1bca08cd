/* SPDX-License-Identifier: Apache-2.0 */
#include "poller.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* What waits for nothing is told of errors and hang-ups all the same. A hang-up is for ever: so
 * that it does not wake us again and again, it is told once. */
static struct epoll_event wanted(struct polled *it)
{
	return (struct epoll_event){ .events = it->events ? it->events : EPOLLET, .data.ptr = it };
}

int poller_open(struct poller *p, uv_loop_t *loop)
{
	struct epoll_event of_loop = { .events = EPOLLIN, .data.ptr = NULL };
	int r;

	p->loop = loop;
	p->fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->fd < 0)
		return -errno;
	if (epoll_ctl(p->fd, EPOLL_CTL_ADD, uv_backend_fd(loop), &of_loop) < 0) {
		r = -errno;
		close(p->fd);
		return r;
	}
	return 0;
}

static void tell_closed(struct poller *p)
{
	while (p->closed) {
		struct polled *it = p->closed;

		p->closed = it->next_closed;
		p->n_polled--;
		if (it->on_closed)
			it->on_closed(it); /* may free it */
	}
}

void poller_close(struct poller *p)
{
	if (!p->loop)
		return;
	tell_closed(p);
	assert(p->n_polled == 0);
	close(p->fd);
}

static void tell_event(struct polled *it, uint32_t events)
{
	if (events & EPOLLHUP)
		events |= EPOLLIN | EPOLLOUT;
	events &= it->events | EPOLLERR;
	/* One that was closed in this turn may have had an event in it. */
	if (events && !it->closed)
		it->on_event(it, events);
}

/* Returns whether the loop of libuv has events. */
static bool tell_events(struct poller *p, int n)
{
	bool loop = false;

	for (int i = 0; i < n; i++) {
		if (p->events[i].data.ptr)
			tell_event(p->events[i].data.ptr, p->events[i].events);
		else
			loop = true;
	}
	return loop;
}

bool poller_turn(struct poller *p, bool wait)
{
	int timeout = wait && !p->closed ? uv_backend_timeout(p->loop) : 0;
	int n = epoll_wait(p->fd, p->events, POLLER_EVENTS_MAX, timeout);
	bool loop;

	uv_update_time(p->loop);
	loop = tell_events(p, n);
	/* No time left: a timer is due, or something has been started or stopped. */
	if (loop || uv_backend_timeout(p->loop) == 0)
		uv_run(p->loop, UV_RUN_NOWAIT);
	tell_closed(p);
	return p->n_polled > 0 || uv_loop_alive(p->loop);
}

int poller_add(struct poller *p, struct polled *it, int fd, uint32_t events, polled_cb on_event,
	       void *owner)
{
	struct epoll_event e;

	*it = (struct polled){
		.fd = fd, .events = (uint16_t)events, .on_event = on_event, .owner = owner
	};
	e = wanted(it);
	if (epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	p->n_polled++;
	return 0;
}

void poller_set(struct poller *p, struct polled *it, uint32_t events)
{
	struct epoll_event e;

	if (events == it->events || it->closed)
		return;
	it->events = (uint16_t)events;
	e = wanted(it);
	/* What is polled was added, and changing it needs no memory. */
	if (epoll_ctl(p->fd, EPOLL_CTL_MOD, it->fd, &e) < 0)
		abort();
}

void poller_remove(struct poller *p, struct polled *it, polled_closed_cb on_closed)
{
	struct epoll_event unused;

	assert(!it->closed);
	/* By hand, and before the descriptor is closed: one that somebody has duplicated would keep
	 * a pointer to IT in the kernel. */
	epoll_ctl(p->fd, EPOLL_CTL_DEL, it->fd, &unused);
	it->closed = true;
	it->on_closed = on_closed;
	it->next_closed = p->closed;
	p->closed = it;
}
