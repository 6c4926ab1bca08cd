/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* judge.bpf.h - decide.h on the maps: routes, table, listeners, and whether a mark still holds. */
#ifndef SLUICE_JUDGE_BPF_H
#define SLUICE_JUDGE_BPF_H

#include "subject.bpf.h"

static __always_inline __u32 route_of(const struct subject *who, const struct endpoint *to)
{
	struct lpm_key key;
	__u32 *kind;

	if (endpoint_is_loopback(to))
		return ROUTE_LOCAL;
	if (!who->config->routes_loaded)
		return ROUTE_ROUTED;
	lpm_key_route(&key, to);
	kind = bpf_map_lookup_elem(&routes, &key);
	return kind ? *kind : ROUTE_NONE;
}

static __always_inline __u32 trie_lookup(void *trie, const struct lpm_key *key)
{
	__u32 *value = bpf_map_lookup_elem(trie, key);

	return value ? *value : 0;
}

/* No table at all refuses: it is there before enforcement is switched on. PEER has the server's
 * port. */
static __always_inline __u32 judge_direction(const struct subject *who, const struct endpoint *peer,
					     __u8 protocol, bool local, __u8 direction)
{
	__u32 slot = who->slot;
	void *trie = bpf_map_lookup_elem(&tables, &slot);

	if (!trie)
		return L4_REFUSE;
	return decide_valid(decide_action(trie, trie_lookup, peer, protocol, local, direction),
			    protocol);
}

static __always_inline __u32 judge(const struct subject *who, const struct endpoint *to,
				   __u8 protocol, bool local)
{
	return judge_direction(who, to, protocol, local, L4_EGRESS);
}

/* CLIENT has the server's port. */
static __always_inline __u32 judge_client(const struct subject *who, const struct endpoint *client,
					  __u8 protocol)
{
	return judge_direction(who, client, protocol, route_of(who, client) == ROUTE_LOCAL,
			       L4_INGRESS);
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

	if (judge(who, to, DECIDE_UDP, route_of(who, to) == ROUTE_LOCAL) == L4_ALLOW)
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
	return judge(who, &to, protocol, route_of(who, &to) == ROUTE_LOCAL) == L4_ALLOW;
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
		m->generation = generation;
	else
		m->fate = FATE_REVOKED;
	return holds;
}

/* M, of which no hook knows anything, is UDP: connected before there were programs? Then it is held
 * to that peer from now on, as if they had seen it. */
static __always_inline void note_older_peer(const struct subject *who, struct mark *m)
{
	struct endpoint peer = end_of(who->sk, true);

	if (!peer.port || endpoint_is_any(&peer))
		return;
	m->destination = peer;
	m->generation = 0;
	m->fate = FATE_ALONE;
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
