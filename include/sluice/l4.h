/* SPDX-License-Identifier: Apache-2.0 */
/* l4.h - the L3/L4 part of a policy as two flat tables, which the kernel and user space both read.
 *
 * Step 1: the longest prefix in PEERS that covers {direction, local, family, address} gives an
 * identity: the set of rules whose peers cover that address. No entry: identity 0, which no rule
 * covers. Step 2: the longest prefix in PORTS that covers {direction, identity, protocol, port}
 * gives the action. No entry: L4_REFUSE. The address is that of the peer: the destination of
 * egress, the client of ingress; the port is always the server's. Built by policy/, loaded into BPF
 * maps by sockmap/. Immutable. */
#ifndef SLUICE_L4_H
#define SLUICE_L4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From the workload, or to it. */
enum l4_direction {
	L4_EGRESS = 0,
	L4_INGRESS = 1,
};

#define L4_DIRECTIONS 2

enum l4_action {
	L4_REFUSE = 0, /* EPERM from connect() or sendmsg(); a client's connection is reset */
	L4_ALLOW = 1,  /* leave alone: no L7 rule applies */
	L4_STEER = 2,  /* TCP only: hand the connection to sluice */
};

/* LOCAL says whether the peer's address is one of this host's (routing type "local"); each prefix
 * stands in the table twice, once with either value, since the entities `host` and `world` depend
 * on it. */
struct l4_peer {
	uint8_t direction;  /* enum l4_direction */
	uint8_t local;	    /* 0 or 1 */
	uint8_t family;	    /* 4 or 6 */
	uint8_t prefix_len; /* bits of IP that count: 0..32 or 0..128 */
	uint8_t ip[16];	    /* network byte order, bits beyond PREFIX_LEN are 0 */
	uint32_t identity;  /* from 1, in each direction */
};

struct l4_port {
	uint32_t identity;
	uint8_t protocol;   /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t prefix_len; /* bits of PORT that count: 0..16 */
	uint16_t port;	    /* host byte order, bits beyond PREFIX_LEN are 0 */
	uint8_t action;	    /* enum l4_action */
	uint8_t direction;  /* enum l4_direction */
};

struct l4_table {
	bool enforced; /* false: no policy mentions egress of this workload, all is left alone */
	struct l4_peer *peers;
	size_t n_peers;
	struct l4_port *ports;
	size_t n_ports;
	bool ingress_enforced; /* the same for ingress */
};

#endif
