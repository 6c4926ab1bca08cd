/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - event loops that never run out of memory once they are open.
 *
 * libuv keeps a table of descriptors for each loop and ends the process (abort) when it cannot
 * grow. Here the table is as large as it may become from the beginning; whoever watches a
 * descriptor checks that it is below that size first. */
#ifndef SLUICE_LOOP_H
#define SLUICE_LOOP_H

#include <uv.h>

/* Open a loop in which the descriptors below N can be watched, as far as the process may have them.
 * Returns 0 or a negative errno. Where libuv itself would end the process, it ends with a message
 * instead: so call it before anything is made that has to be removed. */
int loop_open(uv_loop_t *loop, unsigned n);

#endif
