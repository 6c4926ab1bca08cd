// SPDX-License-Identifier: Apache-2.0
/* Every shape of policy that Cilium's documentation shows for L3, L4 and HTTP: it loads and means
 * the same, or is refused at its place and with the reason. */
#include "cases.h"

#include <netinet/in.h>
#include <stdio.h>

/* Three lines, so that what follows begins in line 4. */
#define SHAPE_HEAD                    \
	"apiVersion: cilium.io/v2\n"  \
	"kind: CiliumNetworkPolicy\n" \
	"metadata: {name: shape}\n"

static const struct {
	const char *shape, *text, *errors;
} refused[] = {
#include "cilium_refused.inc"
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		char *errors = case_errors(refused[i].text);

		if (strcmp(errors, refused[i].errors) != 0)
			fail_msg("%s:\n%s", refused[i].shape, errors);
		free(errors);
	}
}

struct question {
	const char *ip;
	uint16_t port;
	bool local;
	uint8_t protocol;
	enum l4_action want;
	const char *method, *path, *host; /* of a request, where the connection is steered */
	const char *header, *value;
	bool allowed;
};

#define TCP    IPPROTO_TCP
#define UDP    IPPROTO_UDP
#define ALLOW  L4_ALLOW
#define REFUSE L4_REFUSE
#define STEER  L4_STEER

static const struct loads {
	const char *shape, *text;
	struct label labels[4];
	struct question ask[8];
} loads[] = {
#include "cilium_loads.inc"
};

static void ask(const struct policy *p, const char *shape, const struct question *q)
{
	const struct ruleset *rules = NULL;
	enum l4_action action = case_action(p, q->ip, q->port, q->local, q->protocol, &rules);
	const char *headers[] = { q->header, q->value, NULL };
	struct case_request request = { q->method, q->path, q->host, headers };
	struct verdict v;

	if (action != q->want ||
	    case_table_action(policy_l4_table(p), q->ip, q->port, q->local, q->protocol) != q->want)
		fail_msg("%s: %s port %u: %d", shape, q->ip, q->port, (int)action);
	if (action != STEER)
		return;
	v = case_judge(p, rules, &request);
	if ((v.action == VERDICT_ALLOW) != q->allowed)
		fail_msg("%s: %s %s", shape, q->method, q->path);
}

static void test_loads(void **state)
{
	static const struct named_port ports[] = { { "web", IPPROTO_TCP, 8080 },
						   { "metrics-1", IPPROTO_TCP, 9090 } };

	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		const struct loads *l = &loads[i];
		struct policy_options options = { .labels = l->labels,
						  .ports = ports,
						  .n_ports = ARRAY_SIZE(ports) };
		struct policy *p;

		while (l->labels[options.n_labels].key)
			options.n_labels++;
		p = case_must_load(l->text, &options);
		for (const struct question *q = l->ask; q->ip; q++)
			ask(p, l->shape, q);
		policy_unref(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_loads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
