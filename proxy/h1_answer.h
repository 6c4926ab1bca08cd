/* SPDX-License-Identifier: Apache-2.0 */
/* h1_answer.h - the responses that sluice gives itself. */
#ifndef SLUICE_H1_ANSWER_H
#define SLUICE_H1_ANSWER_H

#include <stddef.h>
#include "exchange.h"

#define H1_ANSWER_MAX 256

/* Write the answer of X (its status, version, whether it is the last one and whether the request
 * was HEAD) to BUF and return its length. The status must be 400, 403, 408 or 431. */
size_t h1_answer_write(const struct exchange *x, char buf[static H1_ANSWER_MAX]);

#endif
