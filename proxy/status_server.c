/* SPDX-License-Identifier: Apache-2.0 */
#include "status_server.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "sluice/array.h"

#define TICK_MS 1000

/* A document, shared by those to whom it is being written. */
struct status_text {
	unsigned refs;
	char *text;
	size_t len;
};

static void text_unref(struct status_text *t)
{
	if (!t || --t->refs > 0)
		return;
	free(t->text);
	free(t);
}

static bool may_ask(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return false;
	return who.uid == 0 || who.uid == geteuid();
}

/* ---- a client ---- */

static void on_news(uv_poll_t *handle, int status, int events);
static void on_tick(uv_timer_t *handle);

static void on_client_closed(uv_handle_t *handle)
{
	struct status_client *c = handle->data;

	close(c->fd);
	c->state = STATUS_FREE;
	if (c->server->open)
		uv_poll_start(&c->server->news, UV_READABLE, on_news);
}

static void client_close(struct status_client *c)
{
	if (c->state == STATUS_FREE || c->state == STATUS_CLOSING)
		return;
	c->state = STATUS_CLOSING;
	text_unref(c->text);
	c->text = NULL;
	uv_close((uv_handle_t *)&c->poll, on_client_closed);
}

static void on_writable(uv_poll_t *handle, int status, int events);

static void client_write(struct status_client *c)
{
	while (c->sent < c->text->len) {
		ssize_t n = send(c->fd, c->text->text + c->sent, c->text->len - c->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN &&
		    uv_poll_start(&c->poll, UV_WRITABLE, on_writable) == 0)
			return;
		if (n < 0)
			break;
		c->sent += (size_t)n;
	}
	client_close(c);
}

static void on_writable(uv_poll_t *handle, int status, int events)
{
	(void)status; /* an error is send()'s to find */
	(void)events;
	client_write(handle->data);
}

static struct status_client *free_client(struct status_server *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->clients); i++)
		if (s->clients[i].state == STATUS_FREE)
			return &s->clients[i];
	return NULL;
}

/* ---- the server ---- */

/* Ask for a document, if somebody waits and none is being made. */
static void ask(struct status_server *s)
{
	bool wanted = false;

	for (size_t i = 0; i < ARRAY_SIZE(s->clients); i++)
		wanted |= s->clients[i].state == STATUS_WAITING;
	if (!wanted || s->asking || !s->open)
		return;
	s->asking = true;
	s->round++;
	s->host->asked(s->ctx);
}

/* Somebody has come, or could not: what time does is looked at until everybody has gone. */
static void start_ticking(struct status_server *s)
{
	if (!uv_is_active((uv_handle_t *)&s->tick))
		uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
}

/* Returns false when there is nobody else to accept now. */
static bool accept_one(struct status_server *s, struct status_client *c)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		uv_poll_stop(&s->news); /* or we would be told again at once */
		start_ticking(s);
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	if (!may_ask(fd) || fd >= s->fd_limit || uv_poll_init(s->loop, &c->poll, fd) < 0) {
		close(fd);
		return true;
	}
	c->poll.data = c;
	c->server = s;
	c->fd = fd;
	c->state = STATUS_WAITING;
	c->round = s->round + 1;
	c->sent = 0;
	c->until_ms = uv_now(s->loop) + STATUS_CLIENT_MS;
	start_ticking(s);
	return true;
}

static void on_news(uv_poll_t *handle, int status, int events)
{
	struct status_server *s = handle->data;
	struct status_client *c = free_client(s);

	(void)status;
	(void)events;
	while (c && accept_one(s, c))
		c = free_client(s);
	if (!c)
		uv_poll_stop(&s->news); /* until one has gone */
	ask(s);
}

static void on_tick(uv_timer_t *handle)
{
	struct status_server *s = handle->data;
	bool anybody = false;

	for (size_t i = 0; i < ARRAY_SIZE(s->clients); i++) {
		anybody |= s->clients[i].state != STATUS_FREE;
		if (s->clients[i].until_ms <= uv_now(s->loop))
			client_close(&s->clients[i]);
	}
	if (!anybody)
		uv_timer_stop(handle);
	if (free_client(s))
		uv_poll_start(&s->news, UV_READABLE, on_news);
}

void status_server_answer(struct status_server *s, char *text, size_t len)
{
	struct status_text *t = text ? malloc(sizeof(*t)) : NULL;

	s->asking = false;
	if (t)
		*t = (struct status_text){ .refs = 1, .text = text, .len = len };
	else
		free(text);
	for (size_t i = 0; i < ARRAY_SIZE(s->clients); i++) {
		struct status_client *c = &s->clients[i];

		if (c->state != STATUS_WAITING || c->round > s->round)
			continue;
		if (!t) {
			client_close(c);
			continue;
		}
		t->refs++;
		c->text = t;
		c->state = STATUS_WRITING;
		client_write(c);
	}
	text_unref(t);
	ask(s);
}

/* ---- its beginning and its end ---- */

static int make_socket(const char *path, struct error *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(at.sun_path)) {
		error_set(err, "%s is too long for the name of a socket: at most %zu bytes", path,
			  sizeof(at.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* bind() gives the file the mode that the socket has, so nobody can be too early. */
	if (fd < 0 || fchmod(fd, 0600) < 0 || (unlink(path) < 0 && errno != ENOENT) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, STATUS_CLIENTS_MAX) < 0) {
		r = -errno;
		error_set(err, "cannot listen at %s: %s", path, strerror(-r));
		if (fd >= 0)
			close(fd);
		return r;
	}
	return fd;
}

int status_server_open(struct status_server *s, uv_loop_t *loop, int fd_limit, const char *path,
		       const struct status_host *host, void *ctx, struct error *err)
{
	int fd = make_socket(path, err), r;

	if (fd < 0)
		return fd;
	r = fd < fd_limit ? uv_poll_init(loop, &s->news, fd) : -EMFILE;
	if (r < 0) {
		error_set(err, "cannot watch the socket %s: %s", path, uv_strerror(r));
		unlink(path);
		close(fd);
		return r;
	}
	s->host = host;
	s->ctx = ctx;
	s->loop = loop;
	s->fd = fd;
	s->fd_limit = fd_limit;
	s->open = true;
	snprintf(s->path, sizeof(s->path), "%s", path);
	s->news.data = s;
	uv_timer_init(loop, &s->tick);
	s->tick.data = s;
	uv_poll_start(&s->news, UV_READABLE, on_news);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct status_server *s = handle->data;

	close(s->fd);
}

void status_server_close(struct status_server *s)
{
	if (!s->open)
		return;
	s->open = false;
	unlink(s->path);
	for (size_t i = 0; i < ARRAY_SIZE(s->clients); i++)
		client_close(&s->clients[i]);
	uv_close((uv_handle_t *)&s->tick, NULL);
	uv_close((uv_handle_t *)&s->news, on_closed);
}
