/* SPDX-License-Identifier: Apache-2.0 */
/* lint.h - warnings of what is legal and surely not meant. None of them changes a policy; all of
 * these do nothing unless the options ask for it. */
#ifndef SLUICE_LINT_H
#define SLUICE_LINT_H

#include "l4_compile.h"
#include "reader.h"

/* A pattern that was accepted, at its place. */
void lint_path(struct reader *r, const struct node *value);
void lint_method(struct reader *r, const struct node *value);
void lint_host(struct reader *r, const struct node *value);

/* The entries of rules.http or rules.grpc, and of egress or ingress: two that look like one with a
 * dash too many. */
void lint_l7_list(struct reader *r, const struct node *list);
void lint_rule_list(struct reader *r, const struct node *list, enum l4_direction direction);
void lint_empty_rule(struct reader *r, const struct node *rule, enum l4_direction direction);

/* L7 rules that restrict nothing because SPEC denies nothing by default. */
void lint_spec(struct reader *r, const struct spec *spec);

/* What was compiled with C->lint: rules that another rule makes superfluous, and L7 rules on ports
 * that another rule opens. 0 or -ENOMEM. */
int lint_overlap(const struct l4 *c, struct diag *diag);

#endif
