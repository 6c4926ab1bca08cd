/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cri_private.h"

#define SERVICE "/runtime.v1.RuntimeService/"
/* Runtimes are slow when they are busy, and so is the disk below them. */
#define TIMEOUT_MS 10000

static void *allocate(void *ctx, size_t size)
{
	return pool_alloc(ctx, size);
}

static void give_back(void *ctx, void *memory)
{
	pool_drop(ctx, memory);
}

/* Memory of a pool for what protobuf-c unpacks. */
static ProtobufCAllocator allocator_of(struct pool *p)
{
	return (ProtobufCAllocator){ allocate, give_back, p };
}

void cri_trouble(struct cri *c, const char *what, const struct grpc_result *why)
{
	char text[GRPC_TEXT_MAX + 128];

	if (why->error == -EREMOTEIO)
		snprintf(text, sizeof(text), "%s: status %u%s%s", what, why->status,
			 *why->text ? ", " : "", why->text);
	else
		snprintf(text, sizeof(text), "%s: %s", what, strerror(-why->error));
	if (c->watcher.on_trouble)
		c->watcher.on_trouble(c->ctx, text);
}

/* Without an answer to these there is no going on. */
static bool failed(struct cri *c, const char *what, const struct grpc_result *r)
{
	if (r->error == 0)
		return false;
	if (!c->broken)
		c->broken = r->error;
	cri_trouble(c, what, r);
	return true;
}

static void not_understood(struct cri *c, const char *what)
{
	failed(c, what, &(struct grpc_result){ .error = -EBADMSG });
}

static int call(struct cri *c, const char *path, const ProtobufCMessage *request, uint64_t timeout,
		void (*on_end)(void *, const struct grpc_result *), void *ctx, uint32_t *number)
{
	struct grpc_call how = { .path = path, .timeout = timeout, .on_end = on_end, .ctx = ctx };
	size_t len = protobuf_c_message_get_packed_size(request);
	uint8_t *bytes = malloc(len ? len : 1);
	int r;

	if (!bytes)
		return -ENOMEM;
	how.len = protobuf_c_message_pack(request, bytes);
	how.request = bytes;
	r = grpc_client_call(c->client, &how, c->now, number);
	free(bytes);
	return r;
}

/* ---- version ---- */

static void on_version_end(void *ctx, const struct grpc_result *r)
{
	struct pool pool = { .left = UNPACKED_MAX };
	ProtobufCAllocator allocator = allocator_of(&pool);
	Cri__VersionResponse *m;
	struct cri *c = ctx;

	if (failed(c, "Version", r))
		return;
	m = cri__version_response__unpack(&allocator, r->len, r->message);
	if (m)
		cri_on_version(c, m);
	else
		not_understood(c, "Version");
	pool_done(&pool);
}

int cri_call_version(struct cri *c)
{
	Cri__VersionRequest request = CRI__VERSION_REQUEST__INIT;
	uint32_t number;

	return call(c, SERVICE "Version", &request.base, TIMEOUT_MS, on_version_end, c, &number);
}

/* ---- the lists ---- */

static void on_containers_end(void *ctx, const struct grpc_result *r)
{
	struct pool pool = { .left = UNPACKED_MAX };
	ProtobufCAllocator allocator = allocator_of(&pool);
	Cri__ListContainersResponse *m;
	struct cri *c = ctx;

	if (!failed(c, "ListContainers", r)) {
		m = cri__list_containers_response__unpack(&allocator, r->len, r->message);
		if (m)
			cri_on_lists(c, m);
		else
			not_understood(c, "ListContainers");
	}
	pool_done(&pool);
	pool_done(&c->list_pool);
	c->list = NULL;
}

static void on_pods_end(void *ctx, const struct grpc_result *r)
{
	Cri__ListContainersRequest request = CRI__LIST_CONTAINERS_REQUEST__INIT;
	struct cri *c = ctx;
	ProtobufCAllocator allocator = allocator_of(&c->list_pool);
	uint32_t number;
	int error;

	if (failed(c, "ListPodSandbox", r))
		return;
	c->list_pool = (struct pool){ .left = UNPACKED_MAX };
	c->list = cri__list_pod_sandbox_response__unpack(&allocator, r->len, r->message);
	if (!c->list) {
		not_understood(c, "ListPodSandbox");
		return;
	}
	c->stage = CRI_CONTAINERS;
	error = call(c, SERVICE "ListContainers", &request.base, TIMEOUT_MS, on_containers_end, c,
		     &number);
	if (error < 0)
		failed(c, "ListContainers", &(struct grpc_result){ .error = error });
}

int cri_call_pods(struct cri *c)
{
	Cri__ListPodSandboxRequest request = CRI__LIST_POD_SANDBOX_REQUEST__INIT;
	uint32_t number;

	return call(c, SERVICE "ListPodSandbox", &request.base, TIMEOUT_MS, on_pods_end, c,
		    &number);
}

/* ---- one pod ---- */

static void on_container_end(void *ctx, const struct grpc_result *r)
{
	struct pool pool = { .left = UNPACKED_MAX };
	ProtobufCAllocator allocator = allocator_of(&pool);
	Cri__ContainerStatusResponse *m = NULL;
	struct entry *e = ctx;

	e->call = 0;
	if (r->lost)
		return;
	if (r->error == 0)
		m = cri__container_status_response__unpack(&allocator, r->len, r->message);
	if (m)
		e->coming.pid = cri_status_pid(m->n_info, m->info);
	pool_done(&pool);
	cri_on_details(e->cri, e, &e->coming, false);
}

/* A sandbox without a process: a container has the same network and the pod's cgroup above it. */
static bool ask_container(struct cri *c, struct entry *e)
{
	Cri__ContainerStatusRequest request = CRI__CONTAINER_STATUS_REQUEST__INIT;

	for (size_t i = 0; i < e->pod.n_containers; i++) {
		if (e->pod.containers[i].state != CRI_RUNNING)
			continue;
		request.container_id = (char *)(uintptr_t)e->pod.containers[i].id;
		request.verbose = true;
		return call(c, SERVICE "ContainerStatus", &request.base, TIMEOUT_MS,
			    on_container_end, e, &e->call) == 0;
	}
	return false;
}

static void on_details_end(void *ctx, const struct grpc_result *r)
{
	struct pool pool = { .left = UNPACKED_MAX };
	ProtobufCAllocator allocator = allocator_of(&pool);
	Cri__PodSandboxStatusResponse *m = NULL;
	struct entry *e = ctx;
	struct cri *c = e->cri;

	e->call = 0;
	memset(&e->coming, 0, sizeof(e->coming));
	if (r->error == 0)
		m = cri__pod_sandbox_status_response__unpack(&allocator, r->len, r->message);
	if (m)
		cri_status_read(m, &e->coming);
	pool_done(&pool);
	if (r->lost)
		return; /* asked again once it is back */
	if (r->error && r->status != GRPC_NOT_FOUND)
		cri_trouble(c, "PodSandboxStatus", r);
	if (!m || e->coming.pid || !ask_container(c, e))
		cri_on_details(c, e, m ? &e->coming : NULL, r->status == GRPC_NOT_FOUND);
}

int cri_call_details(struct cri *c, struct entry *e)
{
	Cri__PodSandboxStatusRequest request = CRI__POD_SANDBOX_STATUS_REQUEST__INIT;

	request.pod_sandbox_id = (char *)(uintptr_t)e->pod.id;
	request.verbose = true;
	return call(c, SERVICE "PodSandboxStatus", &request.base, TIMEOUT_MS, on_details_end, e,
		    &e->call);
}

/* ---- events ---- */

static void on_event(void *ctx, const uint8_t *bytes, size_t len)
{
	cri_refresh(ctx); /* whatever it says: the lists tell it better */
}

static void on_events_end(void *ctx, const struct grpc_result *r)
{
	struct cri *c = ctx;

	c->streams = false; /* polled from now on, until the next connection */
	cri_refresh(c);
}

int cri_call_events(struct cri *c)
{
	struct grpc_call how = { .path = SERVICE "GetContainerEvents",
				 .on_message = on_event,
				 .on_end = on_events_end,
				 .ctx = c };
	uint32_t number;

	return grpc_client_call(c->client, &how, c->now, &number);
}
