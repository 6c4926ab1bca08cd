/* SPDX-License-Identifier: Apache-2.0 */
/* flow.h - what the kernel remembered of one steered connection.
 *
 * Filed by the BPF programs when the application connects, taken once by the listener after accept.
 * A connection without such a record was not steered and is refused. */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

#include <stdbool.h>
#include "sluice/address.h"

struct flow {
	struct address client;	    /* the application's end, as the listener sees it */
	struct address destination; /* where the application wanted to go */
	struct address source; /* an address that it bound before; family 0: none. Port unused. */
	uint32_t device;       /* an interface that it bound (SO_BINDTODEVICE), or 0 */
	bool local;	       /* the destination is an address of this host */
};

#endif
