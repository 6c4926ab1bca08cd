/* SPDX-License-Identifier: Apache-2.0 */
/* h1_edit.h - a request head as a policy's header actions change it. Pure: bytes in, bytes out.
 *
 * Nothing else of it changes: no byte, no order, no case of the lines that stay. What is added
 * stands behind the last field, in the order of the actions, as "Name: value" with the name as the
 * policy has it. An action applies to what those before it have left. */
#ifndef SLUICE_H1_EDIT_H
#define SLUICE_H1_EDIT_H

#include "h1.h"
#include "sluice/verdict.h"

/* An edited head is held to the limits of one that is read: H1_HEAD_MAX, H1_FIELDS_MAX. */
#define H1_EDIT_MAX ((size_t)H1_HEAD_MAX)

/* Whether any of the N actions, at most VERDICT_ACTIONS_MAX, changes a head. LOG does not. */
bool h1_edit_needed(const struct header_action *const *actions, size_t n);

/* Write the request head HEAD, whose bytes are still there, with the actions carried out to OUT,
 * which has room for H1_EDIT_MAX bytes. Returns its length, or -EMSGSIZE if it is over a limit. */
ssize_t h1_edit(const struct h1_head *head, const struct header_action *const *actions, size_t n,
		char *out);

#endif
