// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* connect.bpf.c - connect(): refuse, leave alone, or steer to our listener. */
#include "judge.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SOL_SOCKET	1
#define SO_BINDTODEVICE 25
#define FAMILY_INET	2
#define FAMILY_INET6	10

/* One call of connect(), as far as we know it. */
struct attempt {
	struct endpoint to;	/* normalised: what the kernel would dial */
	struct endpoint source; /* bound, or family 0 */
	struct endpoint dial;	/* in: what was asked for; out: what connect() shall dial */
	__u32 device;
	__u32 protocol;
	__u16 source_port; /* bound, host byte order, or 0 */
	bool misnamed;	   /* the address names another family than the socket's */
};

/* A socket that connects again starts anew; only the device that we took off is remembered. */
static __always_inline void mark_begin(struct mark *m, const struct attempt *a)
{
	__u32 device = m->device;
	__u64 memo = m->memo;

	__builtin_memset(m, 0, sizeof(*m));
	m->memo = memo;
	m->destination = a->to;
	m->source = a->source;
	m->device = a->device ? a->device : device;
}

/* In audit: left alone, as if the table allowed it. */
static __always_inline int refuse_attempt(__u32 kind, struct mark *m, const struct subject *who,
					  const struct attempt *a)
{
	if (!refuse(who, kind, &a->to, a->protocol))
		return 0;
	m->device = 0;
	m->audited = 1;
	m->generation = who->generation;
	m->fate = FATE_ALONE;
	return 1;
}

/* GENERATION 0: nobody has judged it, which is done as soon as something is enforced. */
static __always_inline int leave_alone(struct mark *m, const struct subject *who, __u32 generation,
				       const struct attempt *a)
{
	/* The socket was bound to a device until an earlier connect was steered: it would now leave
	 * by another one than the application thinks. */
	if (m->device && !a->device)
		return refuse_attempt(STEER_CONNECT_UNSTEERABLE, m, who, a);
	m->device = 0;
	m->generation = generation;
	m->fate = FATE_ALONE;
	return 1;
}

static __always_inline int leave_within(struct mark *m, const struct subject *who,
					const struct attempt *a)
{
	if (!leave_alone(m, who, 0, a))
		return 0;
	mark_within(m, who);
	return 1;
}

/* Is there already a connection from A's own port to our listener? Then the kernel would refuse
 * another one, though A's destination is another than that one's. */
static __always_inline bool port_is_taken(struct bpf_sock_addr *ctx, const struct attempt *a,
					  const struct endpoint *listener)
{
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;
	bool taken;

	__builtin_memset(&tuple, 0, sizeof(tuple));
	if (listener->family == WIRE_IPV4) {
		tuple.ipv4.daddr = listener->ip[0];
		tuple.ipv4.dport = bpf_htons(listener->port);
		tuple.ipv4.saddr = a->source.family ? a->source.ip[0] : DECIDE_LOOPBACK;
		tuple.ipv4.sport = bpf_htons(a->source_port);
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, listener->ip, sizeof(listener->ip));
		tuple.ipv6.dport = bpf_htons(listener->port);
		if (a->source.family)
			__builtin_memcpy(tuple.ipv6.saddr, a->source.ip, sizeof(a->source.ip));
		else
			tuple.ipv6.saddr[3] = bpf_htonl(1);
		tuple.ipv6.sport = bpf_htons(a->source_port);
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return true; /* TIME_WAIT */
	taken = !bpf_sk_storage_get(&listeners, sk, NULL, 0);
	bpf_sk_release(sk);
	return taken;
}

static __always_inline int steer(struct bpf_sock_addr *ctx, struct mark *m,
				 const struct subject *who, struct attempt *a)
{
	bool ipv4 = a->to.family == WIRE_IPV4;
	const struct netns_config *here = netns_of_subject(who);
	struct endpoint listener = { .family = a->to.family };

	if (here)
		listener.port = ipv4 ? here->port4 : here->port6;
	if (ipv4)
		listener.ip[0] = DECIDE_LOOPBACK;
	else
		listener.ip[3] = bpf_htonl(1);
	/* The scope of the destination is not visible here: without a device nobody can say which
	 * link is meant. And from a link-local source the loopback interface is not reachable. */
	if ((endpoint_is_link_local(&a->to) && !m->device) || endpoint_is_link_local(&a->source))
		return refuse_attempt(STEER_CONNECT_UNSTEERABLE, m, who, a);
	if (!listener.port || listener_at(ctx, &listener) != LISTENS_OURS)
		return refuse_attempt(STEER_CONNECT_NO_LISTENER, m, who, a);
	if (audit_mode && a->source_port && port_is_taken(ctx, a, &listener))
		return refuse_attempt(STEER_CONNECT_PORT_TAKEN, m, who, a);
	if (a->device) {
		char none[4] = "";

		if (bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, none, sizeof(none)))
			return refuse_attempt(STEER_CONNECT_UNSTEERABLE, m, who, a);
	}
	listener.mapped = a->to.mapped;
	a->dial = listener;
	m->key.netns = bpf_get_netns_cookie(ctx);
	m->key.family = a->to.family;
	m->fate = FATE_STEERED;
	return 1;
}

/* Is there nobody at the local place A->TO? Leaves the network namespace in M for the backstop. */
static __always_inline bool nobody_listens(struct bpf_sock_addr *ctx, struct mark *m,
					   const struct attempt *a)
{
	struct place_key key;

	if (listener_at(ctx, &a->to) != LISTENS_NOBODY)
		return false;
	m->key.netns = bpf_get_netns_cookie(ctx);
	place_key_make(&key, m->key.netns, &a->to);
	m->by_hint = bpf_map_lookup_elem(&hidden_listeners, &key) != NULL;
	return !m->by_hint;
}

static __always_inline int judge_tcp(struct bpf_sock_addr *ctx, struct mark *m,
				     const struct subject *who, struct attempt *a)
{
	struct standing s = standing_of(who, &a->to);
	__u32 route = s.route, action;
	bool nobody;

	if (s.within)
		return leave_within(m, who, a);
	action = judge_direction(who, &a->to, DECIDE_TCP, s.host, L4_EGRESS);
	if (action == L4_REFUSE)
		return refuse_attempt(STEER_CONNECT_REFUSED, m, who, a);
	if (action == L4_ALLOW)
		return leave_alone(m, who, who->generation, a);
	nobody = route == ROUTE_LOCAL && nobody_listens(ctx, m, a);
	if (decide_fails_anyway(route, &a->to, nobody)) {
		m->fate = FATE_DOOMED;
		return 1;
	}
	return steer(ctx, m, who, a);
}

/* Also where nothing is enforced: a connection without a mark could not be told from an accepted
 * one when something is. */
static __always_inline int connect_judge(struct bpf_sock_addr *ctx, struct attempt *a)
{
	const struct steer_config *c = steer_config();
	struct subject who;
	struct mark *m;

	if (!c || !ctx->sk)
		return 0;
	a->to = a->dial;
	endpoint_normalise(&a->to, &a->source);
	a->dial = a->to;
	m = bpf_sk_storage_get(&marks, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!subject_of(&who, c, ctx->sk, m))
		return 0;
	if (!m)
		return refuse(&who, STEER_NO_ROOM, &a->to, a->protocol);
	if (a->misnamed && who.enforced)
		return refuse(&who, STEER_CONNECT_REFUSED, &a->to, a->protocol);
	mark_begin(m, a);
	if (!who.enforced)
		return leave_alone(m, &who, 0, a);
	if (a->protocol == DECIDE_TCP)
		return judge_tcp(ctx, m, &who, a);
	if (a->protocol != DECIDE_UDP)
		return refuse_attempt(STEER_CONNECT_REFUSED, m, &who, a);
	if (is_within(&who, &a->to))
		return leave_within(m, &who, a);
	if (udp_allowed(&who, &a->to, bpf_get_socket_cookie(ctx)))
		return leave_alone(m, &who, who.generation, a);
	/* A connect() on UDP sends nothing; getaddrinfo() does it only to compare addresses. What
	 * is sent afterwards is refused and reported (backstop.bpf.c). */
	m->fate = FATE_REVOKED;
	return 1;
}

static __always_inline void attempt_begin(struct bpf_sock_addr *ctx, struct attempt *a)
{
	struct bpf_sock *sk = ctx->sk;

	__builtin_memset(a, 0, sizeof(*a));
	a->protocol = ctx->protocol;
	if (!sk)
		return;
	a->device = sk->bound_dev_if;
	a->source_port = (__u16)sk->src_port;
	if (sk->family == FAMILY_INET)
		a->source = endpoint_ipv4(sk->src_ip4, 0);
	else
		a->source = endpoint_ipv6(sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2],
					  sk->src_ip6[3], 0);
	if (endpoint_is_any(&a->source) && !a->source.mapped)
		a->source.family = 0;
}

SEC("cgroup/connect4")
int steer_connect4(struct bpf_sock_addr *ctx)
{
	struct attempt a;

	attempt_begin(ctx, &a);
	a.dial = endpoint_ipv4(ctx->user_ip4, bpf_ntohs((__u16)ctx->user_port));
	a.misnamed = ctx->user_family != FAMILY_INET;
	if (!connect_judge(ctx, &a))
		return 0;
	ctx->user_ip4 = a.dial.ip[0];
	ctx->user_port = bpf_htons(a.dial.port);
	return 1;
}

SEC("cgroup/connect6")
int steer_connect6(struct bpf_sock_addr *ctx)
{
	volatile __u32 *ip = ctx->user_ip6; /* clang must not merge the stores: not allowed here */
	struct attempt a;
	bool mapped;

	attempt_begin(ctx, &a);
	a.dial = endpoint_ipv6(ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
			       ctx->user_ip6[3], bpf_ntohs((__u16)ctx->user_port));
	a.misnamed = ctx->user_family != FAMILY_INET6;
	if (!connect_judge(ctx, &a))
		return 0;
	mapped = a.dial.mapped;
	ip[0] = mapped ? 0 : a.dial.ip[0];
	ip[1] = mapped ? 0 : a.dial.ip[1];
	ip[2] = mapped ? bpf_htonl(0xffff) : a.dial.ip[2];
	ip[3] = mapped ? a.dial.ip[0] : a.dial.ip[3];
	ctx->user_port = bpf_htons(a.dial.port);
	return 1;
}
