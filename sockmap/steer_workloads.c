/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads: which cgroup has which slot of the maps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cgroup.h"
#include "steer_private.h"

_Static_assert(STEER_WORKLOAD_LOOPBACK == WORKLOAD_LOOPBACK &&
		       STEER_WORKLOAD_HOST_HELD == WORKLOAD_HOST_HELD,
	       "one list of flags");

static uint64_t id_of(const struct steer *s, const struct workload_slot *slot)
{
	return (uint64_t)slot->config.serial << 32 | (uint32_t)(slot - s->slots);
}

struct workload_slot *steer_slot_of(struct steer *s, uint64_t workload)
{
	uint32_t at = (uint32_t)workload;

	if (at < SLOT_FIRST || at >= s->n_slots || !s->slots[at].cgroup ||
	    id_of(s, &s->slots[at]) != workload)
		return NULL;
	return &s->slots[at];
}

int steer_write_slot(struct steer *s, const struct workload_slot *slot)
{
	uint32_t at = (uint32_t)(slot - s->slots);

	return bpf_map_update_elem(bpf_map__fd(s->skel->maps.workloads), &at, &slot->config,
				   BPF_ANY);
}

uint32_t steer_next_generation(struct steer *s)
{
	do
		s->generations++;
	while (s->generations <= GENERATION_GONE);
	return s->generations;
}

int steer_init_slots(struct steer *s)
{
	struct workload_slot *gone = &s->slots[SLOT_GONE];

	gone->config = (struct workload_config){
		.serial = SERIAL_GONE, .enforced = 1, .ingress = 1, .generation = GENERATION_GONE
	};
	return steer_write_slot(s, gone);
}

int steer_write_active(struct steer *s)
{
	struct steer_config before = s->config;
	int r;

	s->config.active = s->config.ingress = 0;
	for (uint32_t i = SLOT_FIRST; i < s->n_slots; i++) {
		const struct workload_config *w = &s->slots[i].config;

		s->config.active |= w->enforced | w->ingress;
		s->config.ingress |= w->ingress;
	}
	r = steer_write_config(s);
	if (r < 0)
		s->config = before;
	return r;
}

/* Whoever has a mark looks up again whose he is. */
static int tell_of_change(struct steer *s)
{
	s->config.members += s->config.members == UINT32_MAX ? 2 : 1; /* 0: never looked up */
	return steer_write_config(s);
}

static struct workload_slot *free_slot(struct steer *s, uint64_t cgroup, struct error *err, int *r)
{
	struct workload_slot *ret = NULL;

	for (uint32_t i = SLOT_FIRST; i < s->n_slots; i++) {
		if (s->slots[i].cgroup == cgroup && !s->slots[i].leaving) {
			error_set(err, "the cgroup is a workload already");
			*r = -EEXIST;
			return NULL;
		}
		if (!ret && !s->slots[i].cgroup)
			ret = &s->slots[i];
	}
	if (!ret) {
		error_set(err, "there are %u workloads, which is as many as may be",
			  s->n_slots - SLOT_FIRST);
		*r = -ENOSPC;
	}
	return ret;
}

static int clear_counters(struct steer *s, uint32_t slot)
{
	int fd = bpf_map__fd(s->skel->maps.workload_counters), cpus = libbpf_num_possible_cpus();
	uint64_t *zeros = cpus < 0 ? NULL : calloc((size_t)cpus, sizeof(*zeros));
	int r = zeros ? 0 : -ENOMEM;

	for (uint32_t kind = 0; kind < STEER_EVENT_MAX && r == 0; kind++) {
		uint32_t key = slot * STEER_EVENT_MAX + kind;

		r = bpf_map_update_elem(fd, &key, zeros, BPF_ANY);
	}
	free(zeros);
	return r;
}

/* The member before it is told of. */
int steer_make_member(struct steer *s, struct workload_slot *slot)
{
	uint32_t at = (uint32_t)(slot - s->slots);
	int fd = bpf_map__fd(s->skel->maps.members), r;

	if (slot->member)
		return 0;
	r = bpf_map_update_elem(fd, &slot->cgroup, &at, BPF_NOEXIST);
	if (r < 0)
		return r;
	r = tell_of_change(s);
	if (r < 0)
		bpf_map_delete_elem(fd, &slot->cgroup);
	slot->member = r == 0;
	return r;
}

int steer_add_workload(struct steer *s, uint64_t cgroup_id, unsigned flags, uint64_t *ret,
		       struct error *err)
{
	int r = -EINVAL;
	struct workload_slot *slot;

	if (!cgroup_id) {
		error_set(err, "the cgroup has no id");
		return r;
	}
	slot = free_slot(s, cgroup_id, err, &r);
	if (!slot)
		return r;
	if (++s->serials == SERIAL_GONE)
		s->serials = 1;
	slot->cgroup = cgroup_id;
	slot->config = (struct workload_config){ .serial = s->serials,
						 .generation = steer_next_generation(s),
						 .flags = flags };
	r = clear_counters(s, (uint32_t)(slot - s->slots));
	if (r == 0)
		r = steer_write_slot(s, slot);
	if (r < 0) {
		memset(slot, 0, sizeof(*slot));
		error_set(err, "cannot tell the BPF programs of a workload: %s", strerror(-r));
		return r;
	}
	*ret = id_of(s, slot);
	return 0;
}

int steer_set_flags(struct steer *s, uint64_t workload, unsigned flags)
{
	struct workload_slot *slot = steer_slot_of(s, workload);
	unsigned before;
	int r;

	if (!slot || slot->leaving)
		return -ENOENT;
	before = slot->config.flags;
	slot->config.flags = flags;
	r = steer_write_slot(s, slot);
	if (r < 0)
		slot->config.flags = before;
	else
		slot->stale = true;
	return r;
}

static int renew(struct steer *s, struct workload_slot *slot)
{
	uint32_t before = slot->config.generation;
	int r;

	slot->config.generation = steer_next_generation(s);
	r = steer_write_slot(s, slot);
	if (r < 0)
		slot->config.generation = before;
	else
		slot->stale = false;
	return r;
}

/* As with a table: whoever reads the new generation judges by the new flags. */
int steer_renew(struct steer *s)
{
	bool waited = false;
	int r = 0;

	for (uint32_t i = SLOT_FIRST; r == 0 && i < s->n_slots; i++) {
		if (!s->slots[i].stale)
			continue;
		r = waited ? 0 : steer_wait_for_programs(s);
		waited = true;
		if (r == 0)
			r = renew(s, &s->slots[i]);
	}
	return r;
}

static int dig_grave(struct steer *s, uint64_t cgroup)
{
	uint32_t gone = SLOT_GONE;
	int r = steer_reserve_grave(s);

	if (r == 0)
		r = bpf_map_update_elem(bpf_map__fd(s->skel->maps.members), &cgroup, &gone,
					BPF_ANY);
	if (r == 0)
		s->graves.ids[s->graves.n++] = cgroup;
	return r;
}

/* A cgroup that lives is as if it had never been a workload. Of one that is gone sockets may be
 * left, which nobody may use any more. */
static int leave_members(struct steer *s, uint64_t cgroup)
{
	struct cgroup cg = { .fd = -1 };
	int r = cgroup_open_id(&cg, cgroup);

	if (r == -ENOENT)
		return dig_grave(s, cgroup);
	cgroup_done(&cg);
	if (r < 0)
		return r;
	r = bpf_map_delete_elem(bpf_map__fd(s->skel->maps.members), &cgroup);
	return r == -ENOENT ? 0 : r;
}

/* Nobody knows the slot any more when it is free. Until then it is enforced as it was. */
int steer_remove_workload(struct steer *s, uint64_t workload)
{
	struct workload_slot *slot = steer_slot_of(s, workload);
	uint32_t at = (uint32_t)workload;
	int r;

	if (!slot)
		return -ENOENT;
	/* Once: the cgroup may be another workload by now. */
	r = slot->leaving ? 0 : leave_members(s, slot->cgroup);
	if (r < 0)
		return r;
	slot->leaving = true;
	r = tell_of_change(s);
	if (r < 0)
		return r;
	/* Which waits for the programs, if there is one. */
	r = bpf_map_delete_elem(bpf_map__fd(s->skel->maps.tables), &at);
	if (r == -ENOENT)
		r = steer_wait_for_programs(s);
	if (r < 0)
		return r;
	memset(slot, 0, sizeof(*slot));
	r = steer_write_slot(s, slot);
	return r < 0 ? r : steer_write_active(s);
}

int steer_workload_counters(const struct steer *s, uint64_t workload,
			    uint64_t refused[STEER_EVENT_MAX])
{
	uint32_t at = (uint32_t)workload;

	if (at < SLOT_FIRST || at >= s->n_slots || id_of(s, &s->slots[at]) != workload)
		return -ENOENT;
	return steer_read_counters(bpf_map__fd(s->skel->maps.workload_counters),
				   at * STEER_EVENT_MAX, STEER_EVENT_MAX, refused);
}
