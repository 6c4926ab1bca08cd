// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* backstop.bpf.c - every IP packet of the workload's sockets passes here, and what the other hooks
 * have not vetted does not.
 *
 * Not decided by the packet's destination: NAT may have changed it by now. The mark of the socket
 * says what was vetted. */
#include "packet.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ICMPV6_MLD_FIRST   130
#define ICMPV6_ND_LAST	   136
#define ICMPV6_MLD2_REPORT 143

/* In audit it passes, and a socket is reported once: M, or NULL where there is none. */
static __always_inline int drop_as(const struct subject *who, __u32 kind, const struct endpoint *to,
				   __u32 protocol, struct mark *m)
{
	struct event_record *e;

	if (audit_mode && m) {
		if (m->audited)
			return 1;
		m->audited = 1;
	}
	e = event_begin(who, kind, to, protocol);
	if (e) {
		e->audit = audit_mode;
		bpf_ringbuf_submit(e, 0);
	}
	return audit_mode ? 1 : 0;
}

static __always_inline int drop(const struct subject *who, const struct packet *p, struct mark *m)
{
	return drop_as(who, STEER_PACKET_DROPPED, &p->to, p->protocol, m);
}

/* To our listener's port, which is not ours any more: whoever has it is not whom the application
 * means, so that it must not pass in audit either. */
static __always_inline int drop_astray(const struct subject *who, const struct packet *p)
{
	struct event_record *e = event_begin(who, STEER_PACKET_DROPPED, &p->to, p->protocol);

	if (e)
		bpf_ringbuf_submit(e, 0);
	return 0;
}

/* A SYN that will be answered by RST, whatever it carries no byte of: nobody listens there, and it
 * goes nowhere else. */
static __always_inline bool is_harmless(struct __sk_buff *skb, const struct packet *p,
					__u16 flags_word)
{
	__u32 header = (__u32)(flags_word >> 12) * 4;

	return skb->ifindex == LOOPBACK_IFINDEX && skb->len == p->offset + header &&
	       listener_at(skb, &p->to) == LISTENS_NOBODY;
}

/* A listener that connect() does not see. This SYN must not reach it; the next connect() is steered
 * to it. */
static __always_inline void remember_hidden(const struct mark *m)
{
	struct place_key key;
	__u32 one = 1;

	place_key_make(&key, m->key.netns, &m->destination);
	bpf_map_update_elem(&hidden_listeners, &key, &one, BPF_ANY);
}

static __always_inline void forget_hidden(struct __sk_buff *skb, const struct mark *m)
{
	struct endpoint at = m->destination;
	struct place_key key;

	if (listener_at(skb, &at) != LISTENS_NOBODY)
		return;
	place_key_make(&key, m->key.netns, &at);
	bpf_map_delete_elem(&hidden_listeners, &key);
}

/* The SYN of a socket that is left to fail, at a port of this host on which nobody listens. */
static __always_inline int pass_doomed(struct __sk_buff *skb, struct packet *p, struct mark *m,
				       const struct subject *who, __u16 flags_word)
{
	if (!endpoint_same_address(&p->to, &m->destination) || route_of(who, &p->to) != ROUTE_LOCAL)
		return drop(who, p, m);
	if (is_harmless(skb, p, flags_word))
		return 1;
	if (endpoint_same(&p->to, &m->destination))
		remember_hidden(m);
	return drop(who, p, m);
}

static __always_inline int pass_syn(struct __sk_buff *skb, struct packet *p, struct mark *m,
				    const struct subject *who, __u16 flags_word)
{
	if (!m || m->incoming)
		return drop(who, p, m);
	if (m->fate == FATE_ALONE)
		return mark_holds(who, m, DECIDE_TCP, 0) ? 1 : drop(who, p, m);
	if (m->fate != FATE_STEERED && m->fate != FATE_DOOMED)
		return drop(who, p, m);
	if (!parse_ports(skb, p))
		return drop(who, p, m);
	if (m->fate == FATE_DOOMED)
		return pass_doomed(skb, p, m, who, flags_word);
	/* Retransmitted after our listener died, it must not reach whoever has its port now. */
	if (listener_at(skb, &p->to) == LISTENS_OURS) {
		if (m->by_hint)
			forget_hidden(skb, m);
		return 1;
	}
	return is_harmless(skb, p, flags_word) ? 1 : drop_astray(who, p);
}

/* A connection that an earlier table allowed. The server, to which it was, may be told that nothing
 * comes any more; the rest is dropped without an event, as whoever changes the table ends the
 * connection and reports it (sweep.c). */
static __always_inline int pass_revoked(struct __sk_buff *skb, const struct packet *p, __u16 word,
					const struct subject *who)
{
	__u32 header = (__u32)(word >> 12) * 4;

	if ((word & TCP_FLAG_BIT_RST) && skb->len == p->offset + header)
		return 1;
	count_for(who, STEER_PACKET_DROPPED);
	return 0;
}

/* Only while the handshake lasts: what is connected has a mark, or is older than the programs and
 * has not been found yet (steer_adopt()). */
static __always_inline bool is_being_accepted(const struct __sk_buff *skb)
{
	const struct bpf_sock *sk = skb->sk;

	return sk && (sk->state == BPF_TCP_NEW_SYN_RECV || sk->state == BPF_TCP_SYN_RECV);
}

static __always_inline int pass_tcp(struct __sk_buff *skb, struct packet *p, struct mark *m,
				    const struct subject *who)
{
	__u16 word;

	if (!parse_tcp_word(skb, p, &word))
		return drop(who, p, m);
	if (is_first_syn(word))
		return pass_syn(skb, p, m, who, word);
	if (is_unknown(m))
		return is_being_accepted(skb) ? 1 : drop(who, p, m);
	/* To our listener, whatever rules its namespace has for packets. */
	if (m->fate == FATE_STEERED)
		return skb->ifindex == LOOPBACK_IFINDEX ? 1 : drop(who, p, m);
	if (m->fate == FATE_ALONE && mark_holds(who, m, DECIDE_TCP, 0))
		return 1;
	if (m->fate == FATE_REVOKED && !audit_mode)
		return pass_revoked(skb, p, word, who);
	return drop(who, p, m);
}

/* Of a socket that listens or was accepted: egress rules are not about it. A connection that a new
 * table does not let in any more is silent, but for the word that it has ended. */
static __always_inline int pass_accepted(struct __sk_buff *skb, struct mark *m,
					 const struct subject *who)
{
	struct packet p = { .offset = 0 };
	__u16 word;

	if (m->fate == FATE_LISTENING || m->fate == FATE_CARRIED || audit_mode)
		return 1;
	if (m->fate == FATE_ALONE && mark_holds(who, m, DECIDE_TCP, 0))
		return 1;
	if (!parse_packet(skb, &p) || p.protocol != IPPROTO_TCP || !parse_tcp_word(skb, &p, &word))
		return 0;
	return pass_revoked(skb, &p, word, who);
}

/* From a socket that may not send to its peer: is this the datagram that sendmsg() vetted for
 * another place? Compared with both, as NAT may have turned the peer's address into that of any
 * other, and as SENT_TO may be written at this moment. */
static __always_inline bool is_sent_elsewhere(const struct __sk_buff *skb, const struct packet *p,
					      const struct mark *m, const struct subject *who,
					      __u64 cookie)
{
	struct endpoint peer = m->destination, vetted = m->sent_to;

	return endpoint_same(&p->to, &vetted) && !endpoint_same(&p->to, &peer) &&
	       (audit_mode || is_within_on(skb, who, &p->to) || udp_allowed(who, &p->to, cookie));
}

/* An unconnected socket was vetted by sendmsg() for this datagram, unless the table changed between
 * the two (a corked socket can hold a datagram back for long): then the packet is judged. */
static __always_inline int pass_udp(struct __sk_buff *skb, struct packet *p, struct mark *m,
				    const struct subject *who)
{
	__u64 cookie;

	if (m && is_unknown(m))
		note_older_peer(who->sk, m);
	if (!m || (m->fate != FATE_ALONE && m->fate != FATE_REVOKED))
		return drop(who, p, m);
	if (m->fate == FATE_ALONE && m->generation == who->generation)
		return 1;
	if (!parse_ports(skb, p))
		return drop(who, p, m);
	cookie = bpf_get_socket_cookie(skb);
	if (!m->destination.family)
		return udp_allowed(who, &p->to, cookie) ? 1 : drop(who, p, m);
	if (m->fate == FATE_ALONE && mark_holds(who, m, DECIDE_UDP, cookie))
		return 1;
	if (!is_sent_elsewhere(skb, p, m, who, cookie)) {
		struct endpoint to = m->destination;

		return drop_as(who, STEER_SENDMSG_REFUSED, &to, DECIDE_UDP, m);
	}
	return 1;
}

/* Neighbour discovery and multicast membership: without them IPv6 does not work. */
static __always_inline int pass_icmpv6(struct __sk_buff *skb, struct packet *p, struct mark *m,
				       const struct subject *who)
{
	__u8 type = 0;

	if (p->to.family == WIRE_IPV6 && !bpf_skb_load_bytes(skb, p->offset, &type, 1) &&
	    ((type >= ICMPV6_MLD_FIRST && type <= ICMPV6_ND_LAST) || type == ICMPV6_MLD2_REPORT))
		return 1;
	return drop(who, p, m);
}

/* Of the table in force for the socket, as it was looked up last. */
static __always_inline __u32 generation_of(const struct mark *m)
{
	__u32 slot = MEMO_SLOT(m->memo);
	const struct workload_config *w = bpf_map_lookup_elem(&workloads, &slot);

	return w ? w->generation : GENERATION_GONE;
}

/* Nearly every packet: TCP right behind a header without options, of a socket whose connection
 * holds, and of a steered one no SYN. What is not plainly that is parsed and judged: false. */
static __always_inline bool is_of_vetted(struct __sk_buff *skb, const struct mark *m)
{
	const __u8 *p = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 flags;

	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (p + sizeof(struct ipv6hdr) + TCP_HEADER > end || p[0] >> 4 != 6 ||
		    ((const struct ipv6hdr *)p)->nexthdr != IPPROTO_TCP)
			return false;
		flags = p[sizeof(struct ipv6hdr) + TCP_FLAGS_OFFSET];
	} else {
		const struct iphdr *ip = (const void *)p;

		if (p + sizeof(*ip) + TCP_HEADER > end || p[0] != 0x45 ||
		    ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(IP_FRAGMENT_BITS))
			return false;
		flags = p[sizeof(*ip) + TCP_FLAGS_OFFSET];
	}
	if (m->fate == FATE_ALONE)
		return m->generation == generation_of(m);
	if (m->fate == FATE_STEERED)
		return skb->ifindex == LOOPBACK_IFINDEX && !is_first_syn(flags);
	return m->fate == FATE_CARRIED && !is_first_syn(flags);
}

/* Of a socket that sends for itself, or of none. */
static __always_inline int pass_own(struct __sk_buff *skb, struct mark *m,
				    const struct subject *who)
{
	struct packet p = { .offset = 0 };

	/* IPv4 options can name another destination than the header (source route). */
	if (!parse_packet(skb, &p) || p.options)
		return drop(who, &p, m);
	if (p.protocol == IPPROTO_TCP)
		return pass_tcp(skb, &p, m, who);
	if (p.protocol == IPPROTO_UDP)
		return pass_udp(skb, &p, m, who);
	if (p.protocol == IPPROTO_ICMPV6)
		return pass_icmpv6(skb, &p, m, who);
	return drop(who, &p, m);
}

/* TCP of which nobody knows who dialled is held also where only ingress is. */
static __always_inline bool may_be_accepted(struct bpf_sock *sk, const struct mark *m)
{
	if (!is_unknown(m))
		return m->either;
	sk = bpf_sk_fullsock(sk);
	return sk && sk->protocol == IPPROTO_TCP;
}

static __always_inline int pass_slowly(struct __sk_buff *skb, struct bpf_sock *sk, struct mark *m,
				       const struct subject *who)
{
	if (m && m->fate == FATE_ALONE && stays_within(skb, m, who))
		return 1;
	if (m && m->incoming && (who->enforced || who->ingress))
		return pass_accepted(skb, m, who);
	return who->enforced || (who->ingress && may_be_accepted(sk, m)) ? pass_own(skb, m, who)
									 : 1;
}

SEC("cgroup_skb/egress")
int steer_backstop(struct __sk_buff *skb)
{
	const struct steer_config *c = steer_config();
	struct bpf_sock *sk = skb->sk;
	struct subject who;
	struct mark *m;

	if (!c || !c->active)
		return c != NULL;
	if (!sk) /* there always is one */
		return audit_mode ? 1 : 0;
	/* One that is not a full socket has no storage: no mark. */
	m = bpf_sk_storage_get(&marks, sk, NULL, 0);
	if (m && MEMO_SEEN(m->memo) == c->members && is_of_vetted(skb, m))
		return 1;
	if (!m)
		m = mark_of(sk);
	if (!subject_of(&who, c, sk, m))
		return 0;
	return pass_slowly(skb, sk, m, &who);
}
