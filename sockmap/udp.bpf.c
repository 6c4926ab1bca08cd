// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* udp.bpf.c - unconnected UDP: sendmsg() is held to the table, and whoever wrote to a socket may be
 * answered. Connected UDP is vetted by connect.bpf.c. */
#include "judge.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Audit: what goes to one place in a row is reported once, and then passes as if it were allowed.
 */
static __always_inline int sendmsg_refuse(struct mark *m, const struct subject *who,
					  const struct endpoint *to, __u32 protocol)
{
	if (audit_mode && m) {
		if (endpoint_same(&m->noted, to))
			return 1;
		m->noted = *to;
	}
	return refuse(who, STEER_SENDMSG_REFUSED, to, protocol);
}

/* Marks the socket as vetted, so that the datagram passes the backstop. A socket that may not send
 * to the peer that it is connected to, or was, may send to others: the backstop is told to whom,
 * since a connected socket's other datagrams do not come here. */
static __always_inline int sendmsg_judge(struct bpf_sock_addr *ctx, struct mark *m,
					 const struct subject *who, const struct endpoint *to)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	bool within = ctx->protocol == DECIDE_UDP && is_within(who, to);

	if (!within && (ctx->protocol != DECIDE_UDP || !udp_allowed(who, to, cookie)) &&
	    !sendmsg_refuse(m, who, to, ctx->protocol))
		return 0;
	if (!m)
		return refuse(who, STEER_NO_ROOM, to, DECIDE_UDP);
	if (is_unknown(m))
		note_older_peer(who->sk, m);
	if (is_unknown(m)) {
		m->generation = m->within ? 0 : who->generation;
		m->fate = FATE_ALONE;
	}
	if (within && m->fate == FATE_ALONE)
		mark_within(m, who);
	if (m->fate == FATE_ALONE && mark_holds(who, m, DECIDE_UDP, cookie))
		return 1;
	if (m->fate != FATE_REVOKED)
		return sendmsg_refuse(m, who, to, DECIDE_UDP);
	m->sent_to = *to;
	return 1;
}

/* Is the datagram sent? Whom the workload writes to may answer, also where nobody may come in. */
static __always_inline bool sendmsg_passes(struct bpf_sock_addr *ctx, const struct steer_config *c,
					   const struct endpoint *to)
{
	struct peer_key key;
	struct subject who;
	struct mark *m;
	__u32 one = 1;

	if (!ctx->sk)
		return audit_mode;
	m = bpf_sk_storage_get(&marks, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!subject_of(&who, c, ctx->sk, m))
		return false;
	if (who.enforced && !sendmsg_judge(ctx, m, &who, to))
		return false;
	if (!who.ingress)
		return true;
	peer_key_make(&key, bpf_get_socket_cookie(ctx), to);
	if (!bpf_map_lookup_elem(&udp_sent, &key))
		bpf_map_update_elem(&udp_sent, &key, &one, BPF_ANY);
	return true;
}

/* An IPv4-mapped destination on an IPv6 socket comes here, as IPv4. The kernel takes AF_UNSPEC for
 * AF_INET, so the family in the address says nothing. */
SEC("cgroup/sendmsg4")
int steer_sendmsg4(struct bpf_sock_addr *ctx)
{
	const struct steer_config *c = steer_config();
	struct endpoint source = endpoint_ipv4(ctx->msg_src_ip4, 0);
	struct endpoint to;

	if (!c)
		return 0;
	to = endpoint_ipv4(ctx->user_ip4, bpf_ntohs((__u16)ctx->user_port));
	if (!c->active)
		return 1;
	endpoint_normalise(&to, &source);
	if (!sendmsg_passes(ctx, c, &to))
		return 0;
	ctx->user_ip4 = to.ip[0];
	return 1;
}

SEC("cgroup/sendmsg6")
int steer_sendmsg6(struct bpf_sock_addr *ctx)
{
	const struct steer_config *c = steer_config();
	volatile __u32 *ip = ctx->user_ip6; /* clang must not merge the stores: not allowed here */
	struct endpoint to, source;

	if (!c)
		return 0;
	to = endpoint_ipv6(ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3],
			   bpf_ntohs((__u16)ctx->user_port));
	if (!c->active)
		return 1;
	__builtin_memset(&source, 0, sizeof(source));
	endpoint_normalise(&to, &source);
	if (!sendmsg_passes(ctx, c, &to))
		return 0;
	if (to.family == WIRE_IPV6)
		ip[3] = to.ip[3]; /* the rest of :: and of ::1 is the same */
	return 1;
}

/* The mark keeps whose the socket is. */
static __always_inline int remember_peer(struct bpf_sock_addr *ctx, const struct endpoint *peer)
{
	const struct steer_config *c = steer_config();
	struct peer_key key;
	struct subject who;
	struct mark *m;
	__u32 one = 1;

	if (!c || !c->active || ctx->protocol != DECIDE_UDP || !ctx->sk)
		return 1;
	m = bpf_sk_storage_get(&marks, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!subject_of(&who, c, ctx->sk, m) || !who.enforced)
		return 1;
	peer_key_make(&key, bpf_get_socket_cookie(ctx), peer);
	if (!bpf_map_lookup_elem(&udp_peers, &key))
		bpf_map_update_elem(&udp_peers, &key, &one, BPF_ANY);
	return 1;
}

SEC("cgroup/recvmsg4")
int steer_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct endpoint peer = endpoint_ipv4(ctx->user_ip4, bpf_ntohs((__u16)ctx->user_port));

	return remember_peer(ctx, &peer);
}

SEC("cgroup/recvmsg6")
int steer_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct endpoint peer = endpoint_ipv6(ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
					     ctx->user_ip6[3], bpf_ntohs((__u16)ctx->user_port));

	return remember_peer(ctx, &peer);
}
