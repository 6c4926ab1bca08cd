/* SPDX-License-Identifier: Apache-2.0 */
#include "pods_stage.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "require.h"

struct cri {
	struct pods_stage *stage;
	const struct cri_watcher *watcher;
};

/* ---- the clock, which goes on when somebody waits ---- */

static uint64_t passed_ms;

uint64_t __wrap_uv_hrtime(void);
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms);

uint64_t __wrap_uv_hrtime(void)
{
	return (1000 + passed_ms) * 1000000;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
	(void)fds;
	(void)n;
	assert_true(ms >= 0);
	passed_ms += (unsigned)ms;
	return 0;
}

uint64_t pods_stage_clock(void)
{
	return passed_ms;
}

void pods_stage_clock_on(unsigned ms)
{
	passed_ms += ms;
}

/* ---- the client ---- */

int cri_new(const struct cri_options *options, const struct cri_watcher *watcher, void *ctx,
	    struct cri **ret)
{
	struct pods_stage *s = ctx;
	struct cri *c = calloc(1, sizeof(*c));

	assert_string_equal(options->path, "/run/runtime");
	if (!c)
		return -ENOMEM;
	*c = (struct cri){ .stage = s, .watcher = watcher };
	s->made++;
	*ret = c;
	return 0;
}

void cri_free(struct cri *c)
{
	free(c);
}

short cri_events(const struct cri *c)
{
	(void)c;
	return POLLIN;
}

uint64_t cri_deadline(const struct cri *c)
{
	const struct pods_stage *s = c->stage;

	if (s->silent)
		return CRI_NEVER;
	return s->tells ? 0 : 1001 + passed_ms; /* a turn of the loop later */
}

void cri_refresh(struct cri *c)
{
	c->stage->asked++;
}

static void tell_pod(const struct cri *c, const char *text, enum cri_news news)
{
	const char id[2] = { text[0], '\0' };
	char uid[64];
	struct cri_pod pod = {
		.id = id,
		.name = id,
		.namespace = "shop",
		.uid = uid,
		.ready = true,
		.status = { .known = true },
	};

	if (text[1] >= '0' && text[1] <= '9') {
		pod.status.n_addresses = 1;
		pod.status.addresses[0] =
			(struct address){ .family = AF_INET,
					  .ip = { 10, 0, 0, (uint8_t)(text[1] - '0') } };
	}
	snprintf(uid, sizeof(uid), "11111111-2222-3333-4444-55555555555%s", id);
	if (!strchr(text, '!'))
		snprintf(pod.status.cgroup_parent, sizeof(pod.status.cgroup_parent),
			 "/kubepods/pod%s", uid);
	c->watcher->on_pod(c->stage, news, &pod);
}

static void say(struct cri *c)
{
	struct pods_stage *s = c->stage;
	char text[256], *rest = text, *word;

	if (!s->tells)
		return;
	snprintf(text, sizeof(text), "%s", s->tells);
	s->tells = NULL;
	while ((word = strsep(&rest, " "))) {
		switch (word[0]) {
		case '-':
			tell_pod(c, word + 1, CRI_VANISHED);
			break;
		case '.':
			c->watcher->on_synced(s, "fake 1.0");
			break;
		case '?':
			c->watcher->on_trouble(s, "it is asleep");
			break;
		case '@':
			c->watcher->on_descriptor(s, s->line[0]);
			break;
		case '~':
			c->watcher->on_descriptor(s, -1);
			break;
		default:
			tell_pod(c, word, CRI_APPEARED);
		}
	}
}

void cri_on_time(struct cri *c, uint64_t now)
{
	(void)now;
	say(c);
}

void cri_on_ready(struct cri *c, short revents, uint64_t now)
{
	char byte;

	(void)now;
	assert_int_equal(revents, POLLIN);
	assert_int_equal(read(c->stage->line[0], &byte, 1), 1);
	say(c);
}

/* ---- the rest of the agent ---- */

static void write_list(const struct pod_list *list, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; list && i < list->n; i++) {
		const struct pod *p = list->items[i];

		at += (size_t)snprintf(buf + at, size - at, "%s%s", i > 0 ? " " : "", p->name);
		if (p->n_addresses > 0)
			at += (size_t)snprintf(buf + at, size - at, "%u", p->addresses[0].ip[3]);
		if (p->n_cgroups == 0)
			at += (size_t)snprintf(buf + at, size - at, "!");
		REQUIRE(at < size);
	}
}

void agent_reload_pods(struct agent *a)
{
	struct pods_stage *s = (struct pods_stage *)a;
	size_t at = strlen(s->reloads);

	write_list(a->pods.list, s->reloads + at, sizeof(s->reloads) - at - 1);
	strcat(s->reloads, ";");
}

int agent_plan_renew(const struct agent_plan *before, struct pod_list *pods,
		     struct agent_plan **ret, struct diag *diag)
{
	(void)diag;
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	**ret = *before;
	(*ret)->pods = pod_list_ref(pods);
	return 0;
}

/* The first one is the stage's own. */
void agent_plan_free(struct agent_plan *p)
{
	if (!p->pods)
		return;
	pod_list_unref(p->pods);
	free(p);
}

/* ---- the stage ---- */

void pods_stage_prepare(struct pods_stage *s, const char *tells)
{
	memset(s, 0, sizeof(*s));
	passed_ms = 0;
	s->tells = tells;
	s->config.pods = (struct agent_pods_config){ .wanted = true, .runtime = "/run/runtime" };
	s->plan.config = &s->config;
	s->a.plan = &s->plan;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->line), 0);
	assert_int_equal(uv_loop_init(&s->a.loop), 0);
}

void pods_stage_begin(struct pods_stage *s, const char *tells)
{
	struct error err = { "" };

	pods_stage_prepare(s, tells);
	assert_int_equal(agent_pods_open(&s->a, &err), 0);
	agent_pods_begin(&s->a);
}

void pods_stage_finish(struct pods_stage *s)
{
	agent_pods_end(&s->a);
	uv_run(&s->a.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->a.loop), 0);
	agent_pods_done(&s->a);
	agent_plan_free(s->a.plan);
	close(s->line[0]);
	close(s->line[1]);
}

void pods_stage_check_list(const struct pods_stage *s, const char *want)
{
	char buf[256];

	write_list(s->a.pods.list, buf, sizeof(buf));
	assert_string_equal(buf, want);
}

void pods_stage_settle(struct pods_stage *s)
{
	s->silent = true;
	while (uv_timer_get_due_in(&s->a.pods.timer) <= 1000)
		uv_run(&s->a.loop, UV_RUN_NOWAIT);
}

void pods_stage_hear(struct pods_stage *s, const char *tells)
{
	s->tells = tells;
	while (s->tells)
		uv_run(&s->a.loop, UV_RUN_ONCE);
}
