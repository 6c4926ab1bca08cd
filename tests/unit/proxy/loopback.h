/* SPDX-License-Identifier: Apache-2.0 */
/* loopback.h - addresses of a test's own, and listeners there. */
#ifndef SLUICE_TEST_LOOPBACK_H
#define SLUICE_TEST_LOOPBACK_H

#include <stdint.h>
#include "sluice/address.h"

struct address loopback(uint16_t port);
/* The port that was found is stored in A where it was 0. */
int listen_at(struct address *a);

#endif
