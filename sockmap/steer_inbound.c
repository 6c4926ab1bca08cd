/* SPDX-License-Identifier: Apache-2.0 */
/* The way in: the program of the network namespace, the listeners that it hands clients to, and our
 * legs to the workload's servers. And which namespace that is. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "steer_private.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

_Static_assert(STEER_INBOUND_MAX == INBOUND_MAX, "as many as the map holds");

int steer_socket_name(int fd, struct endpoint *ret)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	if (ss.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;

		*ret = endpoint_ipv4(in->sin_addr.s_addr, ntohs(in->sin_port));
	} else if (ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
		const uint32_t *ip = in6->sin6_addr.s6_addr32;

		*ret = endpoint_ipv6(ip[0], ip[1], ip[2], ip[3], ntohs(in6->sin6_port));
	} else {
		return -EAFNOSUPPORT;
	}
	return 0;
}

int steer_cookie_of(int fd, uint64_t *ret)
{
	int own = fd < 0 ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1, r = 0;
	socklen_t len = sizeof(*ret);

	if (fd < 0 && own < 0)
		return -errno;
	*ret = 0;
	if (getsockopt(fd < 0 ? own : fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len) < 0)
		r = -errno;
	if (own >= 0)
		close(own);
	return r;
}

int steer_check_netns(const struct steer *s, int fd, struct error *err)
{
	uint64_t cookie = 0;
	int r = steer_cookie_of(fd, &cookie);

	if (r < 0) {
		error_set(err,
			  "the kernel does not tell network namespaces apart (%s): Linux 5.15 "
			  "or newer is needed",
			  strerror(-r));
		return r;
	}
	if (s->netns == cookie)
		return 0;
	error_set(err, "all listeners must be in the network namespace of sluice");
	return -EXDEV;
}

int steer_attach_lookup(struct steer *s)
{
	struct bpf_program *program = s->skel->progs.steer_lookup;
	int netns, r;

	if (s->lookup || !s->config.ingress)
		return 0;
	netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return -errno;
	s->lookup = bpf_program__attach_netns(program, netns);
	r = s->lookup ? 0 : -errno;
	close(netns);
	if (r == 0)
		r = steer_pin_link(s, s->lookup, bpf_program__name(program));
	if (r < 0) {
		bpf_link__destroy(s->lookup);
		s->lookup = NULL;
	}
	return r;
}

/* First into the map, then counted: the programs find no gap. */
static int put_inbound(struct steer *s, int fd, uint8_t family)
{
	uint32_t *n = family == WIRE_IPV4 ? &s->config.inbound4 : &s->config.inbound6;
	uint32_t at = (family == WIRE_IPV4 ? 0 : INBOUND_MAX) + *n, ours = OURS_LISTENER;
	uint64_t socket = (uint64_t)fd;
	int r;

	if (*n == INBOUND_MAX)
		return -E2BIG;
	r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.inbound), &at, &socket, BPF_ANY);
	if (r == 0)
		r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.listeners), &fd, &ours, BPF_ANY);
	if (r < 0)
		return r;
	*n += 1;
	return steer_write_config(s);
}

int steer_add_inbound(struct steer *s, int fd, struct error *err)
{
	struct endpoint name = { .family = 0 };
	int r = steer_socket_name(fd, &name);

	if (r == 0)
		r = steer_check_netns(s, fd, err);
	if (r == 0)
		r = put_inbound(s, fd, name.family);
	if (r < 0 && !err->text[0])
		error_set(err, "cannot tell the BPF programs of a listener for ingress: %s",
			  strerror(-r));
	return r;
}

/* As route_of() in judge.bpf.h. */
static bool is_local(struct steer *s, const struct address *a)
{
	struct endpoint e = endpoint_from_address(a);
	struct lpm_key key;
	uint32_t kind;

	if (endpoint_is_loopback(&e))
		return true;
	if (!s->config.routes_loaded)
		return false;
	lpm_key_route(&key, &e);
	return bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.routes), &key, &kind) == 0 &&
	       kind == ROUTE_LOCAL;
}

/* As the program of the namespace has found it, which handed the client to us. -ENOENT: it has not,
 * or that workload is gone. */
static int workload_at(struct steer *s, const struct place_key *key, uint64_t *ret)
{
	struct workload_config w;
	struct listening_place p;
	uint32_t slot;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.listening), key, &p) < 0 ||
	    !place_is_held(&p))
		return -EAGAIN; /* perhaps at another place */
	slot = (uint32_t)p.memo;
	if (slot < SLOT_FIRST ||
	    bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.workloads), &slot, &w) < 0 || !w.serial ||
	    (uint32_t)(p.memo >> 32) < w.since)
		return -ENOENT;
	*ret = (uint64_t)w.serial << 32 | slot;
	return 0;
}

static int server_of(struct steer *s, const struct address *server, uint64_t *ret)
{
	struct place_key key;
	int r;

	memset(&key, 0, sizeof(key));
	key.netns = s->netns;
	key.at = endpoint_from_address(server);
	r = workload_at(s, &key, ret);
	if (r != -EAGAIN)
		return r;
	memset(key.at.ip, 0, sizeof(key.at.ip));
	r = workload_at(s, &key, ret);
	return r == -EAGAIN ? -ENOENT : r;
}

int steer_client(struct steer *s, uint32_t netns, const struct address *client,
		 const struct address *server, struct flow *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->netns = netns;
	ret->client = *client;
	ret->destination = *server;
	ret->local = is_local(s, client);
	ret->ingress = true;
	return server_of(s, server, &ret->workload);
}

static struct leg_key leg_key_of(const struct steer *s, const struct flow *flow)
{
	struct leg_key key;

	memset(&key, 0, sizeof(key));
	key.netns = s->netns;
	key.leg = endpoint_from_address(&flow->source);
	key.server = endpoint_from_address(&flow->destination);
	return key;
}

int steer_add_leg(struct steer *s, int fd, const struct flow *flow)
{
	struct endpoint client = endpoint_from_address(&flow->client);
	struct leg_key key = leg_key_of(s, flow);
	uint32_t ours = OURS_LEG;
	int r;

	r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.listeners), &fd, &ours, BPF_ANY);
	if (r < 0)
		return r;
	return bpf_map_update_elem(bpf_map__fd(s->skel->maps.legs), &key, &client, BPF_ANY);
}

void steer_remove_leg(struct steer *s, const struct flow *flow)
{
	struct leg_key key = leg_key_of(s, flow);

	if (flow->source.family)
		bpf_map_delete_elem(bpf_map__fd(s->skel->maps.legs), &key);
}
