/* SPDX-License-Identifier: Apache-2.0 */
/* worker_changes.h - what a worker is told while it runs: a list of changes, made where memory may
 * be lacking, and then carried out by the worker in order, which cannot fail.
 *
 * Lists are posted by the main thread (worker_post()), for each worker one of its own, and
 * acknowledged by the serial of the whole list:
 *   TAKEN  every change is in force: no event of a connection is handled before the connection is
 *          held to it;
 *   SWEPT  every connection that they concern was held to them, those that they end are gone.
 * Only connections of the workloads that a list names are looked at. */
#ifndef SLUICE_WORKER_CHANGES_H
#define SLUICE_WORKER_CHANGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "tally.h"

struct endpoint_names;
struct policy;
struct workload_info;
struct worker;
struct worker_changes;
struct worker_netns;

struct worker_changes *worker_changes_new(void);	  /* NULL when out of memory */
void worker_changes_free(struct worker_changes *changes); /* accepts NULL */

/* Append a change. Returns 0 or -ENOMEM, and then nothing was appended.
 *
 * The workload is judged by POLICY and called as INFO says (NULL: it has no name), of which
 * references are taken; it is new, or has been known by this id. */
int worker_changes_set_policy(struct worker_changes *changes, uint64_t workload,
			      struct policy *policy, struct workload_info *info);
/* The workload is known no more, and who comes in its name is reset. Its connections end; where it
 * had closed its socket before, what it had sent is delivered, for at most limits.wind_up. In audit
 * all go on. */
int worker_changes_remove_workload(struct worker_changes *changes, uint64_t workload);

/* From now on the worker accepts in that namespace, which is of no number that it knows. *WN is
 * taken over and set to NULL. */
int worker_changes_add_netns(struct worker_changes *changes, struct worker_netns **wn);
/* It accepts there no more, and the connections that it has there end, in audit too: when the list
 * is swept the number may be given again. Not 0, which stays. */
int worker_changes_remove_netns(struct worker_changes *changes, uint32_t number);

/* How others than its workloads are called in records, of which a reference is taken. */
int worker_changes_set_names(struct worker_changes *changes, struct endpoint_names *names);

/* Not a change: a question what has been counted. The worker fills in the answer, and tells
 * PROGRESS. */
struct worker_question {
	struct tally tally;
	int result; /* 0 or -ENOMEM */
	atomic_bool answered;
};
/* Q has to live until it is answered, or the worker is done. */
int worker_changes_ask(struct worker_changes *changes, struct worker_question *q);

/* Serial 0: nobody waits for it. Otherwise it grows, and may go round.
 *
 * Main thread. The worker takes CHANGES over, and cannot fail. */
void worker_post(struct worker *w, struct worker_changes *changes, uint32_t serial);
/* The same before worker_start(), at once. */
void worker_apply(struct worker *w, struct worker_changes *changes);

/* Private to worker*.c. */
void worker_answer(struct worker *w, struct worker_question *q);
void worker_take_changes(struct worker *w);
/* There are no connections any more: free what is in the mailbox, and what is gone. */
void worker_drop_changes(struct worker *w);
/* Free the workloads that are gone and have no connections any more. Returns whether there are
 * others with connections that are being closed. */
bool worker_reap_workloads(struct worker *w);

#endif
