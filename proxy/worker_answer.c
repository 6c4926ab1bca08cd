/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker answers when it is asked what it has counted. */
#include "worker.h"
#include "worker_changes.h"

void worker_answer(struct worker *w, struct worker_question *q)
{
	for (uint32_t i = 0; q->result == 0 && i < w->workloads.n; i++) {
		const struct workload *wl = w->workloads.slots[i];

		if (wl)
			q->result =
				tally_add_workload(&q->tally, wl->id, &wl->metrics, &wl->denied_by);
	}
	worker_sum_up(w, &q->tally.all);
	atomic_store(&q->answered, true);
}
