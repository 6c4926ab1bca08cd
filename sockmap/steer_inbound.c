/* SPDX-License-Identifier: Apache-2.0 */
/* The way in: the listeners to which clients are handed, and our legs to the workloads' servers. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "steer_private.h"

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

/* First into the map, then counted: the programs find no gap. */
static int put_inbound(struct steer *s, struct netns_slot *here, int fd, uint8_t family)
{
	uint32_t *n = family == WIRE_IPV4 ? &here->config.inbound4 : &here->config.inbound6;
	uint32_t at = (uint32_t)(here - s->namespaces) * INBOUND_SLOTS +
		      (family == WIRE_IPV4 ? 0 : INBOUND_MAX) + *n;
	uint32_t ours = OURS_LISTENER;
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
	return steer_write_netns(s, here);
}

int steer_add_inbound(struct steer *s, int fd, struct error *err)
{
	struct endpoint name = { .family = 0 };
	struct netns_slot *here;
	int r = steer_socket_name(fd, &name);

	if (r == 0) {
		here = steer_netns_of(s, fd, err);
		r = here ? put_inbound(s, here, fd, name.family) : -EXDEV;
	}
	if (r < 0 && !err->text[0])
		error_set(err, "cannot tell the BPF programs of a listener for ingress: %s",
			  strerror(-r));
	return r;
}

static bool is_local_in(const struct steer *s, uint32_t number, const struct endpoint *e)
{
	struct lpm_key key;
	uint32_t kind;

	if (s->namespaces[number].routes < 0)
		return false;
	lpm_key_route(&key, e);
	return bpf_map_lookup_elem(s->namespaces[number].routes, &key, &kind) == 0 &&
	       kind == ROUTE_LOCAL;
}

/* The host's address, as standing_of() in judge.bpf.h says. */
static bool is_host(const struct steer *s, uint32_t number, const struct address *a)
{
	struct endpoint e = endpoint_from_address(a);

	return endpoint_is_loopback(&e) ? number == 0 : is_local_in(s, 0, &e);
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
	slot = (uint32_t)p.found;
	if (slot < SLOT_FIRST ||
	    bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.workloads), &slot, &w) < 0 || !w.serial ||
	    (uint32_t)(p.found >> 32) < w.since)
		return -ENOENT;
	*ret = (uint64_t)w.serial << 32 | slot;
	return 0;
}

static int server_of(struct steer *s, uint32_t netns, const struct address *server, uint64_t *ret)
{
	struct place_key key;
	int r;

	memset(&key, 0, sizeof(key));
	key.netns = steer_netns_cookie(s, netns);
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
	ret->local = is_host(s, netns, client);
	ret->ingress = true;
	return server_of(s, netns, server, &ret->workload);
}

static struct leg_key leg_key_of(const struct steer *s, const struct flow *flow)
{
	struct leg_key key;

	memset(&key, 0, sizeof(key));
	key.netns = steer_netns_cookie(s, flow->netns);
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
