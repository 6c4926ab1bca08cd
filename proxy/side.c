/* SPDX-License-Identifier: Apache-2.0 */
#include "side.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void side_reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

void side_set_options(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

int side_open(struct side *s, struct poller *p, int fd, uint32_t events, polled_cb on_event,
	      void *owner)
{
	int r = poller_add(p, &s->polled, fd, events, on_event, owner);

	s->fd = r < 0 ? -1 : fd;
	if (r < 0)
		side_reset(fd);
	return r;
}

ssize_t side_read(struct side *s, struct buffer_pool *pool, char *scratch, size_t size)
{
	ssize_t n;

	if (s->in && buffer_room(s->in) == 0) {
		struct buffer *larger;

		if (s->in->start == 0 && buffer_size(s->in) == BUFFER_MAX)
			return -ENOBUFS;
		larger = buffer_get(pool, BUFFER_MAX);
		if (!larger)
			return -ENOBUFS;
		larger->end = (uint32_t)buffer_len(s->in);
		memcpy(larger->data, s->in->data + s->in->start, larger->end);
		buffer_put(pool, s->in);
		s->in = larger;
	}
	if (s->in)
		n = recv(s->fd, s->in->data + s->in->end, buffer_room(s->in), MSG_DONTWAIT);
	else
		n = recv(s->fd, scratch, size, MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		s->eof = true;
	else if (s->in)
		s->in->end += (uint32_t)n;
	return n;
}

int side_keep(struct side *s, struct buffer_pool *pool, const char *buf, size_t len)
{
	s->in = len <= BUFFER_MAX ? buffer_get(pool, len) : NULL;
	if (!s->in)
		return -ENOBUFS;
	memcpy(s->in->data, buf, len);
	s->in->end = (uint32_t)len;
	return 0;
}

void side_used(struct side *s, struct buffer_pool *pool, size_t n)
{
	s->in->start += (uint32_t)n;
	if (buffer_len(s->in) > 0)
		return;
	buffer_put(pool, s->in);
	s->in = NULL;
	s->emptied = true;
}

static int queue(struct side *s, struct buffer_pool *pool, const char *buf, size_t len)
{
	while (len > 0) {
		struct buffer *b = s->out_last;
		size_t n;

		if (!b || buffer_room(b) == 0) {
			b = buffer_get(pool, len < BUFFER_MAX ? len : BUFFER_MAX);
			if (!b)
				return -ENOBUFS;
			if (s->out_last)
				s->out_last->next = b;
			else
				s->out = b;
			s->out_last = b;
		}
		n = len < buffer_room(b) ? len : buffer_room(b);
		memcpy(b->data + b->end, buf, n);
		b->end += (uint32_t)n;
		buf += n;
		len -= n;
	}
	return 0;
}

/* Returns bytes sent (0: the kernel takes none now) or a negative errno. */
static ssize_t try_send(struct side *s, const char *buf, size_t len)
{
	ssize_t n = send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0) {
		s->connecting = false;
		return n;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)
		return 0;
	s->broken = true;
	return -errno;
}

int side_send(struct side *s, struct buffer_pool *pool, const char *buf, size_t len)
{
	ssize_t n = 0;

	if (s->broken || s->finish || s->fd < 0)
		return 0;
	if (!s->out) {
		n = try_send(s, buf, len);
		if (n < 0)
			return (int)n;
	}
	return queue(s, pool, buf + n, len - (size_t)n);
}

static void drop_out(struct side *s, struct buffer_pool *pool)
{
	while (s->out) {
		struct buffer *b = s->out;

		s->out = b->next;
		buffer_put(pool, b);
	}
	s->out_last = NULL;
}

int side_flush(struct side *s, struct buffer_pool *pool)
{
	while (s->out) {
		struct buffer *b = s->out;
		ssize_t n = try_send(s, b->data + b->start, buffer_len(b));

		if (n < 0) {
			drop_out(s, pool);
			return (int)n;
		}
		b->start += (uint32_t)n;
		if (buffer_len(b) > 0)
			return 0;
		s->out = b->next;
		if (!s->out) {
			s->out_last = NULL;
			s->emptied = true;
		}
		buffer_put(pool, b);
	}
	if (s->finish && !s->finished && !s->connecting) {
		s->finished = true;
		if (!s->broken)
			shutdown(s->fd, SHUT_WR);
	}
	return 0;
}

void side_arm(struct side *s, struct poller *p, uint32_t events)
{
	if (s->fd >= 0)
		poller_set(p, &s->polled, events);
}

bool side_close(struct side *s, struct poller *p, bool reset, polled_closed_cb on_closed)
{
	if (s->fd < 0)
		return false;
	poller_remove(p, &s->polled, on_closed);
	if (reset)
		side_reset(s->fd);
	else
		close(s->fd);
	s->fd = -1;
	return true;
}

void side_release(struct side *s, struct buffer_pool *pool)
{
	buffer_put(pool, s->in);
	s->in = NULL;
	drop_out(s, pool);
}
