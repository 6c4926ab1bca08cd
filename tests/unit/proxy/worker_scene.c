/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_scene.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "conn.h"
#include "count_loops.h"
#include "require.h"
#include "sockaddr.h"

static void count_handle(uv_handle_t *handle, void *arg)
{
	unsigned *n = arg;

	*n += !uv_is_closing(handle);
}

static unsigned count_handles(struct scene *s)
{
	unsigned n = s->worker->poller.n_polled;

	uv_walk(&s->worker->loop, count_handle, &n);
	return n;
}

static int loopback_socket(struct address *ret)
{
	struct address a = { .family = AF_INET, .ip = { 127, 0, 0, 1 } };
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_from(&a, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	REQUIRE(bind(fd, (struct sockaddr *)&ss, len) == 0);
	REQUIRE(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
	REQUIRE(sockaddr_to(&ss, ret) == 0);
	return fd;
}

struct worker_changes *scene_changes(struct policy *policy)
{
	struct worker_changes *changes = worker_changes_new();

	REQUIRE(changes && worker_changes_set_policy(changes, SCENE_WORKLOAD, policy, NULL) == 0);
	policy_unref(policy);
	return changes;
}

void scene_begin(struct scene *s, struct policy *policy)
{
	struct error err = { "" };

	*s = (struct scene){ .n_descriptors = count_descriptors_with_loops(),
			     .shared.limits = LIMITS_DEFAULT,
			     .shared.max_workloads = SCENE_WORKLOADS,
			     .shared.max_netns = SCENE_NETNS };
	s->worker = malloc(sizeof(*s->worker));
	REQUIRE(s->worker);
	REQUIRE(worker_init(s->worker, &s->shared, NULL, &err) == 0);
	worker_apply(s->worker, scene_changes(policy));
	s->steer.server_of = SCENE_WORKLOAD;
	REQUIRE(worker_listen(s->worker, &s->steer, s->ports, &err) == 0);
	REQUIRE(s->ports[0] != 0 && s->steer.n_listeners >= 1);
	s->n_handles = count_handles(s);
	s->listener = loopback_socket(&s->server);
	REQUIRE(listen(s->listener, 100) == 0);
}

void scene_end(struct scene *s)
{
	struct worker *w = s->worker;
	bool stopped = w->stop_at_ms != 0;

	close(s->listener);
	scene_wait_idle(s);
	REQUIRE(w->metrics.open == 0 && s->shared.connections == 0);
	REQUIRE(w->buffers.n_lent == 0 && w->buffers.lent == 0);
	REQUIRE(w->exchanges.n_lent == 0);
	REQUIRE(s->steer.n_flows == 0);
	REQUIRE(stopped || count_handles(s) == s->n_handles);
	worker_done(w);
	free(w);
	REQUIRE(count_descriptors() == s->n_descriptors);
}

struct workload *scene_workload(const struct scene *s)
{
	struct workload *wl = workload_find(&s->worker->workloads, SCENE_WORKLOAD);

	REQUIRE(wl);
	return wl;
}

void scene_post(struct scene *s, struct worker_changes *changes)
{
	uint32_t serial = s->worker->serial + 1;

	worker_post(s->worker, changes, serial);
	scene_wait_swept(s, serial);
}

void scene_wait_swept(struct scene *s, uint32_t serial)
{
	for (unsigned turn = 0; atomic_load(&s->worker->swept) != serial; turn++) {
		REQUIRE(scene_may_wait(s, turn));
		scene_turn(s, -1, 0);
	}
	REQUIRE(atomic_load(&s->worker->taken) == serial);
}

void scene_change(struct scene *s, struct policy *policy)
{
	scene_post(s, scene_changes(policy));
}

bool scene_may_wait(struct scene *s, unsigned turn)
{
	if (turn == 0)
		s->waits_since = uv_hrtime();
	return turn < SCENE_TURNS_MAX || uv_hrtime() - s->waits_since < SCENE_PATIENCE_NS;
}

void scene_turn(struct scene *s, int fd, short events)
{
	uv_loop_t *loop = &s->worker->loop;
	struct pollfd p[2] = { { .fd = s->worker->poller.fd, .events = POLLIN },
			       { .fd = fd, .events = events } };
	int timeout;

	poller_turn(&s->worker->poller, false);
	timeout = uv_backend_timeout(loop);
	poll(p, 2, timeout < 0 || timeout > SCENE_TURN_MS ? SCENE_TURN_MS : timeout);
	poller_turn(&s->worker->poller, false);
}

int scene_connect_to(struct scene *s, const struct flow *flow)
{
	struct address to = { .family = AF_INET, .port = s->ports[0], .ip = { 127, 0, 0, 1 } };
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_from(&to, &ss);
	struct flow filed = { 0 };
	struct address client;
	int fd = loopback_socket(&client);

	if (flow) {
		filed = *flow;
		filed.client = client;
		if (!filed.workload)
			filed.workload = SCENE_WORKLOAD;
		fake_steer_file(&s->steer, &filed);
	}
	REQUIRE(connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS);
	return fd;
}

int scene_connect(struct scene *s, bool steered)
{
	struct flow flow = { .destination = s->server, .local = true };

	return scene_connect_to(s, steered ? &flow : NULL);
}

int scene_accept(struct scene *s)
{
	for (unsigned turn = 0; scene_may_wait(s, turn); turn++) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			return fd;
		scene_turn(s, s->listener, POLLIN);
	}
	fprintf(stderr, "the server gets no connection\n");
	abort();
}

void scene_send(struct scene *s, int fd, const char *buf, size_t len)
{
	for (unsigned turn = 0; len > 0 && scene_may_wait(s, turn); turn++) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n > 0) {
			buf += n;
			len -= (size_t)n;
			turn = 0;
		} else {
			REQUIRE(errno == EAGAIN);
			scene_turn(s, fd, POLLOUT);
		}
	}
	REQUIRE(len == 0);
}

void scene_say(struct scene *s, int fd, const char *text)
{
	scene_send(s, fd, text, strlen(text));
}

ssize_t scene_read(struct scene *s, int fd, char *buf, size_t len)
{
	for (unsigned turn = 0; scene_may_wait(s, turn); turn++) {
		ssize_t n = recv(fd, buf, len, 0);

		if (n >= 0)
			return n;
		if (errno != EAGAIN)
			return -errno;
		scene_turn(s, fd, POLLIN);
	}
	fprintf(stderr, "there is nothing to read\n");
	abort();
}

void scene_hear(struct scene *s, int fd, const char *text)
{
	size_t len = strlen(text), at = 0;
	char buf[4096];

	while (at < len) {
		ssize_t n = scene_read(s, fd, buf, len - at < sizeof(buf) ? len - at : sizeof(buf));

		if (n <= 0 || memcmp(buf, text + at, (size_t)n) != 0) {
			fprintf(stderr, "after %zu bytes of %s\nit reads (%zd): %.*s\n", at, text,
				n, n > 0 ? (int)n : 0, buf);
			abort();
		}
		at += (size_t)n;
	}
}

void scene_hear_end(struct scene *s, int fd)
{
	char byte;

	REQUIRE(scene_read(s, fd, &byte, 1) == 0);
}

void scene_hear_reset(struct scene *s, int fd)
{
	char byte;

	REQUIRE(scene_read(s, fd, &byte, 1) == -ECONNRESET);
}

void scene_wait_idle(struct scene *s)
{
	for (unsigned turn = 0; s->worker->conns; turn++) {
		REQUIRE(scene_may_wait(s, turn));
		scene_turn(s, -1, 0);
	}
}

void scene_shrink_buffers(int fd)
{
	int size = 16 * 1024;

	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
}
