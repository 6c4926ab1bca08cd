/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, and the records of the connections that they accept. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include "steer_private.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* A client that closed before it was accepted leaves TIME_WAIT behind, which keeps its port from
 * being used again for at least one second (tcp_tw_reuse). Its record is believed for less. */
#define CLOSED_VALID_NS 900000000ull

static int listener_name(int fd, struct endpoint *ret)
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

/* 127.0.0.1 or ::1 exactly: nothing else is what the programs rewrite to. */
static bool is_our_place(const struct endpoint *e)
{
	if (!e->port || e->mapped)
		return false;
	return e->family == WIRE_IPV4 ? e->ip[0] == DECIDE_LOOPBACK : endpoint_is_loopback(e);
}

static int netns_cookie(struct steer *s, int fd, struct error *err)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0) {
		int r = -errno;

		error_set(err,
			  "the kernel does not tell network namespaces apart (%s): Linux 5.15 "
			  "or newer is needed",
			  strerror(-r));
		return r;
	}
	if (s->netns && s->netns != cookie) {
		error_set(err, "all listeners must be in one network namespace");
		return -EXDEV;
	}
	s->netns = cookie;
	return 0;
}

int steer_add_listener(struct steer *s, int fd, struct error *err)
{
	struct endpoint name = { .family = 0 };
	uint32_t one = 1;
	uint16_t *port;
	int r;

	r = listener_name(fd, &name);
	if (r < 0 || !is_our_place(&name)) {
		error_set(err, "a listener must be bound to 127.0.0.1 or ::1");
		return r < 0 ? r : -EINVAL;
	}
	port = name.family == WIRE_IPV4 ? &s->config.port4 : &s->config.port6;
	if (*port && *port != name.port) {
		error_set(err, "all listeners of one family must share one port");
		return -EINVAL;
	}
	r = netns_cookie(s, fd, err);
	if (r < 0)
		return r;
	r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.listeners), &fd, &one, BPF_ANY);
	if (r == 0) {
		*port = name.port;
		r = steer_write_config(s);
	}
	if (r < 0)
		error_set(err, "cannot tell the BPF programs of a listener: %s", strerror(-r));
	return r;
}

static int flow_key_of(const struct steer *s, const struct address *client, struct flow_key *ret)
{
	struct endpoint e = endpoint_from_address(client);

	if (!e.family || !s->netns)
		return -ENOENT;
	memset(ret, 0, sizeof(*ret));
	ret->netns = s->netns;
	memcpy(ret->ip, e.ip, sizeof(ret->ip));
	ret->port = e.port;
	ret->family = e.family;
	return 0;
}

static bool still_valid(const struct flow_record *record)
{
	struct timespec now;

	if (!record->closed)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec - record->closed <
	       CLOSED_VALID_NS;
}

/* Both look-ups delete in the same step, so that a record is taken once, whoever asks. Between the
 * two the client may close, which moves the record from the first map to the second: never back. */
static int take_record(struct steer *s, const struct flow_key *key, struct flow_record *ret)
{
	if (bpf_map_lookup_and_delete_elem(bpf_map__fd(s->skel->maps.flows), key, ret) == 0)
		return 0;
	if (bpf_map_lookup_and_delete_elem(bpf_map__fd(s->skel->maps.flows_closed), key, ret) == 0)
		return still_valid(ret) ? 0 : -ENOENT;
	return -ENOENT;
}

int steer_take(struct steer *s, const struct address *client, struct flow *ret)
{
	struct flow_record record;
	struct flow_key key;
	int r;

	r = flow_key_of(s, client, &key);
	if (r < 0)
		return r;
	r = take_record(s, &key, &record);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->client = *client;
	ret->destination = address_from_endpoint(&record.destination);
	ret->source = address_from_endpoint(&record.source);
	ret->device = record.device;
	ret->local = record.flags & FLOW_LOCAL;
	if (endpoint_is_link_local(&record.destination))
		ret->destination.scope = record.device;
	return 0;
}

int steer_set_local(struct steer *s, const struct address *client, const struct address *local)
{
	struct endpoint e = endpoint_from_address(local);
	struct flow_key key;
	int r;

	r = flow_key_of(s, client, &key);
	if (r < 0)
		return r;
	e.port = 0;
	/* The programs made the entry and remove it with the socket: never bring one back. */
	r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.locals), &key, &e, BPF_EXIST);
	return r == -ENOENT ? 0 : r;
}
