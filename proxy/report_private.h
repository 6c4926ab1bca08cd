/* SPDX-License-Identifier: Apache-2.0 */
/* report_private.h - pieces of records that the files report*.c share. */
#ifndef SLUICE_REPORT_PRIVATE_H
#define SLUICE_REPORT_PRIVATE_H

#include "report.h"
#include "text.h"

/* Everything up to the part that differs between kinds of records. */
void report_begin(struct reporter *r, struct text *t, const char *verdict, const struct flow *flow);
void report_begin_ends(struct reporter *r, struct text *t, const char *verdict, bool ingress,
		       const struct address *source, const struct address *destination);
/* For the summary: "WHAT from ADDRESS to ADDRESS:PORT"; SOURCE may be NULL. */
void report_add_ends(struct text *t, const char *what, const struct address *source,
		     const struct address *destination);
/* The end of a record, which then goes to the log. */
void report_push(struct reporter *r, struct text *t);

/* The verdict on what the policy denies, and a line about it in the summary. */
const char *report_denied_verdict(const struct reporter *r);
void report_sum_up(struct reporter *r, bool audited, const struct text *t);

/* "http://host/path", or "host:port" for CONNECT, escaped by ADD. Returns whether it is whole. */
bool report_add_url(struct text *t, const struct report_ask *ask,
		    void (*add)(struct text *, struct span));
void report_add_l7(struct text *t, const struct report_ask *ask);
void report_add_rule(struct text *t, const struct rule_ref *rule);
void report_add_reason(struct text *t, const struct verdict *v);

#endif
