// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* passive.bpf.c - sock_ops: where the workload listens, and what it accepts.
 *
 * Also while nothing is enforced, so that a later policy knows the listeners and can be held
 * against the connections that are older than it. */
#include "judge.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FAMILY_INET 2

static __always_inline struct endpoint local_of(const struct bpf_sock_ops *ctx)
{
	__u16 port = (__u16)ctx->local_port;

	if (ctx->family == FAMILY_INET)
		return endpoint_ipv4(ctx->local_ip4, port);
	return endpoint_ipv6(ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2],
			     ctx->local_ip6[3], port);
}

static __always_inline struct endpoint remote_of(const struct bpf_sock_ops *ctx)
{
	__u16 port = (__u16)bpf_ntohl(ctx->remote_port);

	if (ctx->family == FAMILY_INET)
		return endpoint_ipv4(ctx->remote_ip4, port);
	return endpoint_ipv6(ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[2],
			     ctx->remote_ip6[3], port);
}

static __always_inline struct mark *mark_incoming(struct bpf_sock *sk, __u32 fate)
{
	struct mark *m = bpf_sk_storage_get(&marks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	__u64 memo;

	if (!m)
		return NULL;
	memo = m->memo;
	__builtin_memset(m, 0, sizeof(*m));
	m->memo = memo;
	m->incoming = 1;
	m->fate = fate;
	return m;
}

/* ---- listeners ---- */

/* They may be below different cgroups, as long as those are one workload's. Its own cgroup lives as
 * long as one of them. */
static __always_inline void join_place(struct listening_place *p, __u64 cgroup)
{
	__u64 first = __sync_val_compare_and_swap(&p->cgroup, 0, cgroup), own;

	if (!first || first == cgroup)
		return;
	own = member_above(cgroup);
	if (own > MEMBER_TOO_DEEP && own == member_above(first))
		p->cgroup = own;
	else
		p->several = 1;
}

static __always_inline void begin_at(const struct place_key *key, __u64 cgroup)
{
	struct listening_place *p = bpf_map_lookup_elem(&listening, key);

	if (!p) {
		struct listening_place none;

		/* Whoever is faster makes it. */
		__builtin_memset(&none, 0, sizeof(none));
		bpf_map_update_elem(&listening, key, &none, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&listening, key);
	}
	if (!p)
		return;
	if (__sync_fetch_and_add(&p->sockets, 1) <= 0) {
		p->several = 0;
		p->cgroup = 0;
		p->memo = 0;
	}
	join_place(p, cgroup);
}

static __always_inline void end_at(const struct place_key *key)
{
	struct listening_place *p = bpf_map_lookup_elem(&listening, key);

	if (p)
		__sync_fetch_and_add(&p->sockets, -1);
}

/* CGROUP 0: it has ended. */
static __always_inline void count_places(struct mark *m, __u64 cgroup)
{
	struct endpoint at = m->destination;
	struct place_key key;

	place_key_make(&key, m->key.netns, &at);
	for (int i = 0; i < 2; i++) {
		if (m->filed & (i ? FILED_DUAL : FILED_PLACE)) {
			if (cgroup)
				begin_at(&key, cgroup);
			else
				end_at(&key);
		}
		key.at.family = WIRE_IPV4;
	}
}

/* A socket of IPv6 that is bound to no address takes IPv4 as well, unless it was told not to. */
static __always_inline bool takes_both(struct bpf_sock *sk, const struct endpoint *at)
{
	const struct sock_common *common;

	if (at->family != WIRE_IPV6 || !endpoint_is_any(at))
		return false;
	common = (const void *)bpf_skc_to_tcp6_sock(sk);
	return common && !BPF_CORE_READ_BITFIELD_PROBED(common, skc_ipv6only);
}

/* One that is bound to a device is left to inbound.bpf.c: our leg would not come from there, and
 * the same port may be somebody else's on another device. */
static __always_inline void begin_to_listen(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct mark *m = mark_incoming(sk, FATE_LISTENING);
	struct endpoint at = local_of(ctx);

	if (!m || sk->bound_dev_if)
		return;
	at.mapped = 0;
	m->destination = at;
	m->key.netns = bpf_get_netns_cookie(ctx);
	m->filed = FILED_PLACE;
	if (takes_both(sk, &at))
		m->filed |= FILED_DUAL;
	count_places(m, cgroup_of(address_of(sk)));
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void end_to_listen(struct bpf_sock *sk)
{
	struct mark *m = bpf_sk_storage_get(&marks, sk, NULL, 0);

	if (!m || m->fate != FATE_LISTENING)
		return;
	count_places(m, 0);
	m->filed = 0;
}

/* ---- what they accept ---- */

static __always_inline void accepted(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	const struct steer_config *c = steer_config();
	struct endpoint *client, to = local_of(ctx);
	struct mark *m = mark_incoming(sk, FATE_ALONE);
	struct subject who;
	struct leg_key key;

	if (!c || !m) /* inbound.bpf.c lets nothing pass to it */
		return;
	to.mapped = 0;
	__builtin_memset(&key, 0, sizeof(key));
	key.netns = bpf_get_netns_cookie(ctx);
	key.leg = remote_of(ctx);
	key.leg.mapped = 0;
	key.server = to;
	client = bpf_map_lookup_elem(&legs, &key);
	if (client) {
		m->source = *client;
		m->fate = FATE_CARRIED;
		return;
	}
	m->destination = key.leg;
	m->destination.port = to.port;
	if (!subject_of(&who, c, sk, m) || !who.ingress)
		return;
	/* Its SYN was let in, but by a table that may have changed; or there was none (cookies). */
	to = m->destination;
	if (is_within(&who, &to)) {
		mark_within(m, &who);
		return;
	}
	m->generation = who.generation;
	if (!audit_mode && judge_client(&who, &to, DECIDE_TCP) != L4_ALLOW)
		m->fate = FATE_REVOKED;
}

SEC("sockops")
int steer_passive(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;

	if (ctx->op != BPF_SOCK_OPS_TCP_LISTEN_CB && ctx->op != BPF_SOCK_OPS_STATE_CB &&
	    ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[0] != BPF_TCP_LISTEN)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_TCP_LISTEN_CB)
		begin_to_listen(ctx, sk);
	else if (ctx->op == BPF_SOCK_OPS_STATE_CB)
		end_to_listen(sk);
	else
		accepted(ctx, sk);
	return 1;
}
