/* SPDX-License-Identifier: Apache-2.0 */
/* relay_ops.h - a fuzzer's input as what happens on a connection.
 *
 * One byte says what, see relay_ops.c; some are followed by bytes of their own. Common messages
 * have numbers, so that whole conversations are a few bytes long. */
#ifndef SLUICE_FUZZ_RELAY_OPS_H
#define SLUICE_FUZZ_RELAY_OPS_H

#include "relay_model.h"

void ops_play(const uint8_t *data, size_t size, struct relay_model *m);

#endif
