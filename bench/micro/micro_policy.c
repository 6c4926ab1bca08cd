// SPDX-License-Identifier: Apache-2.0
#include "micro_policy.h"
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

/* What follows "/service-N", N being the rule's number: in the pattern, and in a path. */
static const struct {
	const char *pattern, *path;
} shapes[] = {
	[MICRO_LITERAL] = { "/items", "/items" },
	[MICRO_PREFIX] = { "/files/.*", "/files/a/b.txt" },
	[MICRO_REGEX] = { "/users/[0-9]+/orders/[a-z0-9-]+", "/users/42/orders/x-1" },
	[MICRO_DENIED] = { "/items", "/items/42" },
};

static char *make_text(unsigned rules, enum micro_path which, size_t *len)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, len);

	if (!to)
		err(1, "out of memory");
	fputs("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: bench}\n"
	      "spec:\n  endpointSelector: {}\n  egress:\n  - toPorts:\n"
	      "    - ports: [{port: 80, protocol: TCP}]\n      rules:\n        http:\n",
	      to);
	for (unsigned i = 0; i < rules; i++)
		fprintf(to, "        - {method: GET, path: '/service-%u%s'}\n", i,
			shapes[which].pattern);
	if (fclose(to) != 0)
		err(1, "out of memory");
	return text;
}

void micro_policy_init(struct micro_policy *p, unsigned rules, enum micro_path which)
{
	struct address to = { .family = AF_INET, .port = 80, .ip = { 10, 0, 0, 1 } };
	struct diag diag = { .items = NULL };
	size_t len = 0;
	char *text = make_text(rules, which, &len);

	*p = (struct micro_policy){ .denied = which == MICRO_DENIED };
	if (policy_load_text("bench", text, len, NULL, 0, &p->policy, &diag) != 0) {
		diag_print(&diag, stderr);
		errx(1, "the policy does not load");
	}
	diag_done(&diag);
	free(text);
	p->scratch = judge_scratch_new(p->policy);
	if (!p->scratch || policy_l4(p->policy, &to, false, IPPROTO_TCP, &p->rules) != L4_STEER)
		errx(1, "the rules are not in force");
	for (unsigned i = 0; i < MICRO_PATHS; i++)
		/* Spread over all rules. */
		snprintf(p->paths[i], sizeof(p->paths[i]), "/service-%u%s",
			 (unsigned)((uint64_t)i * 2654435761u % rules), shapes[which].path);
}

void micro_policy_done(struct micro_policy *p)
{
	judge_scratch_free(p->scratch);
	policy_unref(p->policy);
}

bool micro_policy_judge(struct micro_policy *p, unsigned i)
{
	struct span path = span_of(p->paths[i % MICRO_PATHS]);
	struct request req = { .method = SPAN_LITERAL("GET"),
			       .path = path,
			       .authority = SPAN_LITERAL("bench.test"),
			       .readings = &path,
			       .n_readings = 1 };

	return (ruleset_judge(p->rules, &req, p->scratch).action == VERDICT_ALLOW) != p->denied;
}
