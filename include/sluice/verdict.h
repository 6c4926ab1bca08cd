/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h - what the policy says of one request, and by which rule. */
#ifndef SLUICE_VERDICT_H
#define SLUICE_VERDICT_H

enum verdict_action {
	VERDICT_DENY, /* 0, so that a zeroed verdict denies */
	VERDICT_ALLOW,
};

/* The field of a request on which the nearest rule did not match. */
enum request_field {
	FIELD_NONE,
	FIELD_METHOD,
	FIELD_PATH,
	FIELD_HOST,
	FIELD_HEADERS,
};

/* Where a rule stands in the text that it came from. Owned by the policy snapshot. */
struct rule_ref {
	const char *policy;	/* metadata.name */
	const char *namespace_; /* metadata.namespace, or "" */
	const char *path;	/* "egress[0].toPorts[0].rules.http[1]" */
	unsigned index;		/* the last index of PATH */
	const char *file;
	unsigned line, column; /* counted from 1 */
};

struct verdict {
	enum verdict_action action;
	/* ALLOW: the rule that matched. DENY: the nearest rule, or NULL where there is none. */
	const struct rule_ref *rule;
	/* DENY with a rule: the first field, in the order of enum request_field, on which the
	 * nearest rule does not match. */
	enum request_field failed;
};

#endif
