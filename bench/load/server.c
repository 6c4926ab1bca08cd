// SPDX-License-Identifier: Apache-2.0
/* bench_server ADDRESS PORT: the server at the far end of every arm, as cheap as a server can be,
 * so that what is measured is the way to it. One thread, one epoll loop. It answers GET /bytes/N N
 * bytes GET /echo        with Upgrade: websocket: 101, then every frame back anything else    a
 * small body, once the request's own body has been read
 */
#include <err.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "http.h"
#include "listen.h"

#define SMALL_BODY 128
#define EVENTS	   256

struct conn {
	int fd;
	bool close, echo, writing;
	uint64_t to_discard; /* of the request's body */
	uint64_t sent, to_send;
	size_t head_len; /* of the answer */
	size_t have;
	char head[192];
	char in[HTTP_HEAD_MAX];
};

static char block[HTTP_BLOCK]; /* what every body consists of; and where bodies go to */

static void watch(int epoll, struct conn *c, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (epoll_ctl(epoll, operation, c->fd, &event) < 0)
		err(1, "epoll_ctl");
}

static void drop(struct conn *c)
{
	close(c->fd);
	free(c);
}

/* Send what is due. Returns false when the connection is over. */
static bool write_some(int epoll, struct conn *c)
{
	while (c->sent < c->to_send) {
		ssize_t n = http_send(c->fd, c->head, c->head_len, block, c->sent, c->to_send);

		if (n < 0 && errno == EAGAIN) {
			if (!c->writing)
				watch(epoll, c, EPOLL_CTL_MOD, EPOLLOUT);
			c->writing = true;
			return true;
		}
		if (n < 0)
			return false;
		c->sent += (uint64_t)n;
	}
	if (c->writing)
		watch(epoll, c, EPOLL_CTL_MOD, EPOLLIN);
	c->writing = false;
	c->sent = c->to_send = 0;
	return !c->close;
}

static bool answer(int epoll, struct conn *c, uint64_t body)
{
	c->head_len = (size_t)snprintf(c->head, sizeof(c->head),
				       "HTTP/1.1 200 OK\r\nServer: bench\r\n"
				       "Content-Type: text/plain\r\nContent-Length: %llu\r\n%s\r\n",
				       (unsigned long long)body,
				       c->close ? "Connection: close\r\n" : "");
	c->to_send = c->head_len + body;
	return write_some(epoll, c);
}

static bool accept_websocket(int epoll, struct conn *c)
{
	c->head_len = (size_t)snprintf(c->head, sizeof(c->head),
				       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
				       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				       HTTP_WS_ACCEPT);
	c->to_send = c->head_len;
	c->echo = true;
	return write_some(epoll, c);
}

/* One whole head is in c->in. */
static bool serve_head(int epoll, struct conn *c, size_t head_len)
{
	const char *key = http_field(c->in, head_len, "\nsec-websocket-key:");
	uint64_t length = http_content_length(c->in, head_len);
	uint64_t behind = c->have - head_len;

	c->have = 0;
	c->close = http_closes(c->in, head_len);
	if (key && strncmp(key, HTTP_WS_KEY, strlen(HTTP_WS_KEY)) == 0)
		return accept_websocket(epoll, c);
	if (behind > length)
		return false; /* pipelined */
	c->to_discard = length - behind;
	if (c->to_discard > 0)
		return true;
	if (strncmp(c->in, "GET /bytes/", 11) == 0)
		return answer(epoll, c, strtoull(c->in + 11, NULL, 10));
	return answer(epoll, c, SMALL_BODY);
}

/* Frames are short, masked with zeros, and come one at a time. */
static bool serve_frame(struct conn *c)
{
	size_t len = c->have < 2 ? 0 : (size_t)(c->in[1] & 0x7f);

	if (c->have < 2 || c->have < len + 6)
		return true;
	c->have = 0;
	c->in[4] = c->in[0];
	c->in[5] = (char)len; /* a server does not mask */
	return len <= HTTP_FRAME_MAX &&
	       send(c->fd, c->in + 4, len + 2, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(len + 2);
}

static bool read_some(int epoll, struct conn *c)
{
	bool discards = c->to_discard > 0;
	ssize_t n = discards ? recv(c->fd, block, sizeof(block), MSG_DONTWAIT)
			     : recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);
	size_t head_len;

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (discards) {
		if ((uint64_t)n > c->to_discard)
			return false;
		c->to_discard -= (uint64_t)n;
		return c->to_discard > 0 || answer(epoll, c, SMALL_BODY);
	}
	c->have += (size_t)n;
	if (c->echo)
		return serve_frame(c);
	head_len = http_head_len(c->in, c->have);
	if (head_len == 0)
		return c->have < sizeof(c->in);
	return serve_head(epoll, c, head_len);
}

/* epoll holds the connection from here on; the analyzer does not know that. */
/* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
static void accept_all(int epoll, int listener)
{
	int fd;

	while ((fd = listen_accept(listener)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));

		if (!c)
			err(1, "out of memory");
		c->fd = fd;
		watch(epoll, c, EPOLL_CTL_ADD, EPOLLIN);
	}
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener;

	if (argc != 3)
		errx(2, "usage: bench_server ADDRESS PORT");
	listener = listen_on(argv[1], argv[2]);
	memset(block, 'x', sizeof(block));
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener,
		      &(struct epoll_event){ .events = EPOLLIN, .data.ptr = NULL }) < 0)
		err(1, "epoll_ctl");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (!c)
				accept_all(epoll, listener);
			else if (!(c->writing ? write_some(epoll, c) : read_some(epoll, c)))
				drop(c);
		}
	}
}
