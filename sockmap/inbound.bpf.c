// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* inbound.bpf.c - every IP packet to the workload's sockets passes here: a connection that has to
 * be read comes from our leg or not at all, whatever network namespace, device or address it takes.
 *
 * In the ordinary case lookup.bpf.c has answered before; this is what makes its answer binding. */
#include "packet.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Is the socket that sends this SYN a leg of ours? It is on this host, and in this namespace. */
static __always_inline bool is_own_leg(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;
	__u32 *ours;
	bool leg;

	__builtin_memset(&tuple, 0, sizeof(tuple));
	if (p->from.family == WIRE_IPV4) {
		tuple.ipv4.saddr = p->to.ip[0];
		tuple.ipv4.sport = bpf_htons(p->to.port);
		tuple.ipv4.daddr = p->from.ip[0];
		tuple.ipv4.dport = bpf_htons(p->from.port);
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, p->to.ip, sizeof(p->to.ip));
		tuple.ipv6.sport = bpf_htons(p->to.port);
		__builtin_memcpy(tuple.ipv6.daddr, p->from.ip, sizeof(p->from.ip));
		tuple.ipv6.dport = bpf_htons(p->from.port);
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	ours = bpf_sk_storage_get(&listeners, sk, NULL, 0);
	leg = ours && *ours == OURS_LEG;
	bpf_sk_release(sk);
	return leg;
}

static __always_inline int judge_syn(struct __sk_buff *skb, struct packet *p,
				     const struct subject *who)
{
	struct endpoint client;
	__u32 action;

	if (!parse_ports(skb, p))
		return 0;
	client = p->from;
	client.port = p->to.port;
	if (is_within_on(skb, who, &client))
		return 1;
	action = judge_client(who, &client, DECIDE_TCP);
	if (action == L4_ALLOW || is_own_leg(skb, p))
		return 1;
	if (action == L4_STEER)
		return refuse_from(who, STEER_ACCEPT_UNSTEERABLE, &p->from, &p->to, DECIDE_TCP);
	/* In audit lookup.bpf.c has said it. */
	return audit_mode ? 1
			  : refuse_from(who, STEER_ACCEPT_REFUSED, &p->from, &p->to, DECIDE_TCP);
}

/* To a listener come SYNs, and what ends their handshake. */
static __always_inline int to_listener(struct __sk_buff *skb, const struct subject *who)
{
	struct packet p = { .offset = 0 };
	__u16 word;

	if (!parse_packet(skb, &p) || p.protocol != IPPROTO_TCP || !parse_tcp_word(skb, &p, &word))
		return 0;
	return is_first_syn(word) ? judge_syn(skb, &p, who) : 1;
}

/* One of which nothing is known is older than the programs and was not found yet, or there was no
 * memory for its mark, or another processor is about to end its handshake. */
static __always_inline int to_connection(const struct __sk_buff *skb, const struct bpf_sock *sk,
					 struct mark *m, const struct subject *who)
{
	struct endpoint client;

	if (!m || is_unknown(m))
		return audit_mode || sk->state == BPF_TCP_SYN_RECV;
	if ((!m->incoming && !m->either) || m->fate == FATE_CARRIED)
		return 1;
	if (m->fate == FATE_ALONE && stays_within(skb, m, who))
		return 1;
	if (m->fate == FATE_ALONE && m->within) {
		/* A packet that somebody sent in its name must not end it. */
		client = m->destination;
		return judge_client(who, &client, DECIDE_TCP) == L4_ALLOW || audit_mode;
	}
	if (m->fate == FATE_ALONE && mark_holds(who, m, DECIDE_TCP, 0))
		return 1;
	return audit_mode ? 1 : 0;
}

/* A peer to whom the workload wrote may answer. */
static __always_inline int to_udp(struct __sk_buff *skb, struct mark *m, const struct subject *who)
{
	struct packet p = { .offset = 0 };
	struct endpoint client;
	struct peer_key key;

	if (!parse_packet(skb, &p) || p.protocol != IPPROTO_UDP || !parse_ports(skb, &p))
		return 0;
	if (m && is_unknown(m))
		note_older_peer(who->sk, m);
	if (m && m->destination.family) {
		struct endpoint peer = m->destination;

		if (endpoint_same(&p.from, &peer))
			return 1;
	}
	client = p.from;
	client.port = p.to.port;
	if (is_within_on(skb, who, &client) || judge_client(who, &client, DECIDE_UDP) == L4_ALLOW)
		return 1;
	peer_key_make(&key, bpf_get_socket_cookie(skb), &p.from);
	if (bpf_map_lookup_elem(&udp_sent, &key))
		return 1;
	return refuse_from(who, STEER_DATAGRAM_REFUSED, &p.from, &p.to, DECIDE_UDP);
}

SEC("cgroup_skb/ingress")
int steer_inbound(struct __sk_buff *skb)
{
	const struct steer_config *c = steer_config();
	struct subject who;
	struct bpf_sock *sk;
	struct mark *m;

	if (!c || !c->ingress)
		return c != NULL;
	sk = skb->sk;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	m = mark_of(sk);
	if (!subject_of(&who, c, sk, m))
		return 0;
	if (!who.ingress)
		return 1;
	if (sk->protocol == IPPROTO_TCP && sk->state == BPF_TCP_LISTEN)
		return to_listener(skb, &who);
	if (sk->protocol == IPPROTO_TCP)
		return to_connection(skb, sk, m, &who);
	if (sk->protocol == IPPROTO_UDP)
		return to_udp(skb, m, &who);
	return audit_mode ? 1 : 0; /* made before anything was enforced */
}
