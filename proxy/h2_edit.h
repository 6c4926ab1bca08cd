/* SPDX-License-Identifier: Apache-2.0 */
/* h2_edit.h - the fields of an HTTP/2 request as a policy's header actions change them.
 *
 * The counterpart of h1_edit.h, with the same meaning: fields that stay keep their order, what is
 * added stands behind them, an action applies to what those before it have left. Names are written
 * in lower case, as HTTP/2 wants them, and secrets are marked as never to be indexed. */
#ifndef SLUICE_H2_EDIT_H
#define SLUICE_H2_EDIT_H

#include "h2.h"
#include "sluice/verdict.h"

/* Carry out the N actions on the fields of HEAD, of which the request was read, and mark it edited.
 * The values of the actions are pointed to, not copied. Returns 0, or -EMSGSIZE if the result is
 * over a limit; HEAD's fields are then of no use. */
int h2_edit(struct h2_head *head, const struct header_action *const *actions, size_t n);

#endif
