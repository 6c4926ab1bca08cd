/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* maps.bpf.h - the maps of the steering programs, and the mark that a socket of a workload
 * carries.
 *
 * Every *.bpf.c is an object of its own; bpftool links them, and weak definitions of one map become
 * one map. Sizes that user space sets before loading stand here as 1. */
#ifndef SLUICE_MAPS_BPF_H
#define SLUICE_MAPS_BPF_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "decide.h"
#include "shared.h"
#include "steer_event_kind.h"

#define MAP __weak SEC(".maps")

#ifndef NULL
#define NULL ((void *)0)
#endif

/* Set before loading, so that the verifier removes from an enforcing program whatever lets pass.
 * 1: nothing is refused; what would have been is reported, and marked as such. */
const volatile __u32 audit_mode __weak = 0;

/* The same: no other network namespace than the host's can be registered, and every one is taken
 * for it, which needs no look-up. */
const volatile __u32 one_netns __weak = 0;

/* What the hooks have made of a socket. Written by connect and sendmsg, under the socket's lock. */
enum fate {
	FATE_UNVETTED = 0, /* no SYN and no datagram of it passes the backstop */
	FATE_ALONE = 1,	   /* the table allows it (as of GENERATION) */
	FATE_STEERED = 2,  /* the destination was rewritten to our listener */
	FATE_DOOMED = 3,   /* left to fail by itself: no payload of it ever passes */
	FATE_REVOKED = 4,  /* connected to where it may not send (any more): nothing passes there */
	FATE_CARRIED = 5,  /* INCOMING: the other end is our leg */
	FATE_LISTENING = 6, /* INCOMING: it accepts */
};

#define FILED_FLOW  1u /* in flows */
#define FILED_LOCAL 2u /* in locals */
#define FILED_PLACE 4u /* listening: DESTINATION is counted there */
#define FILED_DUAL  8u /* listening: so is IPv4's unspecified address with its port */

struct mark {
	__u32 fate;
	__u32 generation; /* of the table that allowed it; 0: not judged yet */
	__u64 memo;	  /* {`members` of the config, slot}, when it was looked up whose it is */
	/* Where the application wanted to go; family 0: unconnected. INCOMING: the address of the
	 * client with the port of the server, as the table is asked; LISTENING: where. */
	struct endpoint destination;
	/* What it had bound; family 0: no address. CARRIED: the client. */
	struct endpoint source;
	__u32 device; /* what it had bound, while we had to take it off */
	__u32 filed;  /* FILED_*: where KEY stands, or stood until it was taken */
	struct flow_key key;
	struct endpoint sent_to; /* UDP, REVOKED: what sendmsg() vetted last, beside DESTINATION */
	__u32 by_hint;		 /* STEERED, since DESTINATION stands in hidden_listeners */
	__u32 audited;		 /* audit: reported already, the rest of it passes silently */
	struct endpoint noted;	 /* audit, UDP: the last place for which sendmsg() was reported */
	__u32 incoming;		 /* it listens, or was accepted */
	/* ALONE: the serial of the workload that was left alone here for not leaving its namespace:
	 * a slot is given away again. */
	__u32 within;
	/* ALONE, older than the programs, and nobody knows who dialled: it is held to both
	 * directions; in ingress the server's port is this one of its own. */
	__u32 either;
};

/* No hook has seen what it is connected to: it is older than the programs, about to be accepted, or
 * not connected at all. */
static __always_inline bool is_unknown(const struct mark *m)
{
	return !m || (m->fate == FATE_UNVETTED && !m->destination.family && !m->incoming);
}

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct mark);
} marks MAP;

/* Our listeners and legs carry an entry, OURS_*. User space sets it by descriptor, so nobody else
 * can have one. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} listeners MAP;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_config);
} config MAP;

/* Sizes and not types: clang leaves the types within a nested map incomplete. */
struct table_trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct lpm_key));
	__uint(value_size, sizeof(__u32));
};

/* By slot: the L3/L4 table in force. Replacing the slot replaces the table as a whole, and when
 * that system call returns, no program is using the old one any more. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct table_trie);
} tables MAP;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct workload_config);
} workloads MAP;

/* The id of a cgroup -> the slot of the workload; SLOT_GONE: it was one until the cgroup went, and
 * sockets of it may be left (subject.bpf.h). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} members MAP;

/* The cookie of a network namespace -> its number. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} namespaces MAP;

/* What follows is by that number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct netns_config);
} netns_configs MAP;

/* The mirror of its routing tables; none: only loopback is known to be local, everything has a
 * route. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct table_trie);
} routes MAP;

/* Which unknown network namespaces were told of, and when (CLOCK_MONOTONIC, ns). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} unknown_netns MAP;

/* Steered connections that no listener has taken yet: mostly none, at worst very many. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct flow_key);
	__type(value, struct flow_record);
} flows MAP;

/* The same, whose client closed in good order before it was taken: its bytes may wait in the
 * accept queue. Valid for a moment only (steer_flows.c). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key);
	__type(value, struct flow_record);
} flows_closed MAP;

/* Live steered connections without a bound address: the local address of the upstream leg. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct flow_key);
	__type(value, struct endpoint);
} locals MAP;

/* Local places at which connect() sees nobody and the backstop somebody: a listener that is bound
 * to a device, which a look-up without a device does not find. A hint only: it makes us steer. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct place_key);
	__type(value, __u32);
} hidden_listeners MAP;

struct peer_key {
	__u64 cookie;
	struct endpoint peer;
	__u32 zero;
};

/* Who wrote to which UDP socket: those may be answered. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct peer_key);
	__type(value, __u32);
} udp_peers MAP;

/* To whom which unconnected UDP socket wrote: those may answer. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct peer_key);
	__type(value, __u32);
} udp_sent MAP;

/* Where sockets of workloads listen. What is missing here is not steered to us, and so dropped
 * where it would have to be (inbound.bpf.c).
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct place_key);
	__type(value, struct listening_place);
} listening MAP;

/* Our legs to servers of the workload, as long as they live -> the client. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct leg_key);
	__type(value, struct endpoint);
} legs MAP;

/* The listeners to which clients are handed; a socket that closes leaves it by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} inbound MAP;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1);
} events MAP;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters MAP;

/* By slot * STEER_EVENT_MAX + kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} workload_counters MAP;

static __always_inline const struct steer_config *steer_config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &which);

	if (value)
		*value += 1;
}

#endif
