// SPDX-License-Identifier: Apache-2.0
/* bench_h2_server ADDRESS PORT [--refuse]: the server at the far end of every arm of HTTP/2, as
 * cheap as a server can be, so that what is measured is the way to it. One thread, one epoll loop.
 * It answers
 *   a call of gRPC      every message with one of the same length, and in the end grpc-status: 0
 *   any other request   200 and a small body, once the request's own has been read
 * and with --refuse all of them with 403 or PERMISSION_DENIED: a place for proxies that cannot
 * refuse by themselves to send requests to. */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "grpc.h"
#include "h2_end.h"
#include "listen.h"

#define SMALL_BODY 128
#define EVENTS	   256

enum kind { PLAIN, CALL, STATUS, REFUSED }; /* header blocks that are sent again and again */

struct stream {
	struct h2_stream base;
	struct stream *spare_next;
	bool call, answered, ended;
	unsigned owed; /* messages to be sent */
};

struct conn {
	struct h2_end end;
	bool call;   /* the request whose fields are being read */
	bool refuse; /* every request */
	struct stream *spare;
};

static struct conn *conn_of(struct h2_end *e)
{
	return (struct conn *)e; /* its first member */
}

static void drop_stream(struct h2_end *e, struct stream *s)
{
	h2_end_remove(e, &s->base);
	s->spare_next = conn_of(e)->spare;
	conn_of(e)->spare = s;
}

static struct stream *new_stream(struct h2_end *e, uint32_t id)
{
	struct conn *c = conn_of(e);
	struct stream *s = c->spare;

	if (s)
		c->spare = s->spare_next;
	else
		s = malloc(sizeof(*s));
	if (!s)
		err(1, "out of memory");
	*s = (struct stream){ .base = { .id = id }, .call = c->call };
	h2_end_add(e, &s->base);
	return s;
}

static void answer_plain(struct h2_end *e, struct stream *s)
{
	const nghttp2_nv fields[] = { H2_FIELD(":status", "200"), H2_FIELD("server", "bench"),
				      H2_FIELD("content-type", "text/plain"),
				      H2_FIELD("content-length", "128") };

	if (!h2_end_may_send(e, &s->base, SMALL_BODY))
		return;
	h2_end_headers(e, s->base.id, PLAIN, fields, 4, false);
	memset(h2_end_data(e, &s->base, SMALL_BODY, true), 'x', SMALL_BODY);
	drop_stream(e, s);
}

static void answer_call(struct h2_end *e, struct stream *s)
{
	const nghttp2_nv head[] = { H2_FIELD(":status", "200"),
				    H2_FIELD("content-type", "application/grpc") };
	const nghttp2_nv trailers[] = { H2_FIELD("grpc-status", "0"),
					H2_FIELD("grpc-message", "") };
	size_t len = GRPC_PREFIX + (size_t)s->base.message_len;

	if (len > H2_FRAME_MAX)
		errx(1, "a message that is too long");
	if ((s->owed > 0 || s->ended) && !s->answered) {
		h2_end_headers(e, s->base.id, CALL, head, 2, false);
		s->answered = true;
	}
	for (; s->owed > 0 && h2_end_may_send(e, &s->base, len); s->owed--)
		grpc_put(e, &s->base, s->base.message_len, false);
	if (s->owed > 0 || !s->ended)
		return;
	h2_end_headers(e, s->base.id, STATUS, trailers, 2, true);
	drop_stream(e, s);
}

static void answer_refused(struct h2_end *e, struct stream *s)
{
	const nghttp2_nv call[] = { H2_FIELD(":status", "200"),
				    H2_FIELD("content-type", "application/grpc"),
				    H2_FIELD("grpc-status", "7") };
	const nghttp2_nv plain[] = { H2_FIELD(":status", "403") };

	if (!s->ended)
		return;
	h2_end_headers(e, s->base.id, H2_BLOCKS, s->call ? call : plain, s->call ? 3 : 1, true);
	drop_stream(e, s);
}

static void answer(struct h2_end *e, struct stream *s)
{
	if (conn_of(e)->refuse)
		answer_refused(e, s);
	else if (s->call)
		answer_call(e, s);
	else if (s->ended)
		answer_plain(e, s);
}

static void on_field(struct h2_end *e, uint32_t id, const nghttp2_nv *nv)
{
	if (h2_field_is(nv, "content-type"))
		conn_of(e)->call = h2_value_begins(nv, "application/grpc");
}

static void on_headers(struct h2_end *e, uint32_t id, bool end)
{
	struct stream *s = (struct stream *)h2_end_find(e, id);

	if (!s)
		s = new_stream(e, id);
	conn_of(e)->call = false;
	s->ended = end;
	answer(e, s);
}

static void on_data(struct h2_end *e, struct h2_stream *base, const char *bytes, size_t len,
		    bool end)
{
	struct stream *s = (struct stream *)base;

	if (s->call)
		s->owed += grpc_read(base, bytes, len);
	s->ended = end;
	answer(e, s);
}

static void on_room(struct h2_end *e, struct h2_stream *base)
{
	if (base) {
		answer(e, (struct stream *)base);
		return;
	}
	for (unsigned i = 0; i < H2_BUCKETS; i++) {
		struct h2_stream *s = e->buckets[i], *next;

		for (; s; s = next) {
			next = s->next;
			answer(e, (struct stream *)s);
		}
	}
}

static void on_reset(struct h2_end *e, struct h2_stream *base)
{
	drop_stream(e, (struct stream *)base);
}

static const struct h2_owner owner = {
	.field = on_field,
	.headers = on_headers,
	.data = on_data,
	.room = on_room,
	.reset = on_reset,
};

static void drop(struct conn *c)
{
	struct stream *s, *next;

	for (unsigned i = 0; i < H2_BUCKETS; i++)
		while (c->end.buckets[i])
			drop_stream(&c->end, (struct stream *)c->end.buckets[i]);
	for (s = c->spare; s; s = next) {
		next = s->spare_next;
		free(s);
	}
	h2_end_done(&c->end);
	free(c);
}

/* epoll holds the connection from here on; the analyzer does not know that. */
/* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
static void accept_all(int epoll, int listener, bool refuse)
{
	int fd;

	while ((fd = listen_accept(listener)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));

		if (!c)
			err(1, "out of memory");
		c->refuse = refuse;
		h2_end_init(&c->end, fd, epoll, false);
		if (!h2_end_flush(&c->end))
			drop(c);
	}
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener;
	bool refuse;

	refuse = argc == 4 && strcmp(argv[3], "--refuse") == 0;
	if (argc != 3 && !refuse)
		errx(2, "usage: bench_h2_server ADDRESS PORT [--refuse]");
	listener = listen_on(argv[1], argv[2]);
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
				accept_all(epoll, listener, refuse);
			else if (!h2_end_event(&c->end, &owner))
				drop(c);
		}
	}
}
