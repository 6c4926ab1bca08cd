/* SPDX-License-Identifier: Apache-2.0 */
/* flow.h - what is known of one steered connection.
 *
 * Egress: filed by the BPF programs when the application connects, taken once by the listener after
 * accept. A connection without such a record was not steered and is refused. Ingress: the two ends
 * of what the kernel handed to the listener are the record. */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

#include <stdbool.h>
#include "sluice/address.h"

struct flow {
	struct address client;	    /* the client's end, as the listener sees it */
	struct address destination; /* where the client wanted to go */
	/* Egress: an address that the application bound before; family 0: none. Port unused.
	 * Ingress: the near end of the leg to the server, with its port; family 0: none yet. */
	struct address source;
	uint32_t device;   /* an interface that the application bound (SO_BINDTODEVICE), or 0 */
	uint32_t netns;	   /* the number of its network namespace; 0: sluice's own */
	uint64_t workload; /* whose it is */
	bool local;	   /* the peer (egress: the destination) is an address of this host */
	bool ingress;	   /* the workload is the server */
};

#endif
