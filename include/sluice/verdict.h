/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h - what the policy says of one request, and by which rule. */
#ifndef SLUICE_VERDICT_H
#define SLUICE_VERDICT_H

#include <stdbool.h>
#include "sluice/span.h"

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

/* What the relay has to do with one header of a request that is allowed, because a rule's
 * headerMatches did not find the value that it wants. */
enum header_action_kind {
	HEADER_LOG,	/* only the record says so */
	HEADER_ADD,	/* one more field, VALUE */
	HEADER_REPLACE, /* remove every field of that name, then add VALUE */
	HEADER_DELETE,	/* remove every field of that name */
};

/* Owned by the policy snapshot. */
struct header_action {
	enum header_action_kind kind;
	bool secret;	   /* VALUE must not be written anywhere: it is "[redacted]" in a record */
	struct span name;  /* as the policy has it; compared without case */
	struct span value; /* what the rule wants; empty where its being there was all */
};

/* A request for which more is to be done than this is denied. */
#define VERDICT_ACTIONS_MAX 16

struct verdict {
	enum verdict_action action;
	/* ALLOW: the rule that matched. DENY: the nearest rule, or NULL where there is none. */
	const struct rule_ref *rule;
	/* DENY with a rule: the first field, in the order of enum request_field, on which the
	 * nearest rule does not match. */
	enum request_field failed;
	/* ALLOW: to be done in this order, on the request as it was sent. Of all rules that allow
	 * it, not only of the one that is named. */
	const struct header_action *actions[VERDICT_ACTIONS_MAX];
	unsigned n_actions;
};

#endif
