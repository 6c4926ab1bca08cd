/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* shared.h - what the BPF programs and user space tell each other: keys and values of the maps.
 *
 * Fixed-width fields and no hidden padding, since the kernel compares keys byte by byte. Included
 * after <linux/types.h> by BPF programs, which have no C library. */
#ifndef SLUICE_SHARED_H
#define SLUICE_SHARED_H

#include <linux/types.h>

/* Families as in struct l4_peer: what is on the wire. */
#define WIRE_IPV4 4
#define WIRE_IPV6 6

/* An address as it goes over the wire; IPv4-mapped IPv6 is IPv4 that remembers it. */
struct endpoint {
	__u32 ip[4]; /* network byte order; IPv4 uses ip[0], the rest is 0 */
	__u16 port;  /* host byte order */
	__u8 family; /* WIRE_IPV4, WIRE_IPV6, or 0: none */
	__u8 mapped; /* 1: the application wrote ::ffff:a.b.c.d */
};

/* Key of all LPM tries. DATA starts with four exact bytes {kind, detail, 0, 0}: see decide.h. */
#define LPM_DATA 20
struct lpm_key {
	__u32 bits; /* of DATA that count; a look-up asks with all of them */
	__u8 data[LPM_DATA];
};

enum route_kind {
	ROUTE_NONE = 0,	       /* no entry: the connect fails by itself */
	ROUTE_LOCAL = 1,       /* an address of this host */
	ROUTE_ROUTED = 2,      /* some interface leads there */
	ROUTE_UNREACHABLE = 3, /* the table says that it must fail, or it cannot be TCP */
};

/* A steered connection, by its client end as the listener sees it. */
struct flow_key {
	__u64 netns; /* cookie */
	__u32 ip[4]; /* as in struct endpoint */
	__u16 port;  /* host byte order */
	__u8 family; /* WIRE_IPV4 or WIRE_IPV6 */
	__u8 zero[5];
};

#define FLOW_LOCAL 1u /* the destination is an address of this host */

struct flow_record {
	struct endpoint destination;
	struct endpoint source; /* bound by the application; family 0: none */
	__u32 device;		/* bound by the application, or 0 */
	__u32 flags;		/* FLOW_* */
	__u64 workload;
	__u64 closed; /* when the client closed (CLOCK_MONOTONIC, ns); 0: it is open */
};

/* Slots of the maps `workloads` and `tables`. Those of workloads follow. */
#define SLOT_NONE 0u /* who is in no workload: nothing is enforced */
#define SLOT_GONE \
	1u /* sockets that outlive their workload: all is enforced, no table allows a thing */
#define SLOT_FIRST 2u

#define SERIAL_GONE	0xffffffffu
#define GENERATION_GONE 1u

/* What is in force for the workload of a slot; its id is {serial, slot}. Every field is changed
 * alone, and each is harmless to meet one instant too early or too late; what must flip as a whole
 * is the slot of map `tables`. But what was allowed is noted with the generation: that of new flags
 * is written when no program is left that may have read the old ones. A slot is given away again
 * only when no program can be using it. */
struct workload_config {
	__u32 serial;	  /* 0: none */
	__u32 enforced;	  /* 0: what goes out is left alone */
	__u32 ingress;	  /* 0: what comes in is left alone */
	__u32 generation; /* of its table: never that of another table or workload; not 0 */
	__u32 flags;	  /* WORKLOAD_*, as in steer.h */
	__u32 since;	  /* `members` of steer_config, when it became one */
};

#define WORKLOAD_LOOPBACK  1u
#define WORKLOAD_HOST_HELD 2u

struct place_key {
	__u64 netns; /* cookie */
	struct endpoint at;
	__u32 zero;
};

/* A place at which sockets listen, which may be unspecified: of which cgroups they are. */
#define PLACE_HOLDERS 4
struct listening_place {
	__u64 holders[PLACE_HOLDERS]; /* a cgroup and how many sockets it has there
					 (places.bpf.h); 0: none */
	__s32 others;		      /* sockets beyond those, which are not told apart */
	__u32 changes;
	__u64 memo;  /* as in struct mark; SLOT_NONE: of none, or of more than one */
	__u64 found; /* MEMO as it was answered last, also when a listener came or went since */
};

static inline int place_is_held(const struct listening_place *p)
{
	return p->others || p->holders[0] || p->holders[1] || p->holders[2] || p->holders[3];
}

/* The one element of the map `config`, of which the same holds. */
struct steer_config {
	__u32 active;	  /* 0: nothing is enforced for anybody */
	__u32 members;	  /* from 1; grows after each change of the map `members` */
	__u32 doomed_rto; /* of a connection that is to fail, in the kernel's ticks */
	__u32 ingress;	  /* 0: what comes in is left alone, whoever it is for */
	__u64 host;	  /* cookie of the namespace that has the number 0 */
};

/* Of one network namespace, by its number. Each field is changed alone; the ports come last, and
 * are what makes the namespace one in which connections can be read. */
struct netns_config {
	__u64 cookie;	/* 0: the number is free */
	__u16 port4;	/* our listener on 127.0.0.1, host byte order; 0: none */
	__u16 port6;	/* our listener on ::1 */
	__u32 inbound4; /* how many listeners the map `inbound` has for IPv4 */
	__u32 inbound6;
	__u32 zero;
};

/* What the map `listeners` says of a socket of ours. */
#define OURS_LISTENER 1u
#define OURS_LEG      2u /* to a server of the workload */

/* The map `inbound` has so many slots for each network namespace, by its number: IPv4 from the
 * first, IPv6 from the middle. */
#define INBOUND_MAX   64u
#define INBOUND_SLOTS (2 * INBOUND_MAX)

/* Our leg to a server of the workload, by its two ends as the server sees them. */
struct leg_key {
	__u64 netns; /* cookie */
	struct endpoint leg, server;
};

struct event_record {
	__u64 workload;
	__u64 netns; /* cookie */
	struct endpoint destination;
	struct endpoint source; /* of what comes in; family 0 else */
	__u32 kind;		/* enum steer_event_kind */
	__u32 pid;
	__u32 protocol;
	__u32 audit; /* 1: it passed all the same */
	char command[16];
};

/* A connection of the workload's that the table in force would not leave alone. */
struct sweep_record {
	struct endpoint destination; /* as it was vetted; INCOMING: the client, with our port */
	struct endpoint local, peer; /* as the kernel has the socket */
	__u64 workload;
	__u64 cookie;
	__u32 netns;  /* inode number of the network namespace */
	__u32 device; /* to which the socket is bound, or 0 */
	__u32 incoming;
	__u32 zero;
};

#define ADOPT_POINTS_MAX 4096u

/* A listening socket that a process of the workload holds, and that is not the workload's. */
struct foreign_record {
	__u64 workload;
	__u64 netns; /* cookie */
	struct endpoint at;
	__u32 pid;
	char command[16];
};

/* One element of the per-CPU map `counters` per kind, and one for events that found no room. */
#define COUNTER_EVENTS_LOST STEER_EVENT_MAX
#define COUNTER_MAX	    (STEER_EVENT_MAX + 1)

#endif
