/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a connection: Version, then ListPodSandbox and ListContainers again and again, and
 * beside them PodSandboxStatus for each pod that has become due, a few at a time. */
#include "cri.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cri_private.h"

#define POLL_MS		1000
#define POLL_BESIDE_MS	10000 /* with a stream, in case that it misses something */
#define BACK_OFF_MIN_MS 100
#define BACK_OFF_MAX_MS 5000
#define AT_ONCE		8 /* sandboxes that are asked about */

static int connect_to(void *ctx, const char *path)
{
	return grpc_connect(path);
}

int cri_new(const struct cri_options *options, const struct cri_watcher *watcher, void *ctx,
	    struct cri **ret)
{
	struct cri *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->path = strdup(options->path);
	if (!c->path) {
		free(c);
		return -ENOMEM;
	}
	c->poll_ms = options->poll_ms ? options->poll_ms : POLL_MS;
	c->connect = options->connect ? options->connect : connect_to;
	c->watcher = *watcher;
	c->ctx = ctx;
	c->back_off = BACK_OFF_MIN_MS;
	*ret = c;
	return 0;
}

void cri_free(struct cri *c)
{
	if (!c)
		return;
	grpc_client_free(c->client);
	c->client = NULL;
	for (size_t i = 0; i < c->n_entries; i++)
		cri_entry_free(c, c->entries[i]);
	free(c->entries);
	pool_done(&c->list_pool);
	free(c->path);
	free(c);
}

/* ---- the connection ---- */

static void say(struct cri *c, const char *what, int error)
{
	cri_trouble(c, what, &(struct grpc_result){ .error = error });
}

static void wait_to_dial(struct cri *c)
{
	c->stage = CRI_DOWN;
	c->next = c->now + c->back_off;
	c->back_off = c->back_off * 2 < BACK_OFF_MAX_MS ? c->back_off * 2 : BACK_OFF_MAX_MS;
}

static void drop(struct cri *c)
{
	if (c->watcher.on_descriptor)
		c->watcher.on_descriptor(c->ctx, -1);
	grpc_client_free(c->client);
	c->client = NULL;
	c->synced = c->streams = c->listed = false;
	c->broken = 0;
	pool_done(&c->list_pool);
	c->list = NULL;
	for (size_t i = 0; i < c->n_entries; i++)
		c->entries[i]->call = 0;
	wait_to_dial(c);
}

static void dial(struct cri *c)
{
	int fd = c->connect(c->ctx, c->path);
	int r = fd < 0 ? fd : grpc_client_new(fd, &c->client);

	if (r < 0) {
		if (fd >= 0)
			close(fd);
		say(c, "cannot reach the container runtime", r);
		wait_to_dial(c);
		return;
	}
	c->fd = fd;
	if (c->watcher.on_descriptor)
		c->watcher.on_descriptor(c->ctx, fd);
	c->stage = CRI_HELLO;
	r = cri_call_version(c);
	if (r < 0)
		c->broken = r;
}

/* ---- answers ---- */

/* Does each who listens get every event? */
static bool can_stream(const Cri__VersionResponse *m)
{
	unsigned major = 0, minor = 0;
	const char *version = m->runtime_version;

	if (sscanf(version + (*version == 'v'), "%4u.%4u", &major, &minor) != 2)
		return false;
	if (strcmp(m->runtime_name, "containerd") == 0)
		return major >= 2;
	return strcmp(m->runtime_name, "cri-o") == 0 && (major > 1 || (major == 1 && minor >= 28));
}

void cri_on_version(struct cri *c, const Cri__VersionResponse *m)
{
	snprintf(c->runtime, sizeof(c->runtime), "%s %s", m->runtime_name, m->runtime_version);
	for (char *at = c->runtime; *at; at++)
		if (*at < 0x20 || *at > 0x7e)
			*at = '?';
	c->stage = CRI_IDLE;
	c->next = c->now;
	c->streams = can_stream(m) && cri_call_events(c) == 0;
}

/* All that there were when we began have been asked about. */
static void check_synced(struct cri *c)
{
	if (c->synced || !c->listed)
		return;
	for (size_t i = 0; i < c->n_entries; i++)
		if (!c->entries[i]->told)
			return;
	c->synced = true;
	if (c->watcher.on_synced)
		c->watcher.on_synced(c->ctx, c->runtime);
}

void cri_on_lists(struct cri *c, const Cri__ListContainersResponse *containers)
{
	int r;

	c->stage = CRI_IDLE;
	c->next = c->polled + (c->streams ? POLL_BESIDE_MS : c->poll_ms);
	if (c->next < c->now + MIN_POLL_MS)
		c->next = c->now + MIN_POLL_MS;
	r = cri_merge(c, containers);
	if (r < 0) {
		say(c, "some pods could not be taken in", r);
		if (r == -E2BIG)
			c->broken = r;
		return;
	}
	c->back_off = BACK_OFF_MIN_MS;
	c->listed = true;
	check_synced(c);
}

static bool complete(const struct cri_status *s)
{
	return s->known && s->pid && (s->host_network || s->n_addresses > 0);
}

static bool same(const struct cri_status *a, const struct cri_status *b)
{
	if (a->known != b->known || a->host_network != b->host_network || a->pid != b->pid ||
	    a->n_addresses != b->n_addresses || strcmp(a->netns, b->netns) != 0 ||
	    strcmp(a->cgroup_parent, b->cgroup_parent) != 0)
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (!address_same(&a->addresses[i], &b->addresses[i]))
			return false;
	return true;
}

void cri_on_details(struct cri *c, struct entry *e, const struct cri_status *status,
		    bool retry_soon)
{
	bool changed = status && !same(status, &e->pod.status);

	if (!e->pod.ready)
		return; /* it has ended meanwhile */
	if (status && !complete(status))
		retry_soon = true;
	e->ask_at = c->now + (retry_soon ? c->poll_ms : ASK_AGAIN_MS);
	if (changed)
		e->pod.status = *status;
	if (!e->told)
		cri_tell(c, e, CRI_APPEARED);
	else if (changed)
		cri_tell(c, e, CRI_CHANGED);
	check_synced(c);
}

/* ---- the order of things ---- */

/* Of how many sandboxes the details are on their way. */
static size_t count_asked(const struct cri *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_entries; i++)
		n += c->entries[i]->call != 0;
	return n;
}

static void ask_details(struct cri *c)
{
	size_t running = count_asked(c);

	if (!c->listed) /* what was known before may be gone */
		return;
	for (size_t i = 0; i < c->n_entries && running < AT_ONCE && !c->broken; i++) {
		struct entry *e = c->entries[i];
		int r;

		if (e->call || e->ask_at > c->now)
			continue;
		r = cri_call_details(c, e);
		if (r < 0)
			c->broken = r;
		running++;
	}
}

static void ask_lists(struct cri *c)
{
	int r;

	if (c->stage != CRI_IDLE || c->next > c->now)
		return;
	c->polled = c->now;
	c->stage = CRI_PODS;
	r = cri_call_pods(c);
	if (r < 0)
		c->broken = r;
}

/* Starts what is due, and sends it. */
static void go_on(struct cri *c, int r)
{
	if (r == 0 && c->client && !c->broken) {
		ask_lists(c);
		ask_details(c);
		r = grpc_client_on_ready(c->client, 0);
	}
	if (!c->client || (r == 0 && !c->broken))
		return;
	if (!c->broken)
		say(c, "the container runtime's connection ended", r);
	drop(c);
}

void cri_on_ready(struct cri *c, short revents, uint64_t now)
{
	c->now = now;
	if (c->client)
		go_on(c, grpc_client_on_ready(c->client, revents));
}

void cri_on_time(struct cri *c, uint64_t now)
{
	c->now = now;
	if (!c->client && c->next <= now)
		dial(c);
	if (c->client)
		go_on(c, c->broken ? 0 : grpc_client_on_time(c->client, now));
}

void cri_refresh(struct cri *c)
{
	if (c->stage > CRI_HELLO && c->next > c->polled + MIN_POLL_MS)
		c->next = c->polled + MIN_POLL_MS;
}

int cri_fd(const struct cri *c)
{
	return c->client ? c->fd : -1;
}

short cri_events(const struct cri *c)
{
	return (short)(c->client ? grpc_client_events(c->client) : 0);
}

uint64_t cri_deadline(const struct cri *c)
{
	uint64_t first = c->stage == CRI_IDLE || c->stage == CRI_DOWN ? c->next : CRI_NEVER, call;

	if (!c->client)
		return first;
	call = grpc_client_deadline(c->client);
	if (call < first)
		first = call;
	if (!c->listed || count_asked(c) >= AT_ONCE)
		return first;
	for (size_t i = 0; i < c->n_entries; i++)
		if (!c->entries[i]->call && c->entries[i]->ask_at < first)
			first = c->entries[i]->ask_at;
	return first;
}
