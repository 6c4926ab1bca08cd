/* SPDX-License-Identifier: Apache-2.0 */
/* cases.h - what the policy tests share: documents made from a few lines, and questions to them. */
#ifndef SLUICE_TEST_POLICY_CASES_H
#define SLUICE_TEST_POLICY_CASES_H

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "policy.h"
#include "sluice/array.h"

/* Tables leave out what is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* Five lines, so that what follows begins in line 6. */
#define CASE_HEAD                     \
	"apiVersion: cilium.io/v2\n"  \
	"kind: CiliumNetworkPolicy\n" \
	"metadata: {name: api}\n"     \
	"spec:\n"                     \
	"  endpointSelector: {}\n"

/* Load TEXT from an exact-size copy, so that an over-read is seen. */
int case_load(const char *name, const char *text, size_t len, const struct label *labels,
	      size_t n_labels, struct policy **ret, struct diag *diag);

/* The policy of a document that must load; prints what is wrong with it if it does not. */
struct policy *case_policy(const char *text);

/* What diag_print() writes of loading TEXT; "" if it loads. The caller frees it. */
char *case_errors(const char *text);

/* Load TEXT as O says; what diag_print() writes goes to SAID. */
int case_load_options(const char *text, const struct policy_options *o, struct policy **p,
		      char *said, size_t size);
struct policy *case_must_load(const char *text, const struct policy_options *o);

/* The rules for 10.0.0.1 at PORT, which must be steered. */
const struct ruleset *case_rules(const struct policy *p, uint16_t port);

enum l4_action case_action(const struct policy *p, const char *ip, uint16_t port, bool local,
			   uint8_t protocol, const struct ruleset **rules);

/* The same from the flat tables, as the kernel looks it up. */
enum l4_action case_table_action(const struct l4_table *t, const char *ip, uint16_t port,
				 bool local, uint8_t protocol);

/* The same of either direction: IP is the peer's, PORT the server's. */
enum l4_action case_action_in(const struct policy *p, enum l4_direction direction, const char *ip,
			      uint16_t port, bool local, uint8_t protocol,
			      const struct ruleset **rules);
enum l4_action case_table_action_in(const struct l4_table *t, enum l4_direction direction,
				    const char *ip, uint16_t port, bool local, uint8_t protocol);

/* TEXT with egress as ingress, and the peers called as they are there. */
void case_mirror(char *to, size_t size, const char *text);

struct case_request {
	const char *method, *path, *authority;
	const char *const *headers;  /* name, value, name, value, NULL */
	const char *const *readings; /* beyond the path, NULL at the end */
};

/* Judge, with a new scratch. */
struct verdict case_judge(const struct policy *p, const struct ruleset *rules,
			  const struct case_request *request);

#endif
