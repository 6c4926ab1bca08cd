/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_netns.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "netns.h"
#include "worker.h"

static int open_all(struct worker_netns *wn, struct steer *steer, uint16_t ports[2],
		    struct error *err)
{
	for (int i = 0; i < WORKER_LISTENERS; i++) {
		int family = i % 2 ? AF_INET6 : AF_INET;
		struct listener *l = &wn->listeners[i];
		int r = i < 2 ? listener_open(l, wn->netns, steer, family, &ports[i], err)
			      : listener_open_inbound(l, wn->netns, steer, family, err);

		if (r == -EAFNOSUPPORT || (r == -EADDRNOTAVAIL && family == AF_INET6))
			continue; /* the programs refuse what would have to be steered to it */
		if (r < 0) {
			if (!err->text[0])
				error_set(err, "cannot listen on loopback: %s", strerror(-r));
			return r;
		}
	}
	return 0;
}

int worker_netns_new(struct netns *netns, struct steer *steer, uint16_t ports[2],
		     struct worker_netns **ret, struct error *err)
{
	struct worker_netns *wn = calloc(1, sizeof(*wn));
	int r;

	if (!wn) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	for (int i = 0; i < WORKER_LISTENERS; i++)
		wn->listeners[i].fd = -1;
	wn->netns = netns ? netns_ref(netns) : NULL;
	wn->number = netns ? netns->number : 0;
	r = open_all(wn, steer, ports, err);
	if (r < 0)
		worker_netns_free(wn);
	else
		*ret = wn;
	return r;
}

void worker_netns_free(struct worker_netns *wn)
{
	if (!wn)
		return;
	worker_netns_close(wn);
	netns_unref(wn->netns);
	free(wn);
}

int worker_netns_start(struct worker_netns *wn, struct worker *w)
{
	int ret = 0;

	for (int i = 0; i < WORKER_LISTENERS; i++) {
		int r = listener_start(&wn->listeners[i], w);

		if (ret == 0)
			ret = r;
	}
	return ret;
}

void worker_netns_tick(struct worker_netns *wn)
{
	for (int i = 0; i < WORKER_LISTENERS; i++)
		listener_tick(&wn->listeners[i]);
}

void worker_netns_close(struct worker_netns *wn)
{
	for (int i = 0; i < WORKER_LISTENERS; i++)
		listener_close(&wn->listeners[i]);
}

void worker_netns_enter(struct worker_netns *wn)
{
	wn->n_conns++;
	netns_enter(wn->netns);
}

void worker_netns_leave(struct worker_netns *wn, const struct worker *w)
{
	wn->n_conns--;
	if (netns_leave(wn->netns) && w->progress)
		uv_async_send(w->progress);
}

bool worker_netns_over(const struct worker_netns *wn)
{
	for (int i = 0; i < WORKER_LISTENERS; i++)
		if (wn->listeners[i].fd >= 0 || wn->listeners[i].closing)
			return false;
	return wn->n_conns == 0;
}
