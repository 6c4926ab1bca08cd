/* SPDX-License-Identifier: Apache-2.0 */
/* shed.h - what happens when all buffers of a worker are lent out.
 *
 * Reading waits, and bytes that are in flight go on as their peers take them. If that is not enough
 * for others to go on, the connections whose bytes have lain still for the limit stall-time are
 * reset: first those that wait for a peer that does not read or answer, then any, then those that
 * got rid of some now and then and never of all of it for SHED_TRICKLE_TICKS. */
#ifndef SLUICE_SHED_H
#define SLUICE_SHED_H

#define SHED_TRICKLE_TICKS 20 /* of a worker: seconds */

struct worker;

/* Once a worker tick. Does nothing while there are buffers. */
void shed_stalled(struct worker *w);

#endif
