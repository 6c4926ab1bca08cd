/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"
#include <errno.h>
#include <stdlib.h>

#define FIRST_ROOM 8

static struct workload_tally *make(struct tally *t, uint64_t workload)
{
	size_t room = t->room ? 2 * t->room : FIRST_ROOM;
	struct workload_tally *grown;

	if (t->n == t->room) {
		grown = realloc(t->workloads, room * sizeof(*grown));
		if (!grown)
			return NULL;
		t->workloads = grown;
		t->room = room;
	}
	t->workloads[t->n] = (struct workload_tally){ .workload = workload };
	return &t->workloads[t->n++];
}

static size_t index_of(const struct tally *t, uint64_t workload, size_t near)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t at = (near + i) % t->n;

		if (t->workloads[at].workload == workload)
			return at;
	}
	return t->n;
}

const struct workload_tally *tally_find(const struct tally *t, uint64_t workload)
{
	size_t at = index_of(t, workload, 0);

	return at < t->n ? &t->workloads[at] : NULL;
}

int tally_add_workload(struct tally *t, uint64_t workload, const struct metrics *m,
		       const struct rule_counts *denials)
{
	/* Workers have the same workloads in the same order, but for what is on its way. */
	size_t at = index_of(t, workload, t->next);
	struct workload_tally *into = at < t->n ? &t->workloads[at] : make(t, workload);

	if (!into)
		return -ENOMEM;
	t->next = (size_t)(into - t->workloads) + 1;
	metrics_add(&into->metrics, m);
	rule_counts_merge(&into->denials, denials);
	return 0;
}

int tally_add(struct tally *sum, const struct tally *t)
{
	int r = 0;

	sum->next = 0;
	for (size_t i = 0; r == 0 && i < t->n; i++)
		r = tally_add_workload(sum, t->workloads[i].workload, &t->workloads[i].metrics,
				       &t->workloads[i].denials);
	metrics_add(&sum->all, &t->all);
	return r;
}

void tally_done(struct tally *t)
{
	for (size_t i = 0; i < t->n; i++)
		rule_counts_done(&t->workloads[i].denials);
	free(t->workloads);
	*t = (struct tally){ 0 };
}
