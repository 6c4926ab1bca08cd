/* SPDX-License-Identifier: Apache-2.0 */
/* What the hooks have not seen: sockets that are older than the programs, those that outlive their
 * workload, and listeners that a workload got from outside. By iterators of the kernel, which are
 * loaded when they are needed first. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cgroup.h"
#include "iterate.h"
#include "steer_private.h"

#define GRAVES_MIN 16

/* ---- the object ---- */

int steer_share_maps(struct steer *s, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		struct bpf_map *shared =
			bpf_object__find_map_by_name(s->skel->obj, bpf_map__name(map));
		int r = shared && !bpf_map__is_internal(map)
				? bpf_map__reuse_fd(map, bpf_map__fd(shared))
				: 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int load(struct steer *s)
{
	struct adopt_bpf *adopt;
	int r;

	if (s->adopt)
		return 0;
	adopt = adopt_bpf__open();
	if (!adopt)
		return -errno;
	adopt->rodata->audit_mode = s->audit;
	adopt->rodata->one_netns = s->skel->rodata->one_netns;
	r = steer_share_maps(s, adopt->obj);
	if (r == 0)
		r = adopt_bpf__load(adopt);
	if (r < 0) {
		adopt_bpf__destroy(adopt);
		return r;
	}
	s->adopt = adopt;
	return 0;
}

void steer_close_adopt(struct steer *s)
{
	adopt_bpf__destroy(s->adopt);
	s->adopt = NULL;
	free(s->graves.ids);
	s->graves = (struct graves){ .ids = NULL };
}

/* ---- older sockets ---- */

/* What begins to listen is told, what is adopted here has to be noticed when it ends. */
static int watch_ends(struct steer *s, struct attach_point *p)
{
	struct cgroup cg = { .fd = -1 };
	uint32_t one = 1;
	int r;

	r = bpf_map_update_elem(bpf_map__fd(s->adopt->maps.points), &p->cgroup, &one, BPF_ANY);
	if (r < 0 || p->release)
		return r;
	r = cgroup_open_id(&cg, p->cgroup);
	if (r == -ENOENT)
		return 0; /* nobody is left below it */
	if (r == 0)
		r = steer_attach_program(s, p, cg.fd, s->adopt->progs.steer_release, &p->release);
	cgroup_done(&cg);
	return r;
}

/* Those that are not attached to any more need not be forgotten: their sockets are in no workload.
 */
static int watch_all_ends(struct steer *s)
{
	int r = load(s);

	for (struct attach_point *p = s->attached; r == 0 && p; p = p->next)
		r = watch_ends(s, p);
	return r;
}

/* The kernel goes through the sockets of the namespace in which the iterator is made. */
static int go_through(struct steer *s, int netns)
{
	int here = netns < 0 ? -1 : open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), r;
	struct records nothing = { .bytes = NULL };

	if (netns >= 0 && here < 0)
		return -errno;
	if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0) {
		r = -errno;
	} else {
		r = iterate(s->adopt->progs.steer_adopt, -1, &nothing);
		if (netns >= 0 && setns(here, CLONE_NEWNET) < 0)
			abort(); /* a thread in a strange network would make the wrong sockets */
	}
	free(nothing.bytes);
	if (here >= 0)
		close(here);
	return r;
}

int steer_adopt(struct steer *s, uint32_t number, struct steer_adopted *ret, struct error *err)
{
	int netns = -1, r = steer_netns_fd_of(s, number, &netns);

	if (r == 0)
		r = watch_all_ends(s);
	if (r == 0) {
		s->adopt->bss->found_listeners = s->adopt->bss->found_connections = 0;
		r = go_through(s, netns);
	}
	if (r < 0) {
		error_set(err, "the kernel does not list its sockets: %s", strerror(-r));
		return r;
	}
	ret->listeners += s->adopt->bss->found_listeners;
	ret->connections += s->adopt->bss->found_connections;
	return 0;
}

/* ---- what outlives its workload ---- */

int steer_reserve_grave(struct steer *s)
{
	struct graves *g = &s->graves;
	size_t capacity = g->capacity ? 2 * g->capacity : GRAVES_MIN;
	uint64_t *ids;

	if (g->n < g->capacity)
		return 0;
	ids = realloc(g->ids, capacity * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	g->ids = ids;
	g->capacity = capacity;
	return 0;
}

/* Since a grave was dug and no program is left that may have missed it, every look-up finds it; and
 * nobody can make a socket in a cgroup that is gone. So when all marks were gone through once,
 * every socket below it says for itself that it is refused. */
void steer_bury(struct steer *s)
{
	struct records nothing = { .bytes = NULL };
	struct graves *g = &s->graves;
	int r;

	if (g->n == 0)
		return;
	r = load(s);
	if (r == 0)
		r = iterate(s->adopt->progs.steer_bury, bpf_map__fd(s->skel->maps.marks), &nothing);
	free(nothing.bytes);
	/* Who read a mark before it was gone through still has to find the grave. */
	if (r < 0 || !nothing.at_once || steer_wait_for_programs(s) < 0)
		return;
	while (g->n > 0) {
		r = bpf_map_delete_elem(bpf_map__fd(s->skel->maps.members), &g->ids[g->n - 1]);
		if (r < 0 && r != -ENOENT)
			return;
		g->n--;
	}
}

/* ---- what comes from elsewhere ---- */

int steer_each_foreign(struct steer *s,
		       void (*on_foreign)(void *ctx, const struct steer_foreign *f), void *ctx)
{
	struct records all = { .bytes = NULL };
	int r = load(s);

	if (r == 0)
		r = iterate(s->adopt->progs.steer_foreign, -1, &all);
	for (size_t at = 0; r == 0 && at + sizeof(struct foreign_record) <= all.len;
	     at += sizeof(struct foreign_record)) {
		struct foreign_record record;
		struct steer_foreign f = { .pid = 0 };

		memcpy(&record, all.bytes + at, sizeof(record));
		f.workload = record.workload;
		f.netns_cookie = record.netns;
		f.at = address_from_endpoint(&record.at);
		f.pid = record.pid;
		memcpy(f.command, record.command, sizeof(f.command) - 1);
		on_foreign(ctx, &f);
	}
	free(all.bytes);
	return r;
}
