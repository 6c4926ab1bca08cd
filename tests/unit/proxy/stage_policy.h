/* SPDX-License-Identifier: Apache-2.0 */
/* stage_policy.h - what the judge of both stages thinks of a request.
 *
 * It denies by path: "/deny..." (or CONNECT to "deny...") is denied, "/bad..." is malformed, at
 * "/close..." the host closes the connection; everything else is allowed. */
#ifndef SLUICE_TEST_STAGE_POLICY_H
#define SLUICE_TEST_STAGE_POLICY_H

#include "h1_relay.h"
#include "sluice/verdict.h"

enum judged stage_verdict(const struct request *req, bool connect);

/* What is to be done with the head of a request for PATH; *N is 0 for most. */
const struct header_action *const *stage_actions(struct span path, size_t *n);

bool stage_begins(struct span text, const char *prefix);

#endif
