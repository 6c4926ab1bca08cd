/* SPDX-License-Identifier: Apache-2.0 */
#include "follow.h"
#include <errno.h>
#include <stdlib.h>
#include "reload_say.h"

int follow_init(struct follow *f, const struct follow_host *host, void *ctx)
{
	*f = (struct follow){ .host = host, .ctx = ctx };
	f->watch = watch_new();
	return f->watch || errno != ENOMEM ? 0 : -ENOMEM;
}

int follow_watch(struct follow *f)
{
	int r = f->host->watch(f->ctx, f->watch);

	if (r == 0 && !f->watch)
		r = -EMFILE;
	f->blind = r < 0;
	if (f->blind && !f->said_blind)
		reload_say_blind(r, FOLLOW_BLIND_MS / 1000);
	f->said_blind |= f->blind;
	return r;
}

/* ---- loading ---- */

static void loader_main(void *arg)
{
	struct follow *f = arg;

	f->host->load(f->ctx);
	uv_async_send(&f->done);
}

static void join_loader(struct follow *f)
{
	if (f->has_loader)
		uv_thread_join(&f->loader);
	f->has_loader = false;
}

static void on_done(uv_async_t *async)
{
	struct follow *f = async->data;

	if (!f->has_loader) /* it was waited for already */
		return;
	join_loader(f);
	f->host->loaded(f->ctx, 0);
}

static void start(struct follow *f)
{
	int r;

	f->changed = false;
	f->whole = f->touched;
	f->touched = false;
	if (f->whole)
		f->latest_ms = 0;
	if (f->whole && follow_watch(f) > 0) {
		f->host->refused(f->ctx);
		return;
	}
	f->busy = true;
	if (f->host->begin)
		f->host->begin(f->ctx);
	r = uv_thread_create(&f->loader, loader_main, f);
	f->has_loader = r == 0;
	if (r < 0)
		f->host->loaded(f->ctx, r);
}

void follow_otherwise(struct follow *f)
{
	if (f->busy)
		f->changed = true;
	else
		start(f);
}

void follow_now(struct follow *f)
{
	f->touched = true;
	follow_otherwise(f);
}

static void on_settled(uv_timer_t *timer)
{
	follow_now(timer->data);
}

void follow_idle(struct follow *f)
{
	f->busy = false;
	if (f->closing)
		return;
	if (f->changed)
		start(f);
	else if ((f->blind || f->short_of) && !uv_is_active((uv_handle_t *)&f->settle))
		uv_timer_start(&f->settle, on_settled, FOLLOW_BLIND_MS, 0);
}

/* ---- noticing ---- */

static void on_news(uv_poll_t *handle, int status, int events)
{
	struct follow *f = handle->data;
	enum watch_news news = watch_read(f->watch);
	uint64_t now = uv_now(f->loop), at;

	(void)status;
	(void)events;
	if (news == WATCH_NOTHING)
		return;
	if (!f->latest_ms)
		f->latest_ms = now + FOLLOW_LATEST_MS;
	at = now + (news == WATCH_SETTLED ? FOLLOW_SETTLED_MS : FOLLOW_UNSETTLED_MS);
	if (at > f->latest_ms)
		at = f->latest_ms;
	uv_timer_start(&f->settle, on_settled, at > now ? at - now : 0, 0);
}

/* ---- from beginning to end ---- */

void follow_begin(struct follow *f, uv_loop_t *loop)
{
	f->loop = loop;
	if (uv_async_init(loop, &f->done, on_done) < 0 ||
	    (f->watch && (uv_poll_init(loop, &f->news, watch_fd(f->watch)) < 0 ||
			  uv_poll_start(&f->news, UV_READABLE, on_news) < 0)))
		abort(); /* a good descriptor and fresh handles */
	uv_timer_init(loop, &f->settle);
	f->done.data = f->news.data = f->settle.data = f;
	f->begun = true;
	if (f->blind)
		uv_timer_start(&f->settle, on_settled, FOLLOW_BLIND_MS, 0);
}

void follow_end(struct follow *f)
{
	if (!f->begun || f->closing)
		return;
	f->closing = true;
	if (f->watch)
		uv_close((uv_handle_t *)&f->news, NULL);
	uv_close((uv_handle_t *)&f->settle, NULL);
	uv_close((uv_handle_t *)&f->done, NULL);
	join_loader(f);
}

void follow_done(struct follow *f)
{
	watch_free(f->watch);
	f->watch = NULL;
}
