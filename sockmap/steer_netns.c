/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces: which of them has which number. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "netns_socket.h"
#include "steer_private.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Of the network namespace of a socket. */
static int cookie_of_socket(int fd, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len) < 0 ? -errno : 0;
}

static int cookie_of(int netns_fd, uint64_t *ret)
{
	int fd = netns_socket_at(netns_fd, -1, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	r = cookie_of_socket(fd, ret);
	close(fd);
	return r;
}

static struct netns_slot *find(struct steer *s, uint64_t cookie)
{
	for (uint32_t i = 0; i < s->n_namespaces; i++)
		if (s->namespaces[i].config.cookie == cookie)
			return &s->namespaces[i];
	return NULL;
}

uint64_t steer_netns_cookie(const struct steer *s, uint32_t number)
{
	return number < s->n_namespaces ? s->namespaces[number].config.cookie : 0;
}

struct netns_slot *steer_netns_of(struct steer *s, int fd, struct error *err)
{
	struct netns_slot *ret;
	uint64_t cookie = 0;
	int r = cookie_of_socket(fd, &cookie);

	if (r < 0) {
		error_set(err,
			  "the kernel does not tell network namespaces apart (%s): Linux 6.1 "
			  "or newer is needed",
			  strerror(-r));
		return NULL;
	}
	ret = find(s, cookie);
	if (!ret)
		error_set(err, s->n_namespaces == 1
				       ? "all listeners must be in the network namespace of sluice"
				       : "the network namespace of a listener is not registered");
	return ret;
}

int steer_netns_fd(const struct steer *s, uint32_t inode)
{
	for (uint32_t i = 0; i < s->n_namespaces; i++)
		if (s->namespaces[i].config.cookie && s->namespaces[i].inode == inode)
			return s->namespaces[i].fd;
	return -1;
}

int steer_write_netns(struct steer *s, const struct netns_slot *n)
{
	uint32_t at = (uint32_t)(n - s->namespaces);

	return bpf_map_update_elem(bpf_map__fd(s->skel->maps.netns_configs), &at, &n->config,
				   BPF_ANY);
}

static void release(struct netns_slot *n)
{
	if (!n->config.cookie)
		return;
	steer_detach_lookup(n);
	close(n->fd);
	memset(n, 0, sizeof(*n));
}

/* FD is taken over. */
static int fill(struct steer *s, struct netns_slot *n, int fd, uint64_t cookie)
{
	uint32_t at = (uint32_t)(n - s->namespaces);
	struct stat st;
	int r;

	*n = (struct netns_slot){ .fd = fd, .routes = -1, .config.cookie = cookie };
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0) {
		n->inode = st.st_ino;
		r = steer_write_netns(s, n);
	}
	if (r == 0)
		r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.namespaces), &cookie, &at,
					BPF_ANY);
	if (r < 0)
		release(n);
	return r;
}

int steer_init_netns(struct steer *s)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), r;
	uint64_t cookie = 0;

	if (fd < 0)
		return -errno;
	r = cookie_of(fd, &cookie);
	if (r < 0) {
		close(fd);
		return r;
	}
	s->config.host = cookie;
	return fill(s, &s->namespaces[0], fd, cookie);
}

void steer_close_netns(struct steer *s)
{
	for (uint32_t i = 0; s->namespaces && i < s->n_namespaces; i++)
		release(&s->namespaces[i]);
}

/* ---- the others ---- */

static int register_netns(struct steer *s, struct netns_slot *n, int netns_fd, uint64_t cookie)
{
	int fd = fcntl(netns_fd, F_DUPFD_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	r = fill(s, n, fd, cookie);
	if (r == 0)
		steer_attach_lookup_to(s, n);
	else
		steer_remove_netns(s, (uint32_t)(n - s->namespaces));
	return r;
}

int steer_add_netns(struct steer *s, int netns_fd, uint32_t *number, struct error *err)
{
	uint64_t cookie = 0;
	struct netns_slot *n;
	int r = cookie_of(netns_fd, &cookie);

	if (r < 0) {
		error_set(err, "cannot enter a network namespace: %s", strerror(-r));
		return r;
	}
	n = find(s, cookie);
	if (n) {
		*number = (uint32_t)(n - s->namespaces);
		error_set(err, "the network namespace is registered already");
		return -EEXIST;
	}
	n = find(s, 0);
	if (!n) {
		error_set(err, "there are %u network namespaces, which is as many as may be",
			  s->n_namespaces);
		return -ENOSPC;
	}
	r = register_netns(s, n, netns_fd, cookie);
	if (r < 0) {
		error_set(err, "cannot tell the BPF programs of a network namespace: %s",
			  strerror(-r));
		return r;
	}
	*number = (uint32_t)(n - s->namespaces);
	return 0;
}

/* Listeners that are closed have left the map by themselves. */
static void clear_inbound(struct steer *s, const struct netns_slot *n)
{
	uint32_t at = (uint32_t)(n - s->namespaces) * INBOUND_SLOTS;
	int fd = bpf_map__fd(s->skel->maps.inbound);

	for (uint32_t i = 0; i < n->config.inbound4; i++, at++)
		bpf_map_delete_elem(fd, &at);
	at = (uint32_t)(n - s->namespaces) * INBOUND_SLOTS + INBOUND_MAX;
	for (uint32_t i = 0; i < n->config.inbound6; i++, at++)
		bpf_map_delete_elem(fd, &at);
}

/* From its name to what stands behind it. The kernel lets a change of ROUTES return only when no
 * program can have read what was before, so that nobody knows the number any more when it is free.
 */
void steer_remove_netns(struct steer *s, uint32_t number)
{
	static const struct netns_config none = { .cookie = 0 };
	struct netns_slot *n;

	if (number == 0 || number >= s->n_namespaces || !s->namespaces[number].config.cookie)
		return;
	n = &s->namespaces[number];
	steer_detach_lookup(n);
	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.namespaces), &n->config.cookie);
	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.unknown_netns), &n->config.cookie);
	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.routes), &number);
	clear_inbound(s, n);
	bpf_map_update_elem(bpf_map__fd(s->skel->maps.netns_configs), &number, &none, BPF_ANY);
	release(n);
}

int steer_netns_fd_of(const struct steer *s, uint32_t number, int *ret)
{
	if (number >= s->n_namespaces || !s->namespaces[number].config.cookie)
		return -ENOENT;
	*ret = number == 0 ? -1 : s->namespaces[number].fd;
	return 0;
}
