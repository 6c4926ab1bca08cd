// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* lookup.bpf.c - who gets a TCP connection that comes to the network namespace: the workload's
 * server, our listener, or nobody.
 *
 * Asked by the kernel for each packet of no known connection, before it looks for a listener
 * itself. Only places at which the workload listens are ours to answer for. What this lets by
 * without right is dropped by inbound.bpf.c, so an exemption in here needs to be true only for
 * connections to work. */
#include <linux/in.h>
#include "places.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FAMILY_INET 2

/* The network namespace to which this copy is attached: it cannot ask. Set before loading. */
const volatile __u64 lookup_netns = 0;
const volatile __u32 lookup_number = 0;

static __always_inline struct listening_place *listened_at(const struct place_key *key)
{
	struct listening_place *p = bpf_map_lookup_elem(&listening, key);

	return p && place_is_held(p) ? p : NULL;
}

/* Who listens at TO; the answer is kept as in the mark of a socket. Where it is more than one
 * workload the kernel chooses, and inbound.bpf.c holds. */
static __always_inline bool find_server(struct subject *who, const struct steer_config *c,
					const struct endpoint *to)
{
	__u32 now = members_now(c), slot;
	struct listening_place *p;
	struct place_key key;
	__u64 memo;

	place_key_make(&key, lookup_netns, to);
	p = listened_at(&key);
	if (!p) {
		__builtin_memset(key.at.ip, 0, sizeof(key.at.ip));
		p = listened_at(&key);
	}
	if (!p)
		return false;
	memo = *(volatile __u64 *)&p->memo;
	slot = MEMO_SLOT(memo);
	if (MEMO_SEEN(memo) != now) {
		slot = slot_of_place(p);
		/* Not over a change meanwhile. */
		__sync_val_compare_and_swap(&p->memo, memo, memo_of(slot, now));
	}
	/* Who takes the client asks later (steer_inbound.c). */
	if (*(volatile __u64 *)&p->found != memo_of(slot, now))
		*(volatile __u64 *)&p->found = memo_of(slot, now);
	if (!subject_at(who, c, slot))
		return false;
	who->netns = lookup_netns;
	return true;
}

static __always_inline bool is_leg(const struct endpoint *from, const struct endpoint *to)
{
	struct leg_key key;

	__builtin_memset(&key, 0, sizeof(key));
	key.netns = lookup_netns;
	key.leg = *from;
	key.server = *to;
	return bpf_map_lookup_elem(&legs, &key) != NULL;
}

static __always_inline int answer(int passes)
{
	return passes ? SK_PASS : SK_DROP;
}

/* One of our listeners, by the client: its retransmitted SYN finds the same. The kernel's own
 * choice within a group that shares a port could give the connection to somebody who joined the
 * group. */
static __always_inline int hand_over(struct bpf_sk_lookup *ctx, const struct subject *who,
				     const struct endpoint *from, const struct endpoint *to)
{
	__u32 spread = (from->ip[0] ^ from->ip[3] ^ from->port) * 2654435761u >> 16;
	bool ipv4 = to->family == WIRE_IPV4;
	const struct netns_config *here;
	__u32 number = lookup_number, n, at;
	struct bpf_sock *sk;
	long r;

	here = bpf_map_lookup_elem(&netns_configs, &number);
	if (!here)
		return SK_DROP;
	n = ipv4 ? here->inbound4 : here->inbound6;
	if (endpoint_is_link_local(to)) /* our leg could not say on which link */
		return answer(refuse_from(who, STEER_ACCEPT_UNSTEERABLE, from, to, DECIDE_TCP));
	if (!n)
		return answer(refuse_from(who, STEER_ACCEPT_NO_LISTENER, from, to, DECIDE_TCP));
	at = number * INBOUND_SLOTS + (ipv4 ? 0 : INBOUND_MAX) + spread % n;
	sk = bpf_map_lookup_elem(&inbound, &at);
	if (!sk)
		return answer(refuse_from(who, STEER_ACCEPT_NO_LISTENER, from, to, DECIDE_TCP));
	r = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
	bpf_sk_release(sk);
	return r ? answer(refuse_from(who, STEER_ACCEPT_NO_LISTENER, from, to, DECIDE_TCP))
		 : SK_PASS;
}

SEC("sk_lookup")
int steer_lookup(struct bpf_sk_lookup *ctx)
{
	const struct steer_config *c = steer_config();
	struct endpoint from, to, client;
	struct subject server, *who = &server;
	__u16 port = bpf_ntohs((__u16)ctx->remote_port);
	__u32 action;

	/* No client has port 0: it is bpf_sk_lookup_tcp() that asks who listens. */
	if (!c || !c->ingress || ctx->protocol != IPPROTO_TCP || !port)
		return SK_PASS;
	if (ctx->family == FAMILY_INET) {
		from = endpoint_ipv4(ctx->remote_ip4, port);
		to = endpoint_ipv4(ctx->local_ip4, (__u16)ctx->local_port);
	} else {
		from = endpoint_ipv6(ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[2],
				     ctx->remote_ip6[3], port);
		to = endpoint_ipv6(ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2],
				   ctx->local_ip6[3], (__u16)ctx->local_port);
	}
	if (!find_server(who, c, &to) || !who->ingress || is_leg(&from, &to))
		return SK_PASS;
	client = from;
	client.port = to.port;
	if (is_within(who, &client)) /* by its address; inbound.bpf.c knows */
		return SK_PASS;
	action = judge_client(who, &client, DECIDE_TCP);
	if (action == L4_ALLOW)
		return SK_PASS;
	if (action != L4_STEER)
		return answer(refuse_from(who, STEER_ACCEPT_REFUSED, &from, &to, DECIDE_TCP));
	return hand_over(ctx, who, &from, &to);
}
