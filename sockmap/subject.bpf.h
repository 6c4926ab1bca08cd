/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* subject.bpf.h - whose socket it is: the workload, and what is in force for it.
 *
 * A socket belongs to its own cgroup's nearest ancestor in the map `members`, whoever holds it. The
 * answer is kept in its mark until `members` changes: a known socket costs one comparison. */
#ifndef SLUICE_SUBJECT_BPF_H
#define SLUICE_SUBJECT_BPF_H

#include "kernel.bpf.h"
#include "maps.bpf.h"

#define CGROUP_DEPTH_MAX 64 /* deeper ones are refused: nobody knows what is above */
#define MEMBER_TOO_DEEP	 1ull

/* The nearest cgroup at CGROUP or above it that is a workload, 0 for none, or MEMBER_TOO_DEEP.
 * Verified once, not wherever it is called. */
__weak __noinline __u64 member_above(__u64 cgroup)
{
	__u64 at = cgroup;

	for (int i = 0; i < CGROUP_DEPTH_MAX; i++) {
		const struct cgroup *here = (const void *)at;
		__u64 id;

		if (!here)
			return 0;
		id = BPF_CORE_READ(here, kn, id);
		if (bpf_map_lookup_elem(&members, &id))
			return at;
		at = (__u64)BPF_CORE_READ(here, self.parent);
		if (at)
			at -= bpf_core_field_offset(struct cgroup, self);
	}
	return MEMBER_TOO_DEEP;
}

static __always_inline __u32 slot_of_cgroup(__u64 cgroup)
{
	__u64 at = member_above(cgroup), id;
	__u32 *slot;

	if (at == MEMBER_TOO_DEEP)
		return SLOT_GONE;
	if (!at)
		return SLOT_NONE;
	id = BPF_CORE_READ((const struct cgroup *)at, kn, id);
	slot = bpf_map_lookup_elem(&members, &id);
	return slot ? *slot : SLOT_NONE; /* removed this instant: MEMO_NOW() has changed */
}

#define MEMO_SLOT(memo) ((__u32)(memo))
#define MEMO_SEEN(memo) ((__u32)((memo) >> 32))

static __always_inline __u64 memo_of(__u32 slot, __u32 seen)
{
	return (__u64)seen << 32 | slot;
}

/* Read before the look-up whose answer is kept, so that a change meanwhile is noticed. */
static __always_inline __u32 members_now(const struct steer_config *c)
{
	return *(const volatile __u32 *)&c->members;
}

/* The look-up itself, for a socket that was noted as KNOWN, or 0.
 *
 * A socket that outlives its workload, held by somebody else, stays refused for good; one that was
 * in no workload when its cgroup went stays free. Which of the two it is says `members`: a workload
 * that is removed because its cgroup has gone stays there as SLOT_GONE until each socket that is
 * left has that in its mark (steer_bury() in adopt.bpf.c). So what is below no member is free if it
 * was ever looked up, which happens when it is made. Of what is older than the programs and was
 * found without its cgroup, nobody knows in whose name: refused. */
static __always_inline __u32 slot_of_socket(__u64 sk, __u64 known)
{
	__u64 cgroup = cgroup_of(sk);
	__u32 slot;

	if (MEMO_SEEN(known) && MEMO_SLOT(known) == SLOT_GONE)
		return SLOT_GONE;
	slot = slot_of_cgroup(cgroup);
	if (slot != SLOT_NONE || MEMO_SEEN(known))
		return slot;
	if (BPF_CORE_READ((const struct cgroup *)cgroup, self.flags) & CSS_ONLINE)
		return SLOT_NONE;
	return SLOT_GONE;
}

/* The mark of a socket, made where there is none, so that it is looked up once and not at each
 * packet. NULL: no memory, or it is not a full socket. */
static __always_inline struct mark *mark_of(void *sk)
{
	return bpf_sk_storage_get(&marks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

/* Who it is, and the state in force for it. */
struct subject {
	const struct steer_config *config;
	__u64 id;    /* of the workload; 0: none, and nothing is enforced */
	__u64 sk;    /* the address of the socket, or 0 */
	__u64 netns; /* cookie, where SK is 0 */
	__u32 slot, enforced, ingress, generation, flags;
};

/* False: there is no such slot, which is a bug; refuse. */
static __always_inline bool subject_at(struct subject *who, const struct steer_config *c,
				       __u32 slot)
{
	const struct workload_config *w = bpf_map_lookup_elem(&workloads, &slot);

	__builtin_memset(who, 0, sizeof(*who));
	if (!w)
		return false;
	who->config = c;
	who->slot = slot;
	who->id = w->serial ? (__u64)w->serial << 32 | slot : 0;
	who->generation = w->generation;
	who->enforced = w->enforced;
	who->ingress = w->ingress;
	who->flags = w->flags;
	return true;
}

/* Of the socket SK with the mark M, or NULL; the answer is noted there. */
static __always_inline bool subject_of(struct subject *who, const struct steer_config *c,
				       const void *sk, struct mark *m)
{
	__u32 now = members_now(c), slot;
	__u64 address = address_of(sk);

	if (m && MEMO_SEEN(m->memo) == now) {
		slot = MEMO_SLOT(m->memo);
	} else {
		slot = slot_of_socket(address, m ? m->memo : 0);
		if (m) {
			/* What another one's table allowed is not judged yet. */
			if (MEMO_SLOT(m->memo) != slot)
				m->generation = m->within = 0;
			m->memo = memo_of(slot, now);
		}
	}
	if (!subject_at(who, c, slot))
		return false;
	who->sk = address;
	return true;
}

/* 0: none. */
static __always_inline __u32 subject_serial(const struct subject *who)
{
	return (__u32)(who->id >> 32);
}

static __always_inline __u64 subject_netns(const struct subject *who)
{
	return who->sk ? netns_of(who->sk) : who->netns;
}

/* ---- refusals ---- */

static __always_inline void count_for(const struct subject *who, __u32 kind)
{
	__u32 key = who->slot * STEER_EVENT_MAX + kind;
	__u64 *value = bpf_map_lookup_elem(&workload_counters, &key);

	count(kind);
	if (value)
		*value += 1;
}

static __always_inline struct event_record *event_begin(const struct subject *who, __u32 kind,
							const struct endpoint *to, __u32 protocol)
{
	struct event_record *e;

	count_for(who, kind);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNTER_EVENTS_LOST);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	if (to)
		e->destination = *to;
	e->workload = who->id;
	e->netns = subject_netns(who);
	e->kind = kind;
	e->protocol = protocol;
	return e;
}

/* A refusal of the current process. Returns what a hook returns to refuse: 0. In audit it returns
 * 1, and the caller goes on as if it were allowed. Whatever is refused by policy, or for want of
 * means, goes through here or through drop_as() (backstop.bpf.c). */
static __always_inline int refuse(const struct subject *who, __u32 kind, const struct endpoint *to,
				  __u32 protocol)
{
	struct event_record *e = event_begin(who, kind, to, protocol);

	if (e) {
		e->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
		bpf_get_current_comm(e->command, sizeof(e->command));
		e->audit = audit_mode;
		bpf_ringbuf_submit(e, 0);
	}
	return audit_mode ? 1 : 0;
}

/* The same of a client or a peer, for whom no process is to blame. */
static __always_inline int refuse_from(const struct subject *who, __u32 kind,
				       const struct endpoint *from, const struct endpoint *to,
				       __u32 protocol)
{
	struct event_record *e = event_begin(who, kind, to, protocol);

	if (e) {
		e->source = *from;
		e->audit = audit_mode;
		bpf_ringbuf_submit(e, 0);
	}
	return audit_mode ? 1 : 0;
}

#endif
