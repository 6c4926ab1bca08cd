/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "iterate.h"
#include "sock_destroy.h"
#include "steer_private.h"

/* The namespace of the record before is mostly that of the next one as well. */
struct place_of {
	uint32_t netns;
	int fd; /* or a negative errno */
};

static void move_to(const struct steer *s, struct place_of *p, uint32_t netns)
{
	int known;

	if (p->netns == netns)
		return;
	if (p->fd >= 0)
		close(p->fd);
	p->netns = netns;
	known = steer_netns_fd(s, netns);
	p->fd = known < 0 ? sock_destroy_open(netns) : sock_destroy_open_at(known);
}

static struct swept describe(const struct sweep_record *record)
{
	if (record->incoming)
		return (struct swept){ .source = address_from_endpoint(&record->peer),
				       .destination = address_from_endpoint(&record->local),
				       .ingress = true };
	return (struct swept){ .source = address_from_endpoint(&record->local),
			       .destination = address_from_endpoint(&record->destination) };
}

int steer_sweep(struct steer *s, void (*on_swept)(void *ctx, const struct swept *e), void *ctx)
{
	struct place_of place = { .netns = 0, .fd = -ENOENT };
	struct records all;
	int r = iterate(s->skel->progs.steer_sweep, bpf_map__fd(s->skel->maps.marks), &all);

	for (size_t at = 0; at + sizeof(struct sweep_record) <= all.len;
	     at += sizeof(struct sweep_record)) {
		struct sweep_record record;
		struct swept e;

		memcpy(&record, all.bytes + at, sizeof(record));
		move_to(s, &place, record.netns);
		e = describe(&record);
		e.workload = record.workload;
		e.result = place.fd;
		if (place.fd >= 0)
			e.result = sock_destroy(place.fd, &record);
		if (place.fd < 0 || e.result != -ENOENT) /* it has ended by itself */
			on_swept(ctx, &e);
	}
	if (place.fd >= 0)
		close(place.fd);
	free(all.bytes);
	steer_bury(s);
	steer_forget_points(s);
	return r;
}
