/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_policy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "require.h"

#define GOOD_FOR_MAX 64 /* the last ones */

struct judge_scratch {
	const struct ruleset *good_for[GOOD_FOR_MAX];
	unsigned n;
};

static const struct rule_ref only_rule = {
	.policy = "fake",
	.namespace_ = "default",
	.path = "egress[0].toPorts[0].rules.http[0]",
	.file = "fake.yaml",
	.line = 1,
	.column = 1,
};

struct policy *fake_policy_new(enum l4_action action, const char *denied)
{
	struct policy *p = calloc(1, sizeof(*p));

	REQUIRE(p);
	p->refs = 1;
	p->action = action;
	p->rules.denied = denied;
	return p;
}

struct policy *policy_ref(struct policy *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

struct policy *policy_unref(struct policy *p)
{
	if (p && atomic_fetch_sub(&p->refs, 1) == 1)
		free(p);
	return NULL;
}

enum l4_action policy_l4(const struct policy *p, const struct address *destination, bool local,
			 uint8_t protocol, const struct ruleset **ret)
{
	if (p->action == L4_STEER)
		*ret = &p->rules;
	return p->action;
}

enum l4_action policy_l4_ingress(const struct policy *p, const struct address *client,
				 uint16_t port, bool local, uint8_t protocol,
				 const struct ruleset **ret)
{
	return policy_l4(p, client, local, protocol, ret);
}

int judge_scratch_fit(struct judge_scratch **s, const struct policy *p)
{
	if (!p->no_scratch && !*s)
		*s = calloc(1, sizeof(**s));
	if (p->no_scratch || !*s) {
		free(*s);
		*s = NULL;
		return -ENOMEM;
	}
	(*s)->good_for[(*s)->n++ % GOOD_FOR_MAX] = &p->rules;
	return 0;
}

void judge_scratch_free(struct judge_scratch *s)
{
	free(s);
}

static bool is_good_for(const struct judge_scratch *s, const struct ruleset *rs)
{
	for (unsigned i = 0; i < GOOD_FOR_MAX; i++)
		if (s->good_for[i] == rs)
			return true;
	return false;
}

struct verdict ruleset_judge(const struct ruleset *rs, const struct request *req,
			     struct judge_scratch *scratch)
{
	struct verdict v = { .action = VERDICT_ALLOW, .rule = &only_rule };
	size_t n = strlen(rs->denied);

	REQUIRE(req->n_readings > 0);
	if (!scratch)
		return (struct verdict){ .action = VERDICT_DENY };
	REQUIRE(is_good_for(scratch, rs));
	for (size_t i = 0; i < req->n_readings; i++)
		if (req->readings[i].len >= n && memcmp(req->readings[i].ptr, rs->denied, n) == 0)
			v = (struct verdict){ .action = VERDICT_DENY };
	return v;
}

void ruleset_explain(const struct ruleset *rs, const struct request *req,
		     struct judge_scratch *scratch, struct verdict *verdict)
{
	if (!scratch)
		return;
	verdict->rule = &only_rule;
	verdict->failed = FIELD_PATH;
}

const struct l4_table *policy_l4_table(const struct policy *p)
{
	return &p->table;
}
