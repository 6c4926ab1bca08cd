/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs tell: addresses, events and counters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "steer_private.h"

struct endpoint endpoint_from_address(const struct address *a)
{
	struct endpoint e;

	memset(&e, 0, sizeof(e));
	if (a->family != AF_INET && a->family != AF_INET6)
		return e;
	e.family = a->family == AF_INET ? WIRE_IPV4 : WIRE_IPV6;
	e.port = a->port;
	memcpy(e.ip, a->ip, a->family == AF_INET ? 4 : 16);
	return e;
}

struct address address_from_endpoint(const struct endpoint *e)
{
	struct address a;

	memset(&a, 0, sizeof(a));
	if (e->family != WIRE_IPV4 && e->family != WIRE_IPV6)
		return a;
	a.family = e->family == WIRE_IPV4 ? AF_INET : AF_INET6;
	a.port = e->port;
	memcpy(a.ip, e->ip, e->family == WIRE_IPV4 ? 4 : 16);
	return a;
}

int steer_events_fd(const struct steer *s)
{
	return ring_buffer__epoll_fd(s->events);
}

/* A record counts as read also when we stop after it (libbpf moves its position on first). */
int steer_on_record(void *ctx, void *data, size_t size)
{
	const struct event_record *record = data;
	struct steer *s = ctx;
	struct steer_event e;

	s->events_read++;
	if (size >= sizeof(*record) && record->kind < STEER_KIND_MAX) {
		memset(&e, 0, sizeof(e));
		e.kind = (enum steer_event_kind)record->kind;
		/* IPPROTO_MPTCP is over 255: it is a kind of TCP. */
		e.protocol = record->protocol > UINT8_MAX ? DECIDE_TCP : (uint8_t)record->protocol;
		e.pid = record->pid;
		e.workload = record->workload;
		e.netns_cookie = record->netns;
		e.audit = record->audit != 0;
		e.destination = address_from_endpoint(&record->destination);
		e.source = address_from_endpoint(&record->source);
		memcpy(e.command, record->command, sizeof(e.command) - 1);
		s->on_event(s->on_event_ctx, &e);
	}
	return s->events_read < STEER_EVENTS_MAX ? 0 : -ECANCELED;
}

/* The workload can make events faster than we read them. */
int steer_read_events(struct steer *s, void (*on_event)(void *ctx, const struct steer_event *e),
		      void *ctx)
{
	int r;

	s->on_event = on_event;
	s->on_event_ctx = ctx;
	s->events_read = 0;
	r = ring_buffer__consume(s->events);
	s->on_event = NULL;
	s->on_event_ctx = NULL;
	return r < 0 && r != -ECANCELED ? r : 0;
}

int steer_read_counters(int fd, uint32_t first, uint32_t n, uint64_t *sums)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values;
	int r = 0;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && r == 0; i++) {
		uint32_t key = first + i;

		r = bpf_map_lookup_elem(fd, &key, values);
		sums[i] = 0;
		for (int cpu = 0; r == 0 && cpu < cpus; cpu++)
			sums[i] += values[cpu];
	}
	free(values);
	return r;
}

static uint64_t count_keys(int fd)
{
	struct flow_key key, next;
	uint64_t n = 0;
	void *from = NULL;

	while (bpf_map_get_next_key(fd, from, &next) == 0) {
		key = next;
		from = &key;
		n++;
	}
	return n;
}

int steer_counters(const struct steer *s, struct steer_counters *ret)
{
	uint64_t sums[COUNTER_MAX] = { 0 };
	int r;

	r = steer_read_counters(bpf_map__fd(s->skel->maps.counters), 0, COUNTER_MAX, sums);
	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	for (int kind = 0; kind < STEER_EVENT_MAX; kind++)
		ret->refused[kind] = sums[kind];
	ret->events_lost = sums[COUNTER_EVENTS_LOST];
	ret->flows_open = count_keys(bpf_map__fd(s->skel->maps.flows));
	return 0;
}
