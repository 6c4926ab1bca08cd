// SPDX-License-Identifier: Apache-2.0
/* bench_client: the load generator of every arm. One thread, one epoll loop, a fixed number of
 * connections, on each of them one exchange after the other (a closed loop). The clock starts when
 * every connection has had its first exchange; the time of an exchange runs from before its first
 * byte is sent (with --close: from before connect()) until the last byte of the answer was read.
 *
 * A connection that the other side ended between two exchanges is opened again, and the exchange
 * tried again, as clients do: that is counted as "reopened". One that ends in the middle of an
 * answer, or cannot be opened, is "failed". */
#include "client.h"
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "http.h"
#include "tally.h"

#define EVENTS	     256
#define TICK_MS	     20	 /* how late the end may be noticed */
#define FAILURES_MAX 100 /* more than so many in a row, and it is hopeless */
#define PATIENCE_S   60	 /* for the first exchange of every connection */

struct conn {
	int fd;
	bool writing, warm, tunnel, fresh;
	uint64_t began_ns;
	uint64_t sent, to_send; /* of the request: head, then body */
	uint64_t to_read;	/* of the answer's body; valid once its head was read */
	bool in_body, close;
	unsigned status;
	size_t target;
	size_t have, head_len;
	char in[HTTP_HEAD_MAX];
	char head[HTTP_HEAD_MAX];
};

struct load {
	struct options o;
	int epoll;
	unsigned warm;
	size_t next_target;
	struct conn *conns;
	struct tally done;
	uint64_t failed_in_row;
	char block[HTTP_BLOCK];
};

static void watch(struct load *l, struct conn *c, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (epoll_ctl(l->epoll, operation, c->fd, &event) < 0)
		err(1, "epoll_ctl");
}

static void open_conn(struct load *l, struct conn *c)
{
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		err(1, "socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (const struct sockaddr *)&l->o.to, sizeof(l->o.to)) < 0 &&
	    errno != EINPROGRESS)
		err(1, "connect");
	c->tunnel = false;
	c->writing = c->fresh = true;
	watch(l, c, EPOLL_CTL_ADD, EPOLLOUT);
}

/* --- requests --- */

static void make_frame(struct load *l, struct conn *c)
{
	c->head[0] = (char)0x82;
	c->head[1] = (char)(0x80 | l->o.websocket);
	memset(c->head + 2, 0, 4); /* the mask */
	memset(c->head + 6, 'x', l->o.websocket);
	c->head_len = 6 + l->o.websocket;
	c->to_send = c->head_len;
}

static void make_request(struct load *l, struct conn *c)
{
	char length[64] = "";
	int n;

	if (l->o.body)
		snprintf(length, sizeof(length), "Content-Length: %llu\r\n",
			 (unsigned long long)l->o.body);
	n = snprintf(c->head, sizeof(c->head),
		     "%s %s HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n"
		     "%s%s%s\r\n",
		     l->o.method, l->o.targets[c->target], length,
		     l->o.close ? "Connection: close\r\n" : "",
		     l->o.websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\n"
				      "Sec-WebSocket-Version: 13\r\n"
				      "Sec-WebSocket-Key: " HTTP_WS_KEY "\r\n"
				    : "");
	if (n < 0 || (size_t)n >= sizeof(c->head))
		errx(2, "a target is too long");
	c->head_len = (size_t)n;
	c->to_send = c->head_len + l->o.body;
}

static void begin(struct load *l, struct conn *c)
{
	c->sent = 0;
	c->have = 0;
	c->in_body = false;
	if (c->tunnel)
		make_frame(l, c);
	else
		make_request(l, c);
}

static void fail(struct load *l, struct conn *c)
{
	l->done.failed++;
	if (++l->failed_in_row > FAILURES_MAX)
		errx(1, "%u exchanges in a row failed", FAILURES_MAX);
	close(c->fd);
	open_conn(l, c);
	begin(l, c);
}

/* The connection is gone. */
static void lost(struct load *l, struct conn *c)
{
	if (c->fresh || c->have > 0 || c->in_body) {
		fail(l, c);
		return;
	}
	l->done.reopened++;
	close(c->fd);
	open_conn(l, c);
	begin(l, c);
}

/* Bytes of the direction that the load is about. */
static void write_some(struct load *l, struct conn *c)
{
	while (c->sent < c->to_send) {
		ssize_t n = http_send(c->fd, c->head, c->head_len, l->block, c->sent, c->to_send);

		if (n < 0 && errno == EAGAIN) {
			if (!c->writing)
				watch(l, c, EPOLL_CTL_MOD, EPOLLOUT);
			c->writing = true;
			return;
		}
		if (n < 0) {
			lost(l, c);
			return;
		}
		c->sent += (uint64_t)n;
		if (l->o.body)
			tally_count(&l->done, (size_t)n);
	}
	if (c->writing)
		watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
	c->writing = false;
}

/* --- answers --- */

static void account(struct load *l, struct conn *c)
{
	l->failed_in_row = 0;
	tally_add(&l->done, c->began_ns, c->status == l->o.expect || c->tunnel);
}

static void warm_up(struct load *l, struct conn *c)
{
	if (c->warm)
		return;
	c->warm = true;
	if (++l->warm < l->o.connections)
		return;
	l->done.started_ns = now_ns();
	if (l->o.hold) {
		printf("{\"held\": %u}\n", l->warm);
		fflush(stdout);
	}
}

static void next_exchange(struct load *l, struct conn *c)
{
	c->began_ns = now_ns();
	c->target = l->next_target++ % l->o.n_targets;
	c->fresh = false;
	if (c->close) {
		close(c->fd);
		open_conn(l, c);
	}
	begin(l, c);
	if (!c->writing)
		write_some(l, c);
}

static void finish(struct load *l, struct conn *c)
{
	if (c->status == 101 && !c->tunnel) { /* the exchanges are still to come */
		c->tunnel = true;
		next_exchange(l, c);
		return;
	}
	account(l, c);
	warm_up(l, c);
	if (l->o.hold) {
		c->have = 0;
		c->in_body = c->fresh = false;
		return;
	}
	next_exchange(l, c);
}

/* Returns whether the whole head was there and could be read. */
static bool read_head(struct load *l, struct conn *c)
{
	size_t len = http_head_len(c->in, c->have);
	uint64_t behind = c->have - len;

	if (len == 0)
		return false;
	c->status = (unsigned)strtoul(c->in + strlen("HTTP/1.1 "), NULL, 10);
	c->close = l->o.close || http_closes(c->in, len);
	c->to_read = c->status == 101 ? 0 : http_content_length(c->in, len);
	if (behind > c->to_read)
		errx(1, "more came than was asked for");
	c->to_read -= behind;
	c->in_body = true;
	return true;
}

static void read_some(struct load *l, struct conn *c)
{
	ssize_t n = c->in_body
			    ? recv(c->fd, l->block, sizeof(l->block), MSG_DONTWAIT)
			    : recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		lost(l, c);
		return;
	}
	if (!l->o.body)
		tally_count(&l->done, (size_t)n);
	if (c->in_body) {
		if ((uint64_t)n > c->to_read)
			errx(1, "more came than was asked for");
		c->to_read -= (uint64_t)n;
	} else {
		c->have += (size_t)n;
		if (c->tunnel) {
			if (c->have == l->o.websocket + 2u)
				finish(l, c);
			return;
		}
		if (!read_head(l, c)) {
			if (c->have == sizeof(c->in))
				errx(1, "the head of an answer is too long");
			return;
		}
	}
	if (c->to_read == 0)
		finish(l, c);
}

static bool going_on(const struct load *l, uint64_t begin_ns)
{
	uint64_t now = now_ns();

	if (!l->done.started_ns) {
		/* Who has them held waits as long as he likes. */
		if (!l->o.hold && now - begin_ns > PATIENCE_S * 1000000000ull)
			errx(1, "%u of %u connections had an answer in %u s", l->warm,
			     l->o.connections, PATIENCE_S);
		return true;
	}
	if (l->o.hold)
		return access(l->o.hold, F_OK) == 0;
	return (double)(now - l->done.started_ns) < l->o.seconds * 1e9;
}

static void run(struct load *l)
{
	struct epoll_event events[EVENTS];
	uint64_t begin_ns = now_ns(), checked_ns = begin_ns;

	for (;;) {
		int n = epoll_wait(l->epoll, events, EVENTS, TICK_MS);
		uint64_t now;

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c->writing)
				write_some(l, c);
			else
				read_some(l, c);
		}
		now = now_ns();
		if (now - checked_ns < 1000000 && n > 0)
			continue;
		checked_ns = now;
		if (!going_on(l, begin_ns))
			return;
	}
}

int main(int argc, char **argv)
{
	struct load *l = calloc(1, sizeof(*l));

	if (!l)
		err(1, "out of memory");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	options_read(&l->o, argc, argv);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->conns = calloc(l->o.connections, sizeof(*l->conns));
	if (l->epoll < 0 || !l->conns)
		err(1, "cannot begin");
	for (unsigned i = 0; i < l->o.connections; i++) {
		struct conn *c = &l->conns[i];

		c->began_ns = now_ns();
		c->target = l->next_target++ % l->o.n_targets;
		open_conn(l, c);
		begin(l, c);
	}
	run(l);
	tally_print(&l->done);
	options_done(&l->o);
	free(l->conns);
	free(l);
	return 0;
}
