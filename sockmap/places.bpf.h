/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* places.bpf.h - the map `listening`: at which places the sockets of which cgroups listen.
 *
 * A place is counted by cgroup and not by workload, since which of them are workloads changes: a
 * place belongs to a workload if all that listen there do, and that is asked when it is looked up.
 * Counted is without a lock: a holder is one word, the address of its cgroup with the number of its
 * sockets below it. What does not fit into the few words of a place is told apart from nothing, so
 * that nobody is answered for there. */
#ifndef SLUICE_PLACES_BPF_H
#define SLUICE_PLACES_BPF_H

#include "judge.bpf.h"

#define HOLDER_SHIFT   7      /* kernel addresses are sign-extended from fewer bits */
#define HOLDER_SOCKETS 0x3ffu /* below it, as such an address is a multiple of 8 */
#define HOLDER_TRIES   4      /* against others that count at the same moment */

static __always_inline __u64 holder_cgroup(__u64 holder)
{
	return (__u64)((__s64)holder >> HOLDER_SHIFT) & ~7ull;
}

static __always_inline bool join_as(__u64 *holder, __u64 cgroup)
{
	for (int i = 0; i < HOLDER_TRIES; i++) {
		__u64 before = *(volatile __u64 *)holder, after = before + 1;

		if (!before)
			after = cgroup << HOLDER_SHIFT | 1;
		else if (holder_cgroup(before) != cgroup ||
			 (before & HOLDER_SOCKETS) == HOLDER_SOCKETS)
			return false;
		if (__sync_val_compare_and_swap(holder, before, after) == before)
			return true;
	}
	return false;
}

static __always_inline bool leave_as(__u64 *holder, __u64 cgroup)
{
	for (int i = 0; i < HOLDER_TRIES; i++) {
		__u64 before = *(volatile __u64 *)holder, after = before - 1;

		if (!before || holder_cgroup(before) != cgroup)
			return false;
		if (!(after & HOLDER_SOCKETS))
			after = 0;
		if (__sync_val_compare_and_swap(holder, before, after) == before)
			return true;
	}
	return false;
}

/* Whoever looked the place up before must look again, also who is about to note his answer. */
static __always_inline void place_has_changed(struct listening_place *p)
{
	__u32 change = __sync_fetch_and_add(&p->changes, 1);

	p->memo = change; /* not seen */
}

static __always_inline void place_begin(struct listening_place *p, __u64 cgroup)
{
	bool joined = false;

	if (holder_cgroup(cgroup << HOLDER_SHIFT) == cgroup)
		for (int i = 0; i < PLACE_HOLDERS && !joined; i++)
			joined = join_as(&p->holders[i], cgroup);
	if (!joined)
		__sync_fetch_and_add(&p->others, 1);
	place_has_changed(p);
}

static __always_inline void place_end(struct listening_place *p, __u64 cgroup)
{
	bool left = false;

	for (int i = 0; i < PLACE_HOLDERS && !left; i++)
		left = leave_as(&p->holders[i], cgroup);
	if (!left)
		__sync_fetch_and_add(&p->others, -1);
	place_has_changed(p);
}

/* Verified once, not wherever it is called. Before Linux 6.2 memory of whoever calls cannot be a
 * map's key, so it is copied. */
__weak __noinline int place_count(const struct place_key *at, __u64 cgroup, __u32 begins)
{
	struct listening_place *p, none;
	struct place_key key;

	if (!at)
		return 0;
	key = *at;
	p = bpf_map_lookup_elem(&listening, &key);
	if (!p && begins) {
		/* Whoever is faster makes it. */
		__builtin_memset(&none, 0, sizeof(none));
		bpf_map_update_elem(&listening, &key, &none, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&listening, &key);
	}
	if (!p)
		return 0;
	if (begins)
		place_begin(p, cgroup);
	else
		place_end(p, cgroup);
	return 0;
}

/* At every place that M stands for, which listens, or did until now. */
static __always_inline void count_places(struct mark *m, __u64 cgroup, bool begins)
{
	struct endpoint at = m->destination;
	struct place_key key;

	place_key_make(&key, m->key.netns, &at);
	for (int i = 0; i < 2; i++) {
		if (m->filed & (i ? FILED_DUAL : FILED_PLACE))
			place_count(&key, cgroup, begins);
		key.at.family = WIRE_IPV4;
	}
}

/* A socket of IPv6 that is bound to no address takes IPv4 as well, unless it was told not to. */
static __always_inline bool takes_both(__u64 sk, const struct endpoint *at)
{
	const struct sock_common *common = (const void *)sk;

	return at->family == WIRE_IPV6 && endpoint_is_any(at) &&
	       !BPF_CORE_READ_BITFIELD_PROBED(common, skc_ipv6only);
}

/* M becomes the mark of a listening socket. One that is bound to a device is left to inbound.bpf.c:
 * our leg would not come from there, and the same port may be somebody else's on another device. */
static __always_inline void listening_begins(struct mark *m, __u64 sk, __u64 netns)
{
	struct endpoint at = end_of(sk, false);

	m->incoming = 1;
	m->fate = FATE_LISTENING;
	if (BPF_CORE_READ((const struct sock_common *)sk, skc_bound_dev_if))
		return;
	at.mapped = 0;
	m->destination = at;
	m->key.netns = netns;
	m->filed = FILED_PLACE;
	if (takes_both(sk, &at))
		m->filed |= FILED_DUAL;
	count_places(m, cgroup_of(sk), true);
}

static __always_inline void listening_ends(struct mark *m, __u64 sk)
{
	if (m->fate != FATE_LISTENING)
		return;
	count_places(m, cgroup_of(sk), false);
	m->filed = 0;
}

/* Whose a place is: that of all who listen there, or SLOT_NONE. */
static __always_inline __u32 slot_of_place(const struct listening_place *p)
{
	__u32 slot = SLOT_NONE;
	bool found = false;

	if (p->others)
		return SLOT_NONE;
	for (int i = 0; i < PLACE_HOLDERS; i++) {
		__u64 holder = *(const volatile __u64 *)&p->holders[i];
		__u32 here;

		if (!holder)
			continue;
		here = slot_of_cgroup(holder_cgroup(holder));
		if (found && here != slot)
			return SLOT_NONE;
		slot = here;
		found = true;
	}
	return slot;
}

#endif
