// SPDX-License-Identifier: Apache-2.0
/* Any text as the agent's configuration: what is read of it is whole, and what is wrong has a
 * place. */
#include <stdint.h>
#include <stdlib.h>
#include "agent_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_labels(const struct label_settings *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->items[i].key[0] || !l->items[i].value)
			abort();
}

static void check(const struct agent_settings *s)
{
	if (!s->n_policies)
		abort();
	for (size_t i = 0; i < s->n_workloads; i++) {
		const struct workload_settings *w = &s->workloads[i];

		if (!w->name.text || !w->name.text[0] || !w->cgroup.text || !w->cgroup.line)
			abort();
		check_labels(&w->labels);
	}
	for (size_t i = 0; i < s->n_peers; i++) {
		check_labels(&s->peers[i].labels);
		for (size_t j = 0; j < s->peers[i].n_addresses; j++)
			if (s->peers[i].addresses[j].family != AF_INET &&
			    s->peers[i].addresses[j].family != AF_INET6)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_settings s = { .n_workloads = 0 };
	struct diag diag = { .items = NULL };
	int r = agent_settings_read_text("fuzz", (const char *)data, size, 64, &s, &diag);

	if ((r == 0) != (diag.n + diag.dropped == 0))
		abort();
	if (r == 0)
		check(&s);
	diag_done(&diag);
	agent_settings_done(&s);
	return 0;
}
