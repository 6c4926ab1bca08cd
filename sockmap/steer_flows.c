/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, and the records of the connections that they accept. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "steer_private.h"

/* A client that closed before it was accepted leaves TIME_WAIT behind, which keeps its port from
 * being used again for at least one second (tcp_tw_reuse). Its record is believed for less. */
#define CLOSED_VALID_NS 900000000ull

/* 127.0.0.1 or ::1 exactly: nothing else is what the programs rewrite to. */
static bool is_our_place(const struct endpoint *e)
{
	if (!e->port || e->mapped)
		return false;
	return e->family == WIRE_IPV4 ? e->ip[0] == DECIDE_LOOPBACK : endpoint_is_loopback(e);
}

int steer_add_listener(struct steer *s, int fd, struct error *err)
{
	struct endpoint name = { .family = 0 };
	uint32_t ours = OURS_LISTENER;
	struct netns_slot *here;
	uint16_t *port;
	int r;

	r = steer_socket_name(fd, &name);
	if (r < 0 || !is_our_place(&name)) {
		error_set(err, "a listener must be bound to 127.0.0.1 or ::1");
		return r < 0 ? r : -EINVAL;
	}
	here = steer_netns_of(s, fd, err);
	if (!here)
		return -EXDEV;
	port = name.family == WIRE_IPV4 ? &here->config.port4 : &here->config.port6;
	if (*port && *port != name.port) {
		error_set(err, "all listeners of one family must share one port");
		return -EINVAL;
	}
	r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.listeners), &fd, &ours, BPF_ANY);
	if (r == 0) {
		*port = name.port;
		r = steer_write_netns(s, here);
	}
	if (r < 0)
		error_set(err, "cannot tell the BPF programs of a listener: %s", strerror(-r));
	return r;
}

static int flow_key_of(const struct steer *s, uint32_t netns, const struct address *client,
		       struct flow_key *ret)
{
	struct endpoint e = endpoint_from_address(client);

	if (!e.family)
		return -ENOENT;
	memset(ret, 0, sizeof(*ret));
	ret->netns = steer_netns_cookie(s, netns);
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

int steer_take(struct steer *s, uint32_t netns, const struct address *client, struct flow *ret)
{
	struct flow_record record;
	struct flow_key key;
	int r;

	r = flow_key_of(s, netns, client, &key);
	if (r < 0)
		return r;
	r = take_record(s, &key, &record);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->client = *client;
	ret->netns = netns;
	ret->workload = record.workload;
	ret->destination = address_from_endpoint(&record.destination);
	ret->source = address_from_endpoint(&record.source);
	ret->device = record.device;
	ret->local = record.flags & FLOW_LOCAL;
	if (endpoint_is_link_local(&record.destination))
		ret->destination.scope = record.device;
	return 0;
}

int steer_set_local(struct steer *s, const struct flow *flow, const struct address *local)
{
	struct endpoint e = endpoint_from_address(local);
	struct flow_key key;
	int r;

	r = flow_key_of(s, flow->netns, &flow->client, &key);
	if (r < 0)
		return r;
	e.port = 0;
	/* The programs made the entry and remove it with the socket: never bring one back. */
	r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.locals), &key, &e, BPF_EXIST);
	return r == -ENOENT ? 0 : r;
}
