// SPDX-License-Identifier: Apache-2.0
/* bench_h2_client: the load generator of gRPC, and of plain requests over HTTP/2. One thread, one
 * epoll loop, a fixed number of connections and of streams on each, on every stream one exchange
 * after the other (a closed loop). An exchange of gRPC is a message there and the one that comes
 * back; of a call with one message, everything from its head to the status in its trailers. Every
 * message is read as such, and every status has to be the one that was asked for.
 *
 * The clock starts when every stream has had its first exchange. A connection that ends, or a
 * stream that is reset, is an error. */
#include "client.h"
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include "grpc.h"
#include "h2_end.h"
#include "tally.h"

#define EVENTS	   256
#define TICK_MS	   20 /* how late the end may be noticed */
#define PATIENCE_S 60 /* for the first exchange of every stream */

#define PERMISSION_DENIED 7

struct load;

struct stream {
	struct h2_stream base;
	uint64_t began_ns;
	unsigned status;
	int grpc_status;	 /* -1: none came */
	unsigned sent, received; /* messages */
	bool warm, waits;	 /* for window */
};

struct conn {
	struct h2_end end;
	struct load *load;
	uint32_t next_id;
	bool begun;
	unsigned status; /* of the header block that is being read */
	int grpc_status;
	struct stream *streams;
};

struct load {
	struct options o;
	int epoll;
	unsigned warm, streams; /* in all */
	size_t next_target;
	struct conn **conns;
	struct tally done;
};

static struct conn *conn_of(struct h2_end *e)
{
	return (struct conn *)e; /* its first member */
}

/* --- requests --- */

/* What is due on S, as far as windows allow. */
static void send_some(struct conn *c, struct stream *s)
{
	const struct options *o = &c->load->o;
	uint32_t len = (uint32_t)o->body;
	bool last = s->sent + 1 == o->messages;

	s->waits = !h2_end_may_send(&c->end, &s->base, GRPC_PREFIX + len);
	if (s->waits)
		return;
	if (o->messages)
		grpc_put(&c->end, &s->base, len, last);
	else
		memset(h2_end_data(&c->end, &s->base, len, true), 'x', len);
	s->sent++;
}

static void begin(struct conn *c, struct stream *s)
{
	const struct options *o = &c->load->o;
	size_t target = c->load->next_target++ % o->n_targets;
	const nghttp2_nv fields[] = {
		H2_FIELD(":method", o->messages ? "POST" : o->method),
		H2_FIELD(":scheme", "http"),
		H2_FIELD(":path", o->targets[target]),
		H2_FIELD(":authority", "bench.test"),
		H2_FIELD("user-agent", "bench"),
		H2_FIELD("te", "trailers"),
		H2_FIELD("content-type", "application/grpc"),
	};
	bool body = o->messages || o->body;

	*s = (struct stream){ .base = { .id = c->next_id },
			      .began_ns = now_ns(),
			      .grpc_status = -1,
			      .warm = s->warm };
	c->next_id += 2;
	h2_end_add(&c->end, &s->base);
	h2_end_headers(&c->end, s->base.id,
		       o->n_targets <= H2_BLOCKS ? (unsigned)target : H2_BLOCKS, fields,
		       o->messages ? 7 : 5, !body);
	if (body)
		send_some(c, s);
}

/* --- answers --- */

static void warm_up(struct load *l, struct stream *s)
{
	if (s->warm)
		return;
	s->warm = true;
	if (++l->warm == l->streams)
		l->done.started_ns = now_ns();
}

/* The answer as a status of HTTP. */
static unsigned outcome(const struct load *l, const struct stream *s)
{
	if (!l->o.messages || s->status != 200)
		return s->status;
	if (s->grpc_status == PERMISSION_DENIED)
		return 403;
	return s->grpc_status == 0 && s->received == l->o.messages ? 200 : 500;
}

static void finish(struct conn *c, struct stream *s)
{
	struct load *l = c->load;
	bool expected = outcome(l, s) == l->o.expect;

	/* Of a stream of messages each was counted as it came. */
	if (l->o.messages <= 1 || s->received == 0)
		tally_add(&l->done, s->began_ns, expected);
	else if (!expected)
		l->done.unexpected++;
	/* Whoever refuses need not have read the request to its end. */
	if (s->sent < l->o.messages)
		h2_end_reset(&c->end, s->base.id);
	h2_end_remove(&c->end, &s->base);
	warm_up(l, s);
	begin(c, s);
}

static void on_field(struct h2_end *e, uint32_t id, const nghttp2_nv *nv)
{
	struct conn *c = conn_of(e);

	if (h2_field_is(nv, ":status"))
		c->status = (unsigned)strtoul((const char *)nv->value, NULL, 10);
	else if (h2_field_is(nv, "grpc-status"))
		c->grpc_status = (int)strtol((const char *)nv->value, NULL, 10);
}

static void on_headers(struct h2_end *e, uint32_t id, bool end)
{
	struct conn *c = conn_of(e);
	struct stream *s = (struct stream *)h2_end_find(e, id);

	if (s && c->status)
		s->status = c->status;
	if (s && c->grpc_status >= 0)
		s->grpc_status = c->grpc_status;
	c->status = 0;
	c->grpc_status = -1;
	if (s && end)
		finish(c, s);
}

static void on_message(struct conn *c, struct stream *s)
{
	struct load *l = c->load;

	if (s->base.message_len != l->o.body || s->received == s->sent)
		errx(1, "a message that was not asked for");
	s->received++;
	if (l->o.messages == 1)
		return; /* its call ends the exchange */
	tally_add(&l->done, s->began_ns, s->status == 200);
	warm_up(l, s);
	if (s->sent == l->o.messages)
		return;
	s->began_ns = now_ns();
	send_some(c, s);
}

static void on_data(struct h2_end *e, struct h2_stream *base, const char *bytes, size_t len,
		    bool end)
{
	struct conn *c = conn_of(e);
	struct stream *s = (struct stream *)base;

	if (c->load->o.messages && s->status == 200)
		for (unsigned n = grpc_read(base, bytes, len); n > 0; n--)
			on_message(c, s);
	if (end)
		finish(c, s);
}

static void on_room(struct h2_end *e, struct h2_stream *base)
{
	struct conn *c = conn_of(e);

	for (unsigned i = 0; i < c->load->o.streams; i++)
		if (c->streams[i].waits && (!base || base == &c->streams[i].base))
			send_some(c, &c->streams[i]);
}

static void on_reset(struct h2_end *e, struct h2_stream *base)
{
	struct stream *s = (struct stream *)base;

	if (s->status == 0)
		errx(1, "a stream was reset without an answer");
	finish(conn_of(e), s);
}

static const struct h2_owner owner = {
	.field = on_field,
	.headers = on_headers,
	.data = on_data,
	.room = on_room,
	.reset = on_reset,
};

/* --- connections --- */

static void open_conn(struct load *l, struct conn *c)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&l->o.to, sizeof(l->o.to)) < 0)
		err(1, "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	h2_end_init(&c->end, fd, l->epoll, true);
	c->load = l;
	c->next_id = 1;
	c->grpc_status = -1;
	c->streams = calloc(l->o.streams, sizeof(*c->streams));
	if (!c->streams)
		err(1, "out of memory");
	if (!h2_end_flush(&c->end))
		errx(1, "the connection was lost");
}

/* The server has said how many streams it takes. */
static void begin_all(struct conn *c)
{
	c->begun = true;
	if (c->end.streams < c->load->o.streams)
		errx(1, "only %u streams are allowed", c->end.streams);
	for (unsigned i = 0; i < c->load->o.streams; i++)
		begin(c, &c->streams[i]);
}

static void on_event(struct load *l, struct conn *c)
{
	uint64_t before = c->end.received;
	bool goes_on = h2_end_event(&c->end, &owner);

	tally_count(&l->done, (size_t)(c->end.received - before));
	if (goes_on && c->end.greeted && !c->begun) {
		begin_all(c);
		goes_on = h2_end_flush(&c->end);
	}
	if (!goes_on)
		errx(1, "the connection was lost");
}

static bool going_on(const struct load *l, uint64_t begin_ns)
{
	uint64_t now = now_ns();

	if (l->done.started_ns)
		return (double)(now - l->done.started_ns) < l->o.seconds * 1e9;
	if (now - begin_ns > PATIENCE_S * 1000000000ull)
		errx(1, "%u of %u streams had an answer in %u s", l->warm, l->streams, PATIENCE_S);
	return true;
}

static void run(struct load *l)
{
	struct epoll_event events[EVENTS];
	uint64_t begin_ns = now_ns();

	do {
		int n = epoll_wait(l->epoll, events, EVENTS, TICK_MS);

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++)
			on_event(l, events[i].data.ptr);
	} while (going_on(l, begin_ns));
}

int main(int argc, char **argv)
{
	struct load *l = calloc(1, sizeof(*l));

	if (!l)
		err(1, "out of memory");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	options_read(&l->o, argc, argv);
	if (l->o.body > H2_FRAME_MAX - GRPC_PREFIX)
		errx(2, "--body takes at most %d here", H2_FRAME_MAX - GRPC_PREFIX);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->streams = l->o.connections * l->o.streams;
	l->conns = calloc(l->o.connections, sizeof(struct conn *));
	if (l->epoll < 0 || !l->conns)
		err(1, "cannot begin");
	for (unsigned i = 0; i < l->o.connections; i++) {
		l->conns[i] = calloc(1, sizeof(struct conn));
		if (!l->conns[i])
			err(1, "out of memory");
		open_conn(l, l->conns[i]);
	}
	run(l);
	tally_print(&l->done);
	for (unsigned i = 0; i < l->o.connections; i++) {
		h2_end_done(&l->conns[i]->end);
		free(l->conns[i]->streams);
		free(l->conns[i]);
	}
	free(l->conns);
	options_done(&l->o);
	free(l);
	return 0;
}
