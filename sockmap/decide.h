/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* decide.h - what the steering programs decide, as pure functions.
 *
 * Compiled for BPF and for user space: steer_table.c builds its keys with the functions that the
 * programs look them up with, and the unit test runs the decisions natively. No map, no helper, no
 * context in here. */
#ifndef SLUICE_DECIDE_H
#define SLUICE_DECIDE_H

#include <stdbool.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include "sluice/l4.h"
#include "shared.h"

#define DECIDE_INLINE static inline __attribute__((always_inline))

#define DECIDE_TCP 6
#define DECIDE_UDP 17

#define DECIDE_LOOPBACK bpf_htonl(0x7f000001u)

/* ---- addresses ---- */

DECIDE_INLINE struct endpoint endpoint_ipv4(__u32 ip, __u16 port)
{
	return (struct endpoint){ .ip = { ip }, .port = port, .family = WIRE_IPV4 };
}

/* IPv6 from four words; ::ffff:a.b.c.d becomes IPv4 that is marked as mapped. */
DECIDE_INLINE struct endpoint endpoint_ipv6(__u32 a, __u32 b, __u32 c, __u32 d, __u16 port)
{
	struct endpoint e = { .port = port, .family = WIRE_IPV6 };

	if (!a && !b && c == bpf_htonl(0xffffu)) {
		e.family = WIRE_IPV4;
		e.mapped = 1;
		e.ip[0] = d;
		return e;
	}
	e.ip[0] = a;
	e.ip[1] = b;
	e.ip[2] = c;
	e.ip[3] = d;
	return e;
}

DECIDE_INLINE bool endpoint_is_any(const struct endpoint *e)
{
	return !e->ip[0] && !e->ip[1] && !e->ip[2] && !e->ip[3];
}

DECIDE_INLINE bool endpoint_same_address(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->ip[0] == b->ip[0] && a->ip[1] == b->ip[1] &&
	       a->ip[2] == b->ip[2] && a->ip[3] == b->ip[3];
}

DECIDE_INLINE bool endpoint_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && endpoint_same_address(a, b);
}

DECIDE_INLINE bool endpoint_is_loopback(const struct endpoint *e)
{
	if (e->family == WIRE_IPV4)
		return (e->ip[0] & bpf_htonl(0xff000000u)) == bpf_htonl(0x7f000000u);
	return !e->ip[0] && !e->ip[1] && !e->ip[2] && e->ip[3] == bpf_htonl(1);
}

DECIDE_INLINE bool endpoint_is_link_local(const struct endpoint *e)
{
	return e->family == WIRE_IPV6 &&
	       (e->ip[0] & bpf_htonl(0xffc00000u)) == bpf_htonl(0xfe800000u);
}

/* Multicast and the limited broadcast: no TCP connection can go there. */
DECIDE_INLINE bool endpoint_is_group(const struct endpoint *e)
{
	if (e->family == WIRE_IPV4)
		return (e->ip[0] & bpf_htonl(0xf0000000u)) == bpf_htonl(0xe0000000u) ||
		       e->ip[0] == 0xffffffffu;
	return (e->ip[0] & bpf_htonl(0xff000000u)) == bpf_htonl(0xff000000u);
}

/* What the kernel takes "no address" as a destination for. IPv4: the source, if one is bound, else
 * 127.0.0.1. IPv6: ::1, unless a mapped source says that the socket speaks IPv4. */
DECIDE_INLINE void endpoint_normalise(struct endpoint *to, const struct endpoint *source)
{
	bool source_ipv4 = source->family == WIRE_IPV4;

	if (!endpoint_is_any(to))
		return;
	if (to->family == WIRE_IPV6 && !source_ipv4) {
		to->ip[3] = bpf_htonl(1);
	} else if (to->family == WIRE_IPV6) {
		to->family = WIRE_IPV4;
		to->mapped = 1;
		to->ip[0] = DECIDE_LOOPBACK;
	} else {
		to->ip[0] = source_ipv4 && source->ip[0] ? source->ip[0] : DECIDE_LOOPBACK;
	}
}

/* ---- keys ---- */

enum lpm_kind {
	LPM_PEER = 1,  /* detail: family and local, direction; then 16 bytes of address */
	LPM_PORT = 2,  /* detail: protocol, direction; then 4 bytes of identity, 2 of port */
	LPM_ROUTE = 3, /* detail: family; then 16 bytes of address */
};

#define LPM_HEAD_BITS 32u /* the exact bytes before the address or identity */

DECIDE_INLINE void lpm_key_head(struct lpm_key *key, __u8 kind, __u8 detail)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->bits = LPM_DATA * 8;
	key->data[0] = kind;
	key->data[1] = detail;
}

DECIDE_INLINE __u8 lpm_peer_detail(__u8 family, bool local)
{
	return (__u8)(family | (local ? 0x10 : 0));
}

DECIDE_INLINE void lpm_key_peer(struct lpm_key *key, const struct endpoint *peer, bool local,
				__u8 direction)
{
	lpm_key_head(key, LPM_PEER, lpm_peer_detail(peer->family, local));
	key->data[2] = direction;
	__builtin_memcpy(key->data + 4, peer->ip, sizeof(peer->ip));
}

DECIDE_INLINE void lpm_key_port(struct lpm_key *key, __u32 identity, __u8 protocol, __u16 port,
				__u8 direction)
{
	__u32 id = bpf_htonl(identity);
	__u16 number = (__u16)bpf_htons(port);

	lpm_key_head(key, LPM_PORT, protocol);
	key->data[2] = direction;
	__builtin_memcpy(key->data + 4, &id, sizeof(id));
	__builtin_memcpy(key->data + 8, &number, sizeof(number));
}

DECIDE_INLINE void lpm_key_route(struct lpm_key *key, const struct endpoint *to)
{
	lpm_key_head(key, LPM_ROUTE, to->family);
	__builtin_memcpy(key->data + 4, to->ip, sizeof(to->ip));
}

/* ---- decisions ---- */

/* The two steps of sluice/l4.h. PEER has the server's port in either direction. LOOKUP gives the
 * value of the longest prefix, 0 where there is none; it is inlined, since BPF knows no function
 * pointers. */
DECIDE_INLINE __u32 decide_action(void *table,
				  __u32 (*lookup)(void *table, const struct lpm_key *key),
				  const struct endpoint *peer, __u8 protocol, bool local,
				  __u8 direction)
{
	struct lpm_key key;
	__u32 identity;

	lpm_key_peer(&key, peer, local, direction);
	identity = lookup(table, &key);
	if (!identity)
		return L4_REFUSE;
	lpm_key_port(&key, identity, protocol, peer->port, direction);
	return lookup(table, &key);
}

/* An action that makes no sense for PROTOCOL is a bug in the table: it refuses. */
DECIDE_INLINE __u32 decide_valid(__u32 action, __u8 protocol)
{
	if (action == L4_ALLOW || (action == L4_STEER && protocol == DECIDE_TCP))
		return action;
	return L4_REFUSE;
}

/* Would a TCP connect fail even if nobody held it to anything? NOBODY_LISTENS counts for local
 * destinations only. */
DECIDE_INLINE bool decide_fails_anyway(__u32 route, const struct endpoint *to, bool nobody_listens)
{
	if (route == ROUTE_NONE || route == ROUTE_UNREACHABLE || endpoint_is_group(to))
		return true;
	return route == ROUTE_LOCAL && nobody_listens;
}

/* ---- network namespaces ---- */

#define NETNS_UNKNOWN 0xffffffffu /* a number: the namespace is not registered */

#define STANDING_ROUTE	   0xffu  /* enum route_kind, in the socket's own namespace */
#define STANDING_HOST	   0x100u /* the address is what policies call the host */
#define STANDING_ELSEWHERE 0x200u /* the socket is in another namespace than the host's */
#define STANDING_WITHIN	   0x400u /* there, the address does not lead out of it, and nobody asks */

/* What an address is to a socket in namespace NUMBER, of a workload with FLAGS (WORKLOAD_*). ROUTE
 * is that in its own namespace, LOCAL_TO_HOST that of other addresses than loopback in the host's.
 *
 * By mirrors of the routes, which may be behind, and in its own namespace a workload may change
 * them: whoever leaves alone what is WITHIN has to see that the packets take the loopback device.
 * In a namespace that is not registered, loopback is what it is to the host. */
DECIDE_INLINE __u32 decide_standing(__u32 number, __u32 flags, __u32 route, bool loopback,
				    bool local_to_host)
{
	bool own = route == ROUTE_LOCAL;

	if (!number)
		return route | (own ? STANDING_HOST : 0);
	if (number == NETNS_UNKNOWN)
		return route | STANDING_ELSEWHERE | (loopback || local_to_host ? STANDING_HOST : 0);
	return route | STANDING_ELSEWHERE | (local_to_host ? STANDING_HOST : 0) |
	       (own && !(flags & WORKLOAD_LOOPBACK) ? STANDING_WITHIN : 0);
}

/* May a workload make such a socket? FAMILY, TYPE and PROTOCOL as in socket(2), AF_INET or
 * AF_INET6 only: other families do not come here. */
DECIDE_INLINE bool decide_socket(__u32 type, __u32 protocol)
{
	return (type == 1 /* SOCK_STREAM */ && protocol == DECIDE_TCP) ||
	       (type == 2 /* SOCK_DGRAM */ && protocol == DECIDE_UDP);
}

#endif
