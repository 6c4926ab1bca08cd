// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* names.bpf.c - getpeername() and getsockname() of a steered socket say what they would say if
 * nobody had steered it; accept() and getpeername() of a server name the client, not our leg. */
#include "judge.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline struct mark *steered(struct bpf_sock_addr *ctx)
{
	struct mark *m;

	if (!ctx->sk)
		return NULL;
	m = bpf_sk_storage_get(&marks, ctx->sk, NULL, 0);
	return m && m->fate == FATE_STEERED ? m : NULL;
}

static __always_inline struct endpoint *peer_of(struct bpf_sock_addr *ctx)
{
	struct mark *m;

	if (!ctx->sk)
		return NULL;
	m = bpf_sk_storage_get(&marks, ctx->sk, NULL, 0);
	if (m && m->fate == FATE_STEERED)
		return &m->destination;
	return m && m->fate == FATE_CARRIED ? &m->source : NULL;
}

/* The local address of the upstream leg, once there is one. An address that the application bound
 * itself is true already. The port is its own in either case. */
static __always_inline struct endpoint *local_of(struct mark *m)
{
	struct flow_key key = m->key;
	struct endpoint *local;

	if (!(m->filed & FILED_LOCAL))
		return NULL;
	local = bpf_map_lookup_elem(&locals, &key);
	return local && local->family == key.family ? local : NULL;
}

static __always_inline void write_ipv6(struct bpf_sock_addr *ctx, const struct endpoint *e)
{
	volatile __u32 *ip = ctx->user_ip6; /* clang must not merge the stores: not allowed here */
	bool ipv4 = e->family == WIRE_IPV4;

	ip[0] = ipv4 ? 0 : e->ip[0];
	ip[1] = ipv4 ? 0 : e->ip[1];
	ip[2] = ipv4 ? bpf_htonl(0xffff) : e->ip[2];
	ip[3] = ipv4 ? e->ip[0] : e->ip[3];
}

SEC("cgroup/getpeername4")
int steer_getpeername4(struct bpf_sock_addr *ctx)
{
	struct endpoint *peer = peer_of(ctx);

	if (peer) {
		ctx->user_ip4 = peer->ip[0];
		ctx->user_port = bpf_htons(peer->port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int steer_getpeername6(struct bpf_sock_addr *ctx)
{
	struct endpoint *peer = peer_of(ctx);

	if (peer) {
		struct endpoint e = *peer;

		write_ipv6(ctx, &e);
		ctx->user_port = bpf_htons(e.port);
	}
	return 1;
}

SEC("cgroup/getsockname4")
int steer_getsockname4(struct bpf_sock_addr *ctx)
{
	struct mark *m = steered(ctx);
	struct endpoint *local = m ? local_of(m) : NULL;

	if (local)
		ctx->user_ip4 = local->ip[0];
	return 1;
}

SEC("cgroup/getsockname6")
int steer_getsockname6(struct bpf_sock_addr *ctx)
{
	struct mark *m = steered(ctx);
	struct endpoint *local = m ? local_of(m) : NULL;

	if (local) {
		struct endpoint e = *local;

		write_ipv6(ctx, &e);
	}
	return 1;
}
