// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* adopt.bpf.c - iterators over what the hooks have not seen: sockets that are older than they are,
 * those that outlive their workload, and those that a workload got from outside.
 *
 * An object of its own, which shares the maps: a run needs none of this, and does not load it. */
#include "places.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SOCK_BINDPORT_LOCK 8 /* of sk_userlocks: bind() was told a port */

struct sock;

struct inet_bind_bucket {
	signed char fastreuse;
} KERNEL;

struct ipv6_pinfo {
	int mcast_oif;
} KERNEL;

struct inet_sock {
	struct ipv6_pinfo *pinet6;
	int mc_index;
} KERNEL;

struct inet_connection_sock {
	struct inet_bind_bucket *icsk_bind_hash;
} KERNEL;

struct css_set {
	struct cgroup *dfl_cgrp;
} KERNEL;

struct task_struct {
	int tgid;
	char comm[16];
	struct css_set *cgroups;
} KERNEL;

struct socket {
	struct sock *sk;
} KERNEL;

struct file;

struct bpf_iter__tcp {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct sock_common *, sk_common);
	__u32 uid;
} KERNEL;

struct bpf_iter__task_file {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct task_struct *, task);
	__u32 fd __attribute__((aligned(8)));
	__bpf_md_ptr(struct file *, file);
} KERNEL;

/* The ids of the cgroups to which the programs are attached. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ADOPT_POINTS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} points SEC(".maps");

/* Of workloads, by one run of steer_adopt. */
__u32 found_listeners = 0;
__u32 found_connections = 0;

/* Do the programs see what the sockets of CGROUP do? */
static __noinline bool is_below_point(__u64 cgroup)
{
	for (int i = 0; i < CGROUP_DEPTH_MAX; i++) {
		const struct cgroup *here = (const void *)cgroup;
		__u64 id;

		if (!here)
			return false;
		id = BPF_CORE_READ(here, kn, id);
		if (bpf_map_lookup_elem(&points, &id))
			return true;
		cgroup = (__u64)BPF_CORE_READ(here, self.parent);
		if (cgroup)
			cgroup -= bpf_core_field_offset(struct cgroup, self);
	}
	return true; /* what is so deep is refused */
}

/* ---- who dialled ---- */

/* The kernel gave it its port when it connected, or it was told one: what is accepted has neither.
 */
static __always_inline bool has_dialled(__u64 sk, unsigned char state)
{
	const struct inet_connection_sock *icsk = (const void *)sk;
	const struct sock *sock = (const void *)sk;
	const struct inet_bind_bucket *bucket = BPF_CORE_READ(icsk, icsk_bind_hash);

	if (state == BPF_TCP_SYN_SENT ||
	    (BPF_CORE_READ_BITFIELD_PROBED(sock, sk_userlocks) & SOCK_BINDPORT_LOCK))
		return true;
	return bucket && BPF_CORE_READ(bucket, fastreuse) == -1;
}

/* A stream has no interface for multicast, but for the one by which its client came. */
static __always_inline bool has_been_accepted(__u64 sk)
{
	const struct inet_sock *inet = (const void *)sk;

	if (BPF_CORE_READ((const struct sock_common *)sk, skc_family) != KERNEL_AF_INET6)
		return bpf_core_field_exists(inet->mc_index) && BPF_CORE_READ(inet, mc_index);
	return bpf_core_field_exists(struct ipv6_pinfo, mcast_oif) &&
	       BPF_CORE_READ(inet, pinet6, mcast_oif);
}

static __always_inline bool holds(const struct place_key *key, __u64 cgroup)
{
	const struct listening_place *p = bpf_map_lookup_elem(&listening, key);
	bool found = false;

	for (int i = 0; p && i < PLACE_HOLDERS; i++)
		found |= p->holders[i] && holder_cgroup(p->holders[i]) == cgroup;
	return found;
}

/* Somebody of the same cgroup listens where its own end is: what is accepted has the listener's
 * cgroup. */
static __always_inline bool has_listener(__u64 sk, __u64 netns)
{
	struct endpoint at = end_of(sk, false);
	__u64 cgroup = cgroup_of(sk);
	struct place_key key;

	place_key_make(&key, netns, &at);
	if (holds(&key, cgroup))
		return true;
	__builtin_memset(key.at.ip, 0, sizeof(key.at.ip));
	return holds(&key, cgroup);
}

/* What the hooks would have written, but that nobody has judged it. */
static __always_inline void connection_begins(struct mark *m, __u64 sk, unsigned char state,
					      __u64 netns)
{
	struct endpoint peer = end_of(sk, true);
	__u16 port = BPF_CORE_READ((const struct sock_common *)sk, skc_num);

	m->destination = peer;
	m->generation = 0;
	m->fate = FATE_ALONE;
	if (has_dialled(sk, state))
		return;
	m->destination.mapped = 0;
	if (has_been_accepted(sk) && has_listener(sk, netns)) {
		m->incoming = 1;
		m->destination.port = port;
	} else {
		m->either = port;
	}
}

/* ---- older TCP sockets ---- */

static __always_inline bool is_connected(unsigned char state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_SYN_SENT ||
	       state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 ||
	       state == BPF_TCP_CLOSE_WAIT || state == BPF_TCP_LAST_ACK || state == BPF_TCP_CLOSING;
}

/* The kernel holds the socket's lock meanwhile, and shows the listeners first. */
SEC("iter/tcp")
int steer_adopt(struct bpf_iter__tcp *ctx)
{
	const struct steer_config *c = steer_config();
	struct sock_common *common = ctx->sk_common;
	unsigned char state;
	__u64 sk, netns;
	struct mark *m;
	__u32 now;

	if (!c || !common)
		return 0;
	state = common->skc_state;
	sk = address_of(common);
	if (state != BPF_TCP_LISTEN && !is_connected(state))
		return 0;
	if (!is_below_point(cgroup_of(sk)) || bpf_sk_storage_get(&listeners, common, NULL, 0))
		return 0;
	m = bpf_sk_storage_get(&marks, common, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!m || !is_unknown(m))
		return 0;
	now = members_now(c);
	m->memo = memo_of(slot_of_socket(sk, m->memo), now);
	netns = netns_of(sk);
	if (state == BPF_TCP_LISTEN)
		listening_begins(m, sk, netns);
	else
		connection_begins(m, sk, state, netns);
	if (MEMO_SLOT(m->memo) < SLOT_FIRST)
		return 0;
	if (state == BPF_TCP_LISTEN)
		found_listeners++;
	else
		found_connections++;
	return 0;
}

/* The end of an older listener: its own word for it (sock_ops) has to be asked for by a call that
 * only kernels from 6.12 on allow here. One that stops to listen without being closed is counted
 * until it is. */
SEC("cgroup/sock_release")
int steer_release(struct bpf_sock *ctx)
{
	struct mark *m = bpf_sk_storage_get(&marks, ctx, NULL, 0);

	if (m && m->incoming && m->filed)
		listening_ends(m, address_of(ctx));
	return 1;
}

/* ---- sockets that outlive their workload ---- */

/* From now on each says so itself, and `members` need not. */
SEC("iter/bpf_sk_storage_map")
int steer_bury(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct steer_config *c = steer_config();
	struct mark *m = ctx->value;
	struct sock *sk = ctx->sk;

	if (!c || !m || !sk || slot_of_cgroup(cgroup_of(address_of(sk))) != SLOT_GONE)
		return 0;
	m->generation = 0;
	m->memo = memo_of(SLOT_GONE, members_now(c));
	return 0;
}

/* ---- listeners that come from elsewhere ---- */

SEC("iter/task_file")
int steer_foreign(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct foreign_record r;
	const struct workload_config *w;
	struct socket *socket;
	__u32 slot;
	__u64 sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = (__u64)BPF_CORE_READ(socket, sk);
	if (!sk ||
	    BPF_CORE_READ((const struct sock *)sk, __sk_common.skc_state) != BPF_TCP_LISTEN ||
	    BPF_CORE_READ((const struct sock *)sk, sk_protocol) != DECIDE_TCP)
		return 0;
	slot = slot_of_cgroup((__u64)BPF_CORE_READ(task, cgroups, dfl_cgrp));
	w = bpf_map_lookup_elem(&workloads, &slot);
	if (slot < SLOT_FIRST || !w || slot_of_cgroup(cgroup_of(sk)) == slot)
		return 0;
	__builtin_memset(&r, 0, sizeof(r));
	r.workload = (__u64)w->serial << 32 | slot;
	r.netns = netns_of(sk);
	r.at = end_of(sk, false);
	r.at.mapped = 0;
	r.pid = (__u32)BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_STR_INTO(&r.command, task, comm);
	bpf_seq_write((struct seq_file *)ctx->meta->seq, &r, sizeof(r));
	return 0;
}
