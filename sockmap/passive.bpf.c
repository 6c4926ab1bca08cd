// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* passive.bpf.c - sock_ops: where the workload listens, and what it accepts.
 *
 * Also while nothing is enforced, so that a later policy knows the listeners and can be held
 * against the connections that are older than it. */
#include "places.bpf.h"

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

static __always_inline void end_to_listen(struct bpf_sock *sk)
{
	struct mark *m = bpf_sk_storage_get(&marks, sk, NULL, 0);

	if (m)
		listening_ends(m, address_of(sk));
}

/* One that is older than the programs may have stopped to listen unheard, and begins again. */
static __always_inline void begin_to_listen(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct mark *m;

	end_to_listen(sk);
	m = mark_incoming(sk, FATE_LISTENING);
	if (!m)
		return;
	listening_begins(m, address_of(sk), bpf_get_netns_cookie(ctx));
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
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
