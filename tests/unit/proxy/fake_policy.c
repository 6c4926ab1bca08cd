/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_policy.h"
#include <stdlib.h>
#include <string.h>
#include "require.h"

struct judge_scratch {
	int unused;
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

struct judge_scratch *judge_scratch_new(const struct policy *p)
{
	return p->no_scratch ? NULL : malloc(sizeof(struct judge_scratch));
}

void judge_scratch_free(struct judge_scratch *s)
{
	free(s);
}

struct verdict ruleset_judge(const struct ruleset *rs, const struct request *req,
			     struct judge_scratch *scratch)
{
	struct verdict v = { .action = VERDICT_ALLOW, .rule = &only_rule };
	size_t n = strlen(rs->denied);

	REQUIRE(scratch && req->n_readings > 0);
	for (size_t i = 0; i < req->n_readings; i++)
		if (req->readings[i].len >= n && memcmp(req->readings[i].ptr, rs->denied, n) == 0)
			v = (struct verdict){ .action = VERDICT_DENY };
	return v;
}

void ruleset_explain(const struct ruleset *rs, const struct request *req,
		     struct judge_scratch *scratch, struct verdict *verdict)
{
	verdict->rule = &only_rule;
	verdict->failed = FIELD_PATH;
}

const struct l4_table *policy_l4_table(const struct policy *p)
{
	return &p->table;
}
