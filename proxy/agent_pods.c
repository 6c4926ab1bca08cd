/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_pods.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "agent_parts.h"

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* ---- what is told ---- */

static struct pod **find(struct pod **list, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i]->id, id) == 0)
			return &list[i];
	return NULL;
}

static struct pod **find_told(struct agent_pods *p, const char *id)
{
	return find(p->told, p->n_told, id);
}

static void drop(struct pod ***list, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		pod_unref((*list)[i]);
	free(*list);
	*list = NULL;
	*n = 0;
}

static void forget(struct agent_pods *p, struct pod **at)
{
	if (!at)
		return;
	pod_unref(*at);
	*at = p->told[--p->n_told];
	p->changed = true;
}

static int keep(struct agent_pods *p, struct pod **at, struct pod *pod)
{
	struct pod **longer;

	if (at) {
		pod_unref(*at);
		*at = pod;
		return 0;
	}
	longer = realloc(p->told, (p->n_told + 1) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	p->told = longer;
	p->told[p->n_told++] = pod;
	return 0;
}

static int tell(struct agent_pods *p, const struct cri_pod *from)
{
	struct pod **at = find_told(p, from->id), *pod;
	struct pod **old = at ? at : find(p->before, p->n_before, from->id);
	int r = pod_new(from, old ? *old : NULL, &pod);

	if (r < 0)
		return r;
	if (at && pod_same(*at, pod)) {
		pod_unref(pod);
		return 0;
	}
	r = keep(p, at, pod);
	if (r < 0)
		pod_unref(pod);
	else
		p->changed = true;
	return r;
}

static void on_pod(void *ctx, enum cri_news news, const struct cri_pod *pod)
{
	struct agent *a = ctx;
	struct agent_pods *p = &a->pods;

	if (news == CRI_VANISHED)
		forget(p, find_told(p, pod->id));
	else
		p->lacking |= tell(p, pod) < 0;
}

static void on_synced(void *ctx, const char *runtime)
{
	struct agent *a = ctx;
	struct agent_pods *p = &a->pods;

	snprintf(p->runtime, sizeof(p->runtime), "%s", runtime);
	if (p->trouble[0])
		fprintf(stderr, "sluice: the container runtime answers: %s\n", runtime);
	p->trouble[0] = '\0';
	p->synced = true;
	p->changed |= p->anew;
	p->anew = false;
	drop(&p->before, &p->n_before);
}

/* Once for the same: it is dialled again and again. */
static void on_trouble(void *ctx, const char *what)
{
	struct agent *a = ctx;
	struct agent_pods *p = &a->pods;

	if (strncmp(p->trouble, what, sizeof(p->trouble) - 1) != 0)
		fprintf(stderr, "sluice: %s: %s; pods that are known stay held\n",
			a->plan->config->pods.runtime, what);
	snprintf(p->trouble, sizeof(p->trouble), "%s", what);
}

/* ---- the connection ---- */

static void on_descriptor(void *ctx, int fd)
{
	struct agent *a = ctx;
	struct agent_pods *p = &a->pods;
	struct epoll_event e = { .data.fd = fd };

	if (p->fd >= 0)
		epoll_ctl(p->epoll, EPOLL_CTL_DEL, p->fd, NULL);
	p->fd = fd;
	p->events = 0;
	p->synced = false;
	/* If that fails nothing is heard, which the client finds out in time. */
	if (fd >= 0)
		epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e);
}

static const struct cri_watcher watcher = {
	.on_pod = on_pod,
	.on_synced = on_synced,
	.on_trouble = on_trouble,
	.on_descriptor = on_descriptor,
};

/* What epoll calls events, poll() does, too. */
static void set_events(struct agent_pods *p)
{
	struct epoll_event e = { .data.fd = p->fd };
	short events = p->fd >= 0 ? cri_events(p->cri) : 0;

	if (p->fd < 0 || events == p->events)
		return;
	e.events = (uint32_t)events;
	if (epoll_ctl(p->epoll, EPOLL_CTL_MOD, p->fd, &e) == 0)
		p->events = events;
}

/* Let the client do what there is to do, without waiting. */
static void serve(struct agent_pods *p)
{
	struct epoll_event e = { 0 };

	if (epoll_wait(p->epoll, &e, 1, 0) > 0)
		cri_on_ready(p->cri, (short)e.events, now_ms());
	if (cri_deadline(p->cri) <= now_ms())
		cri_on_time(p->cri, now_ms());
	set_events(p);
}

/* All of it anew: what was told and could not be kept is told once more. Until then everything is
 * as it was. */
static void start_again(struct agent *a)
{
	struct agent_pods *p = &a->pods;
	const struct cri_options options = { .path = a->plan->config->pods.runtime };
	struct cri *cri;

	if (cri_new(&options, &watcher, a, &cri) < 0)
		return;
	on_descriptor(a, -1);
	cri_free(p->cri);
	p->cri = cri;
	p->lacking = false;
	if (p->anew) {
		drop(&p->told, &p->n_told);
		return;
	}
	p->anew = true;
	p->before = p->told;
	p->n_before = p->n_told;
	p->told = NULL;
	p->n_told = 0;
}

/* ---- the list ---- */

/* Is there a cgroup of which it is not known whose it is? */
static bool is_asked_for(const struct agent *a)
{
	for (const struct agent_workload *w = a->workloads; w; w = w->next)
		if (w->state < AGENT_WORKLOAD_GONE &&
		    a->plan->entries[w->entry].kind == AGENT_UNKNOWN_POD)
			return true;
	return false;
}

static void make_list(struct agent_pods *p)
{
	struct pod_list *list;

	if (pod_list_new(p->told, p->n_told, &list) < 0) {
		p->lacking = true;
		return;
	}
	pod_list_unref(p->list);
	p->list = list;
	p->changed = false;
}

static void on_time(uv_timer_t *timer);

static void go_on(struct agent *a)
{
	struct agent_pods *p = &a->pods;
	uint64_t now = now_ms(), next;

	if (p->eager_until > now && is_asked_for(a))
		cri_refresh(p->cri);
	if (p->changed && !p->anew) {
		make_list(p);
		if (!p->changed)
			agent_reload_pods(a);
	}
	next = cri_deadline(p->cri);
	next = next > now ? next - now : 0;
	if ((p->lacking || p->changed) && next > AGENT_PODS_AGAIN_MS)
		next = AGENT_PODS_AGAIN_MS;
	uv_timer_start(&p->timer, on_time, next, 0);
}

static void on_time(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	if (a->pods.lacking)
		start_again(a);
	serve(&a->pods);
	go_on(a);
}

static void on_news(uv_poll_t *handle, int status, int events)
{
	struct agent *a = handle->data;

	(void)status;
	(void)events;
	serve(&a->pods);
	go_on(a);
}

void agent_pods_hurry(struct agent *a)
{
	struct agent_pods *p = &a->pods;

	if (!p->begun || a->ending)
		return;
	p->eager_until = now_ms() + AGENT_PODS_EAGER_MS;
	uv_timer_start(&p->timer, on_time, 0, 0);
}

/* ---- from beginning to end ---- */

/* Nothing is held yet, so there is time. */
static void wait_for_it(struct agent *a)
{
	struct agent_pods *p = &a->pods;
	uint64_t until = now_ms() + AGENT_PODS_WAIT_MS;

	for (uint64_t now = now_ms(); !p->synced && now < until; now = now_ms()) {
		struct pollfd ready = { .fd = p->epoll, .events = POLLIN };
		uint64_t next = cri_deadline(p->cri);

		if (next > until)
			next = until;
		poll(&ready, 1, next > now ? (int)(next - now) : 0);
		serve(p);
	}
	if (!p->synced)
		fprintf(stderr,
			"sluice: the container runtime at %s does not answer; what may be a pod is "
			"%s until it does\n",
			a->plan->config->pods.runtime,
			a->plan->config->pods.hold ? "refused everything" : "left alone");
}

/* The plan that was loaded knows of none. */
static int take_first(struct agent *a, struct error *err)
{
	struct agent_plan *plan;
	struct diag diag = { 0 };
	int r;

	make_list(&a->pods);
	if (!a->pods.list) {
		error_set(err, "out of memory for the pods");
		return -ENOMEM;
	}
	r = agent_plan_renew(a->plan, a->pods.list, &plan, &diag);
	diag_print(&diag, stderr);
	diag_done(&diag);
	if (r < 0) {
		error_set(err, "cannot make policies for the pods: %s", strerror(-r));
		return r;
	}
	agent_plan_free(a->plan);
	a->plan = plan;
	return 0;
}

int agent_pods_open(struct agent *a, struct error *err)
{
	struct agent_pods *p = &a->pods;
	const struct cri_options options = { .path = a->plan->config->pods.runtime };

	p->fd = p->epoll = -1;
	if (!a->plan->config->pods.wanted)
		return 0;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0) {
		error_set(err, "epoll: %s", strerror(errno));
		return -errno;
	}
	if (cri_new(&options, &watcher, a, &p->cri) < 0) {
		error_set(err, "out of memory for the container runtime");
		return -ENOMEM;
	}
	wait_for_it(a);
	return take_first(a, err);
}

void agent_pods_begin(struct agent *a)
{
	struct agent_pods *p = &a->pods;

	if (!p->cri)
		return;
	if (uv_poll_init(&a->loop, &p->news, p->epoll) < 0 ||
	    uv_poll_start(&p->news, UV_READABLE, on_news) < 0)
		abort(); /* a good descriptor and a fresh handle */
	uv_timer_init(&a->loop, &p->timer);
	p->news.data = p->timer.data = a;
	p->begun = true;
	go_on(a);
}

void agent_pods_end(struct agent *a)
{
	struct agent_pods *p = &a->pods;

	if (!p->begun)
		return;
	uv_close((uv_handle_t *)&p->news, NULL);
	uv_close((uv_handle_t *)&p->timer, NULL);
	p->begun = false;
}

void agent_pods_done(struct agent *a)
{
	struct agent_pods *p = &a->pods;

	cri_free(p->cri);
	p->cri = NULL;
	drop(&p->told, &p->n_told);
	drop(&p->before, &p->n_before);
	pod_list_unref(p->list);
	p->list = NULL;
	if (p->epoll > 0)
		close(p->epoll);
	p->epoll = 0;
}
