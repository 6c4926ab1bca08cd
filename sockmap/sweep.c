/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sock_destroy.h"
#include "steer_private.h"

#define READ_SIZE ((size_t)64 * 1024)

struct records {
	char *bytes;
	size_t len, size;
};

static int make_room(struct records *all)
{
	size_t size = all->size ? all->size * 2 : READ_SIZE;
	char *bytes;

	if (all->size - all->len >= READ_SIZE / 2)
		return 0;
	bytes = realloc(all->bytes, size);
	if (!bytes)
		return -ENOMEM;
	all->bytes = bytes;
	all->size = size;
	return 0;
}

/* All of them before the first is ended: the kernel's list must not change under its reader. */
static int read_all(int fd, struct records *all)
{
	for (;;) {
		int r = make_room(all);
		ssize_t n;

		if (r < 0)
			return r;
		n = read(fd, all->bytes + all->len, all->size - all->len);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0)
			all->len += (size_t)n;
	}
}

static int list(struct steer *s, struct records *all)
{
	union bpf_iter_link_info info = { .map.map_fd =
						  (uint32_t)bpf_map__fd(s->skel->maps.marks) };
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info,
		    .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(s->skel->progs.steer_sweep, &options);
	int fd, r;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	r = fd < 0 ? -errno : read_all(fd, all);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return r;
}

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
	struct records all = { NULL, 0, 0 };
	int r = list(s, &all);

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
	return r;
}
