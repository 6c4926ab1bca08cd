/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* judge.bpf.h - decide.h on the maps: routes, table, listeners, and whether a mark still holds. */
#ifndef SLUICE_JUDGE_BPF_H
#define SLUICE_JUDGE_BPF_H

#include "subject.bpf.h"

#define LOOPBACK_IFINDEX 1u /* in every network namespace */

/* The number of the network namespace of the socket. */
static __always_inline __u32 netns_number(const struct subject *who)
{
	__u32 *number;
	__u64 cookie;

	if (one_netns)
		return 0;
	cookie = subject_netns(who);
	if (cookie == who->config->host)
		return 0;
	number = bpf_map_lookup_elem(&namespaces, &cookie);
	return number ? *number : NETNS_UNKNOWN;
}

/* NULL: the namespace is not registered. */
static __always_inline const struct netns_config *netns_of_subject(const struct subject *who)
{
	__u32 number = netns_number(who);

	return bpf_map_lookup_elem(&netns_configs, &number);
}

static __always_inline __u32 route_in(__u32 number, const struct endpoint *to)
{
	struct lpm_key key;
	__u32 *kind;
	void *trie;

	if (endpoint_is_loopback(to))
		return ROUTE_LOCAL;
	trie = bpf_map_lookup_elem(&routes, &number);
	if (!trie)
		return ROUTE_ROUTED;
	lpm_key_route(&key, to);
	kind = bpf_map_lookup_elem(trie, &key);
	return kind ? *kind : ROUTE_NONE;
}

/* What an address is to a socket. */
struct standing {
	__u32 route;
	bool host;	/* it is the host's: what policies call so */
	bool elsewhere; /* the socket is in another network namespace than the host's */
	bool within;	/* there, the address does not lead out of it, and nobody asks */
};

/* The same as one number; verified once for each program, as it is asked in many places. */
__weak __noinline __u32 standing_in(__u32 number, __u32 flags, const struct endpoint *e)
{
	bool loopback;

	if (!e)
		return ROUTE_NONE;
	loopback = endpoint_is_loopback(e);
	return decide_standing(number, flags, route_in(number, e), loopback,
			       number && !loopback && route_in(0, e) == ROUTE_LOCAL);
}

static __always_inline struct standing standing_of(const struct subject *who,
						   const struct endpoint *e)
{
	__u32 s = standing_in(netns_number(who), who->flags, e);

	return (struct standing){ .route = s & STANDING_ROUTE,
				  .host = s & STANDING_HOST,
				  .elsewhere = !one_netns && s & STANDING_ELSEWHERE,
				  .within = !one_netns && s & STANDING_WITHIN };
}

static __always_inline __u32 route_of(const struct subject *who, const struct endpoint *to)
{
	return standing_of(who, to).route;
}

static __always_inline bool is_within(const struct subject *who, const struct endpoint *e)
{
	return !one_netns && standing_of(who, e).within;
}

static __always_inline __u32 trie_lookup(void *trie, const struct lpm_key *key)
{
	__u32 *value = bpf_map_lookup_elem(trie, key);

	return value ? *value : 0;
}

/* No table at all refuses: it is there before enforcement is switched on. PEER has the server's
 * port. Verified once, as above. */
__weak __noinline __u32 judge_by(__u32 slot, const struct endpoint *peer, __u8 protocol,
				 __u32 local, __u32 direction)
{
	void *trie = bpf_map_lookup_elem(&tables, &slot);

	if (!trie || !peer)
		return L4_REFUSE;
	return decide_valid(decide_action(trie, trie_lookup, peer, protocol, local != 0,
					  (__u8)direction),
			    protocol);
}

static __always_inline __u32 judge_direction(const struct subject *who, const struct endpoint *peer,
					     __u8 protocol, bool local, __u8 direction)
{
	return judge_by(who->slot, peer, protocol, local, direction);
}

static __always_inline __u32 judge(const struct subject *who, const struct endpoint *to,
				   __u8 protocol)
{
	return judge_direction(who, to, protocol, standing_of(who, to).host, L4_EGRESS);
}

/* CLIENT has the server's port. The host may look after who lives on it (probes of its health). */
static __always_inline __u32 judge_client(const struct subject *who, const struct endpoint *client,
					  __u8 protocol)
{
	struct standing s = standing_of(who, client);

	if (s.elsewhere && s.host && !endpoint_is_loopback(client) &&
	    !(who->flags & WORKLOAD_HOST_HELD))
		return L4_ALLOW;
	return judge_direction(who, client, protocol, s.host, L4_INGRESS);
}

static __always_inline void peer_key_make(struct peer_key *key, __u64 cookie,
					  const struct endpoint *peer)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->cookie = cookie;
	key->peer = *peer;
	key->peer.mapped = 0;
}

/* May a UDP socket send there: by the table, or since that peer wrote to it? */
static __always_inline bool udp_allowed(const struct subject *who, const struct endpoint *to,
					__u64 cookie)
{
	struct peer_key key;

	if (judge(who, to, DECIDE_UDP) == L4_ALLOW)
		return true;
	peer_key_make(&key, cookie, to);
	return bpf_map_lookup_elem(&udp_peers, &key) != NULL;
}

/* Does the table in force leave alone M, which is ALONE? */
static __always_inline bool is_allowed(const struct subject *who, const struct mark *m,
				       __u8 protocol, __u64 cookie)
{
	struct endpoint to = m->destination, client = m->destination;

	if (!to.family)
		return true;
	if (m->either)
		client.port = (__u16)m->either;
	if ((m->incoming || m->either) && who->ingress &&
	    judge_client(who, &client, protocol) != L4_ALLOW)
		return false;
	if (m->incoming || !who->enforced)
		return true;
	if (protocol == DECIDE_UDP)
		return udp_allowed(who, &to, cookie);
	return judge(who, &to, protocol) == L4_ALLOW;
}

/* Does M, which is ALONE, still hold under the table in force? Costs one comparison until the table
 * changes. A UDP socket keeps the right to answer whom it heard. */
static __always_inline bool mark_holds(const struct subject *who, struct mark *m, __u8 protocol,
				       __u64 cookie)
{
	__u32 generation = who->generation;
	bool holds;

	if (m->generation == generation)
		return true;
	holds = is_allowed(who, m, protocol, cookie);
	if (holds)
		m->generation = m->within ? 0 : generation;
	else
		m->fate = FATE_REVOKED;
	return holds;
}

/* M, of which no hook knows anything, is UDP: connected before there were programs? Then it is held
 * to that peer from now on, as if they had seen it. */
__weak __noinline int note_older_peer(__u64 sk, struct mark *m)
{
	struct endpoint peer = end_of(sk, true);

	if (!m || !peer.port || endpoint_is_any(&peer))
		return 0;
	m->destination = peer;
	m->generation = 0;
	m->fate = FATE_ALONE;
	return 0;
}

/* M is ALONE from now on since it does not leave its namespace: that is asked of each packet, which
 * GENERATION 0 keeps off the short ways. */
static __always_inline void mark_within(struct mark *m, const struct subject *who)
{
	m->within = subject_serial(who);
	m->generation = 0;
	m->fate = FATE_ALONE;
}

/* Was M left alone for that, by the workload whose it is now, and does still nobody ask? */
static __always_inline bool is_marked_within(const struct subject *who, const struct mark *m)
{
	return m->within && m->within == subject_serial(who) && !(who->flags & WORKLOAD_LOOPBACK);
}

/* A packet to or from E: is E within, and the packet as well? From outside nobody can send on that
 * device. */
static __always_inline bool is_within_on(const struct __sk_buff *skb, const struct subject *who,
					 const struct endpoint *e)
{
	return !one_netns && skb->ifindex == LOOPBACK_IFINDEX && is_within(who, e);
}

/* What was connected while nobody asked is left alone as well if it does not leave. */
static __always_inline bool stays_within(const struct __sk_buff *skb, struct mark *m,
					 const struct subject *who)
{
	struct endpoint peer = m->destination;

	if (one_netns || skb->ifindex != LOOPBACK_IFINDEX)
		return false;
	if (is_marked_within(who, m))
		return true;
	/* What another workload was left alone for says nothing. */
	if (m->within == subject_serial(who) || m->generation || !peer.family ||
	    !is_within(who, &peer))
		return false;
	mark_within(m, who);
	return is_marked_within(who, m);
}

enum listening { LISTENS_NOBODY, LISTENS_OTHER, LISTENS_OURS };

/* Who would get a TCP connection to AT in the network namespace of CTX's socket? */
static __always_inline enum listening listener_at(void *ctx, const struct endpoint *at)
{
	struct bpf_sock_tuple tuple;
	enum listening who;
	struct bpf_sock *sk;

	__builtin_memset(&tuple, 0, sizeof(tuple));
	if (at->family == WIRE_IPV4) {
		tuple.ipv4.daddr = at->ip[0];
		tuple.ipv4.dport = bpf_htons(at->port);
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, at->ip, sizeof(at->ip));
		tuple.ipv6.dport = bpf_htons(at->port);
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return LISTENS_NOBODY;
	who = bpf_sk_storage_get(&listeners, sk, NULL, 0) ? LISTENS_OURS : LISTENS_OTHER;
	bpf_sk_release(sk);
	return who;
}

static __always_inline void place_key_make(struct place_key *key, __u64 netns,
					   const struct endpoint *at)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->netns = netns;
	key->at = *at;
	key->at.mapped = 0;
}

#endif
