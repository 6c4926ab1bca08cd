/* SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "netns_socket.h"

/* FD is taken over. */
static int make(struct netns *home, int fd, uint32_t number, struct netns **ret)
{
	struct netns *n = calloc(1, sizeof(*n));

	if (!n) {
		close(fd);
		return -ENOMEM;
	}
	atomic_init(&n->refs, 1);
	n->number = number;
	n->fd = fd;
	n->home = home ? netns_ref(home) : NULL;
	*ret = n;
	return 0;
}

int netns_home(struct netns **ret)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : make(NULL, fd, 0, ret);
}

int netns_new(struct netns *home, int fd, uint32_t number, struct netns **ret)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return own < 0 ? -errno : make(home, own, number, ret);
}

struct netns *netns_ref(struct netns *n)
{
	atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
	return n;
}

void netns_unref(struct netns *n)
{
	if (!n || atomic_fetch_sub(&n->refs, 1) > 1)
		return;
	netns_unref(n->home);
	close(n->fd);
	free(n);
}

void netns_enter(struct netns *n)
{
	if (n)
		atomic_fetch_add(&n->conns, 1);
}

bool netns_leave(struct netns *n)
{
	return n && atomic_fetch_sub(&n->conns, 1) == 1 && atomic_load(&n->awaited);
}

bool netns_is_left(struct netns *n)
{
	atomic_store(&n->awaited, true); /* before the look, so that none leaves unseen */
	return atomic_load(&n->conns) == 0;
}

int netns_socket(const struct netns *n, int family, int type, int protocol)
{
	int fd;

	if (n && n->home)
		return netns_socket_at(n->fd, n->home->fd, family, type, protocol);
	fd = socket(family, type, protocol);
	return fd < 0 ? -errno : fd;
}
