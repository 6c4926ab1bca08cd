/* SPDX-License-Identifier: Apache-2.0 */
/* The network namespaces in which workloads have processes: each with listeners of every worker,
 * and a mirror of its routes.
 *
 * A namespace is found by the processes of a workload: when the first of them comes, a few times
 * soon after that, since whoever starts a container moves it step by step, and when the kernel
 * reports a socket in one that it does not know. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent_parts.h"

#define VISITS_MAX     12 /* each a quarter later than the one before: 4 ms, 5 ms ... about 200 ms */
#define VISIT_MS       4
#define ROUTES_REST_MS 100
#define STAYS_MAX      32 /* namespaces of one workload, which must not take everybody's */

/* ---- open and close one ---- */

static void on_rested(uv_timer_t *timer);

/* Who may change routes there must not keep us busy: the next change is looked at a moment later.
 */
static void on_route_change(uv_poll_t *handle, int status, int events)
{
	struct agent_netns *n = handle->data;
	struct agent *a = n->agent;

	(void)status;
	(void)events;
	if (routes_update(n->routes) < 0)
		agent_retry(a);
	uv_poll_stop(handle);
	n->resting = true;
	if (!uv_is_active((uv_handle_t *)&a->rest))
		uv_timer_start(&a->rest, on_rested, ROUTES_REST_MS, 0);
}

static void on_rested(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	for (struct agent_netns *n = a->netns; n; n = n->next) {
		if (n->resting)
			uv_poll_start(&n->changes, UV_READABLE, on_route_change);
		n->resting = false;
	}
}

static void netns_free(struct agent_netns *n)
{
	netns_unref(n->netns);
	free(n);
}

static void on_closed(uv_handle_t *handle)
{
	netns_free(handle->data);
}

/* Nobody has anything there any more. */
static void netns_close(struct agent *a, struct agent_netns *n)
{
	struct agent_netns **at = &a->netns;

	while (*at && *at != n)
		at = &(*at)->next;
	if (*at)
		*at = n->next;
	if (n->routed)
		uv_poll_stop(&n->changes);
	routes_close(n->routes);
	if (n->netns)
		steer_remove_netns(a->steer, n->netns->number);
	if (n->routed)
		uv_close((uv_handle_t *)&n->changes, on_closed);
	else
		netns_free(n);
}

static int register_netns(struct agent *a, struct agent_netns *n, int fd, struct error *err)
{
	uint32_t number;
	int r = steer_add_netns(a->steer, fd, &number, err);

	if (r < 0)
		return r;
	r = netns_new(a->home, fd, number, &n->netns);
	if (r < 0) {
		error_set(err, "%s", strerror(-r));
		steer_remove_netns(a->steer, number);
		return r;
	}
	n->cookie = steer_netns_cookie(a->steer, number);
	return 0;
}

/* The listeners come last: what they accept is told apart by the routes. */
static int netns_open(struct agent *a, struct agent_netns *n, int fd, struct error *err)
{
	int r = register_netns(a, n, fd, err);

	if (r == 0)
		r = routes_open(a->steer, n->netns->number, fd, &n->routes, err);
	if (r < 0)
		return r;
	if (routes_fd(n->routes) >= AGENT_DESCRIPTORS_MAX ||
	    uv_poll_init(&a->loop, &n->changes, routes_fd(n->routes)) < 0) {
		error_set(err, "too many open files");
		return -EMFILE;
	}
	n->routed = true;
	n->changes.data = n;
	uv_poll_start(&n->changes, UV_READABLE, on_route_change);
	return crew_add_netns(&a->crew, a->steer, n->netns, err);
}

static void say_unserved(struct agent *a, const char *why)
{
	if (!a->said_netns)
		fprintf(stderr,
			"sluice: a network namespace cannot be served: %s; what has to be read "
			"there is refused until it can\n",
			why);
	a->said_netns = true;
}

static struct agent_netns *add(struct agent *a, ino_t inode, int fd)
{
	struct agent_netns *n = calloc(1, sizeof(*n));
	struct error err = { "out of memory" };

	if (n) {
		n->agent = a;
		n->inode = inode;
		if (netns_open(a, n, fd, &err) == 0) {
			n->next = a->netns;
			a->netns = n;
			a->unadopted = true;
			agent_sweep_soon(a);
			agent_netns_let_in(a);
			return n;
		}
		netns_close(a, n);
	}
	say_unserved(a, err.text);
	agent_retry(a);
	return NULL;
}

/* ---- what comes in ---- */

int agent_netns_prepare_ingress(struct agent *a, const struct agent_plan *plan, struct error *err)
{
	for (size_t i = 0; i < plan->n_entries; i++)
		if (policy_l4_table(plan->rules[i].policy)->ingress_enforced)
			return steer_prepare_ingress(a->steer, err);
	return 0;
}

void agent_netns_let_in(struct agent *a)
{
	struct error err = { "" };
	bool was_shut = a->shut;

	a->shut = agent_netns_prepare_ingress(a, a->plan, &err) < 0;
	if (!a->shut)
		return;
	if (!was_shut)
		fprintf(stderr, "sluice: %s; what comes in there and has to be read is %s\n",
			err.text,
			a->plan->config->audit ? "not recorded until it can be"
					       : "refused until it can be");
	agent_retry(a);
}

/* ---- who is where ---- */

static struct agent_netns *find(const struct agent *a, ino_t inode)
{
	struct agent_netns *n = a->netns;

	while (n && (n->inode != inode || n->leaving))
		n = n->next;
	return n;
}

static bool is_leaving(const struct agent *a, ino_t inode)
{
	for (const struct agent_netns *n = a->netns; n; n = n->next)
		if (n->inode == inode && n->leaving)
			return true;
	return false;
}

static struct agent_stay *stay_of(struct agent_workload *w, const struct agent_netns *n)
{
	for (size_t i = 0; i < w->n_stays; i++)
		if (w->stays[i].netns == n)
			return &w->stays[i];
	return NULL;
}

static void stay(struct agent *a, struct agent_workload *w, struct agent_netns *n)
{
	struct agent_stay *s = stay_of(w, n), *more;

	if (!s) {
		more = realloc(w->stays, (w->n_stays + 1) * sizeof(*more));
		if (!more) {
			agent_retry(a);
			return;
		}
		w->stays = more;
		s = &w->stays[w->n_stays++];
		s->netns = n;
		n->users++;
	}
	s->seen = true;
}

static void unstay(struct agent_workload *w, size_t i)
{
	w->stays[i].netns->users--;
	w->stays[i] = w->stays[--w->n_stays];
}

struct visit {
	struct agent *agent;
	struct agent_workload *workload;
};

/* That of process PID, or NULL: it cannot be served, or the process has gone on. */
static struct agent_netns *add_of(struct agent *a, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct agent_netns *n = NULL;
	struct stat st;

	if (fd < 0) {
		if (errno != ENOENT && errno != ESRCH)
			agent_retry(a);
		return NULL;
	}
	if (fstat(fd, &st) == 0 && st.st_ino != a->home_inode) {
		n = find(a, st.st_ino);
		n = n ? n : add(a, st.st_ino, fd);
	}
	close(fd);
	return n;
}

static void on_pid(void *ctx, pid_t pid)
{
	const struct visit *v = ctx;
	struct agent *a = v->agent;
	struct agent_netns *n;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(path, &st) < 0 || st.st_ino == a->home_inode)
		return; /* it has ended, or is at home */
	n = find(a, st.st_ino);
	if (!n && is_leaving(a, st.st_ino)) {
		agent_retry(a); /* when it has left */
		return;
	}
	if (!n && v->workload->n_stays >= STAYS_MAX) {
		say_unserved(a, "a workload has processes in too many of them");
		return;
	}
	n = n ? n : add_of(a, path);
	if (n)
		stay(a, v->workload, n);
}

void agent_netns_visit(struct agent *a, struct agent_workload *w, bool tidy)
{
	struct visit v = { a, w };
	struct cgroup cg = { .fd = agent_open_cgroup(a, w->path) };

	if (cg.fd < 0)
		return; /* it is about to be known that it has gone */
	for (size_t i = 0; i < w->n_stays; i++)
		w->stays[i].seen = false;
	if (cgroup_each_pid(&cg, on_pid, &v) == 0 && tidy)
		for (size_t i = w->n_stays; i-- > 0;)
			if (!w->stays[i].seen)
				unstay(w, i);
	cgroup_done(&cg);
	agent_netns_progress(a);
}

void agent_netns_leave(struct agent *a, struct agent_workload *w)
{
	w->visits = 0;
	while (w->n_stays)
		unstay(w, w->n_stays - 1);
	agent_netns_progress(a);
}

void agent_netns_unknown(struct agent *a, const struct steer_event *e)
{
	struct agent_workload *w = agent_find(a, e->workload);
	struct visit v = { a, w };

	if (w && w->state < AGENT_WORKLOAD_GONE && e->pid)
		on_pid(&v, (pid_t)e->pid);
}

/* ---- leaving ---- */

/* The workers close what they have there, and then the number is free. */
void agent_netns_progress(struct agent *a)
{
	for (struct agent_netns *n = a->netns, *next; n; n = next) {
		next = n->next;
		/* What its workloads said before they ended is delivered first. */
		if (n->users == 0 && !n->leaving && netns_is_left(n->netns)) {
			n->leaving = crew_remove_netns(&a->crew, n->netns->number, &n->serial) == 0;
			if (!n->leaving)
				agent_retry(a);
		}
		if (n->leaving && crew_reached(&a->crew, n->serial, true))
			netns_close(a, n);
	}
}

/* ---- again, soon ---- */

static void on_visit(uv_timer_t *timer)
{
	struct agent *a = timer->data;
	uint64_t least = 0;

	for (struct agent_workload *w = a->workloads; w; w = w->next) {
		uint64_t wait = VISIT_MS;

		if (w->visits == 0)
			continue;
		agent_netns_visit(a, w, false);
		for (unsigned i = w->visits--; i < VISITS_MAX; i++)
			wait += wait / 2 + 1;
		if (w->visits && (least == 0 || wait < least))
			least = wait;
	}
	if (least)
		uv_timer_start(timer, on_visit, least, 0);
}

void agent_netns_visit_soon(struct agent *a, struct agent_workload *w)
{
	agent_netns_visit(a, w, false);
	w->visits = VISITS_MAX;
	uv_timer_start(&a->visit, on_visit, VISIT_MS, 0);
}

/* ---- all of it ---- */

void agent_netns_retry(struct agent *a)
{
	for (struct agent_netns *n = a->netns; n; n = n->next)
		if (n->routed && routes_update(n->routes) < 0)
			agent_retry(a);
	if (a->shut)
		agent_netns_let_in(a);
	agent_netns_progress(a);
}

int agent_netns_open(struct agent *a, struct error *err)
{
	struct stat st;
	int r = netns_home(&a->home);

	if (r == 0 && stat("/proc/self/ns/net", &st) == 0) {
		a->home_inode = st.st_ino;
		return 0;
	}
	r = r == 0 ? -errno : r;
	error_set(err, "cannot read /proc/self/ns/net: %s", strerror(-r));
	return r;
}

void agent_netns_close(struct agent *a)
{
	while (a->netns)
		netns_close(a, a->netns);
	netns_unref(a->home);
	a->home = NULL;
}
