/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "grpc_private.h"
#include "sluice/array.h"

#define READ_SIZE	  (16 * 1024)
#define STREAM_WINDOW	  (1 << 20)
#define CONNECTION_WINDOW (4 << 20)
/* The runtime is on this host, and answers for one name as for another. */
#define AUTHORITY "localhost"

int grpc_connect(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	size_t size = strlen(path) + 1;
	int fd, r;

	if (size > sizeof(name.sun_path))
		return -ENAMETOOLONG;
	memcpy(name.sun_path, path, size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* ---- what nghttp2 calls ---- */

static struct grpc_slot *slot_of_stream(struct grpc_client *c, int32_t stream)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++)
		if (c->slots[i].number && c->slots[i].stream == stream && !c->slots[i].over)
			return &c->slots[i];
	return NULL;
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
		       void *ctx)
{
	struct grpc_client *c = ctx;
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? NGHTTP2_ERR_WOULDBLOCK
						 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static ssize_t on_read_request(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t len,
			       uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct grpc_slot *s = slot_of_stream(ctx, stream);
	size_t n;

	if (!s) /* it has failed, and its RST_STREAM is on the way */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = s->request_len - s->request_sent < len ? s->request_len - s->request_sent : len;
	memcpy(buf, s->request + s->request_sent, n);
	s->request_sent += n;
	if (s->request_sent == s->request_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
	struct grpc_slot *s = slot_of_stream(ctx, frame->hd.stream_id);

	if (s)
		grpc_slot_field(s, name, name_len, value, len);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
		   size_t len, void *ctx)
{
	struct grpc_slot *s = slot_of_stream(ctx, stream);

	if (s)
		grpc_slot_data(ctx, s, data, len);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct grpc_slot *s = slot_of_stream(ctx, frame->hd.stream_id);

	if (!s)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && !s->headed)
		grpc_slot_headed(s);
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		grpc_slot_finish(s);
	return 0;
}

static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *ctx)
{
	struct grpc_slot *s = slot_of_stream(ctx, frame->hd.stream_id);

	if (s && frame->hd.type == NGHTTP2_HEADERS)
		grpc_slot_fail(s, -ECONNRESET);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *ctx)
{
	struct grpc_client *c = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++) {
		if (c->slots[i].number == 0 || c->slots[i].stream != stream)
			continue;
		c->slots[i].closed = true;
		grpc_slot_fail(&c->slots[i], -ECONNRESET);
	}
	return 0;
}

/* ---- making one ---- */

/* Ours, so that tests can let them fail. */
static void *on_malloc(size_t size, void *ctx)
{
	return malloc(size);
}

static void on_free(void *memory, void *ctx)
{
	free(memory);
}

static void *on_calloc(size_t n, size_t size, void *ctx)
{
	return calloc(n, size);
}

static void *on_realloc(void *memory, size_t size, void *ctx)
{
	return realloc(memory, size);
}

static int submit_settings(nghttp2_session *session)
{
	static const nghttp2_settings_entry entries[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
	};

	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries, ARRAY_SIZE(entries)))
		return -ENOMEM;
	return nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
						     CONNECTION_WINDOW)
		       ? -ENOMEM
		       : 0;
}

static int make_session(struct grpc_client *c)
{
	nghttp2_mem memory = { NULL, on_malloc, on_free, on_calloc, on_realloc };
	nghttp2_session_callbacks *callbacks;
	int r;

	if (nghttp2_session_callbacks_new(&callbacks))
		return -ENOMEM;
	nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	r = nghttp2_session_client_new3(&c->session, callbacks, c, NULL, &memory);
	nghttp2_session_callbacks_del(callbacks);
	return r ? -ENOMEM : 0;
}

int grpc_client_new(int fd, struct grpc_client **ret)
{
	struct grpc_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->fd = -1;
	r = make_session(c);
	if (r == 0)
		r = submit_settings(c->session);
	if (r < 0) {
		grpc_client_free(c);
		return r;
	}
	c->fd = fd;
	*ret = c;
	return 0;
}

void grpc_client_free(struct grpc_client *c)
{
	if (!c)
		return;
	if (c->session)
		nghttp2_session_del(c->session);
	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++)
		grpc_slot_free(c, &c->slots[i]);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

/* ---- calls ---- */

static struct grpc_slot *free_slot(struct grpc_client *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++)
		if (c->slots[i].number == 0)
			return &c->slots[i];
	return NULL;
}

static int copy_request(struct grpc_slot *s, const struct grpc_call *call)
{
	if (call->len > GRPC_MESSAGE_MAX)
		return -EMSGSIZE;
	s->request_len = GRPC_PREFIX + call->len;
	s->request = malloc(s->request_len);
	if (!s->request)
		return -ENOMEM;
	s->request[0] = 0;
	for (size_t i = 1; i < GRPC_PREFIX; i++)
		s->request[i] = (uint8_t)(call->len >> (8 * (GRPC_PREFIX - 1 - i)));
	if (call->len > 0)
		memcpy(s->request + GRPC_PREFIX, call->request, call->len);
	return 0;
}

/* Neither text is changed: nghttp2 only lacks the const. */
static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
			     strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static int submit(struct grpc_client *c, const struct grpc_call *call)
{
	nghttp2_data_provider body = { .read_callback = on_read_request };
	char timeout[16] = "";
	nghttp2_nv fields[] = {
		field(":method", "POST"),
		field(":scheme", "http"),
		field(":authority", AUTHORITY),
		field(":path", call->path),
		field("content-type", "application/grpc"),
		field("te", "trailers"),
		field("grpc-timeout", timeout),
	};
	size_t n = ARRAY_SIZE(fields);

	if (call->timeout > 0 && call->timeout < 100 * 1000 * 1000) {
		snprintf(timeout, sizeof(timeout), "%um", (unsigned)call->timeout);
		fields[n - 1] = field("grpc-timeout", timeout);
	} else {
		n--; /* as long as it lasts */
	}
	return nghttp2_submit_request(c->session, NULL, fields, n, &body, NULL);
}

static uint32_t next_number(struct grpc_client *c)
{
	if (++c->last_number == 0)
		c->last_number = 1;
	return c->last_number;
}

int grpc_client_call(struct grpc_client *c, const struct grpc_call *call, uint64_t now,
		     uint32_t *ret)
{
	struct grpc_slot *s = free_slot(c);
	int r;

	if (c->error)
		return -EPIPE;
	if (!s)
		return -EBUSY;
	r = copy_request(s, call);
	if (r == 0) {
		r = submit(c, call);
		if (r < 0)
			r = r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPIPE;
	}
	if (r < 0) {
		grpc_slot_free(c, s);
		return r;
	}
	s->stream = r;
	s->number = next_number(c);
	s->deadline = call->timeout ? now + call->timeout : GRPC_NEVER;
	s->on_message = call->on_message;
	s->on_end = call->on_end;
	s->ctx = call->ctx;
	*ret = s->number;
	return 0;
}

/* The server is told, and what it still sends is ignored. */
static void reset(struct grpc_client *c, struct grpc_slot *s)
{
	if (!s->closed && nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->stream,
						    NGHTTP2_CANCEL) == NGHTTP2_ERR_NOMEM)
		c->error = -ENOMEM;
	s->closed = true;
}

void grpc_client_cancel(struct grpc_client *c, uint32_t call)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++) {
		struct grpc_slot *s = &c->slots[i];

		if (s->number != call || call == 0)
			continue;
		grpc_slot_fail(s, -ECANCELED);
		s->on_end = NULL; /* freed by settle(), since this may be within a callback of it */
		reset(c, s);
	}
}

/* Ends what is over. A callback may start another call, in a place that is free by then. */
static void settle(struct grpc_client *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++) {
		struct grpc_slot *s = &c->slots[i], ended;

		if (c->error && s->number)
			grpc_slot_fail(s, c->error);
		if (!s->over)
			continue;
		if (!c->error)
			reset(c, s);
		ended = *s;
		ended.result.lost = c->error;
		memset(s, 0, sizeof(*s));
		if (ended.on_end)
			ended.on_end(ended.ctx, &ended.result);
		grpc_slot_free(c, &ended);
	}
}

/* ---- the connection ---- */

short grpc_client_events(const struct grpc_client *c)
{
	return (short)(POLLIN | (nghttp2_session_want_write(c->session) ? POLLOUT : 0));
}

uint64_t grpc_client_deadline(const struct grpc_client *c)
{
	uint64_t first = GRPC_NEVER;

	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++)
		if (c->slots[i].number && c->slots[i].deadline < first)
			first = c->slots[i].deadline;
	return first;
}

static int error_of(int nghttp2_error)
{
	return nghttp2_error == NGHTTP2_ERR_NOMEM	       ? -ENOMEM
	       : nghttp2_error == NGHTTP2_ERR_CALLBACK_FAILURE ? -ECONNRESET
							       : -EPROTO;
}

static int receive(struct grpc_client *c)
{
	uint8_t buf[READ_SIZE];

	for (size_t turn = 0; turn < GRPC_TURN_BYTES / READ_SIZE; turn++) {
		ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n == 0)
			return -ECONNRESET;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -ECONNRESET;
		n = nghttp2_session_mem_recv(c->session, buf, (size_t)n);
		if (n < 0)
			return error_of((int)n);
	}
	return 0;
}

static int transmit(struct grpc_client *c)
{
	int r = nghttp2_session_send(c->session);

	if (r < 0)
		return error_of(r);
	/* Nothing more is to come: an error that has been answered, or GOAWAY. */
	return nghttp2_session_want_read(c->session) || nghttp2_session_want_write(c->session)
		       ? 0
		       : -ECONNRESET;
}

static void fail(struct grpc_client *c, int r)
{
	if (r < 0 && !c->error)
		c->error = r;
}

int grpc_client_on_ready(struct grpc_client *c, short revents)
{
	if (!c->error && revents & (POLLIN | POLLHUP | POLLERR))
		fail(c, receive(c));
	settle(c);
	if (!c->error)
		fail(c, transmit(c));
	settle(c); /* what could not be sent, and everything if it is over */
	return c->error;
}

int grpc_client_on_time(struct grpc_client *c, uint64_t now)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++)
		if (c->slots[i].number && c->slots[i].deadline <= now)
			grpc_slot_fail(&c->slots[i], -ETIMEDOUT);
	return grpc_client_on_ready(c, 0);
}
