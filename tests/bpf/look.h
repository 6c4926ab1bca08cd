/* SPDX-License-Identifier: Apache-2.0 */
/* look.h - small things that tests look at. */
#ifndef SLUICE_TEST_LOOK_H
#define SLUICE_TEST_LOOK_H

/* What comes on CONN within so many milliseconds; 0: nothing. */
char look_next_byte(int conn, int ms);

#endif
