/* SPDX-License-Identifier: Apache-2.0 */
/* workload_info.h - how a workload is called, as records and the summary need it.
 *
 * Immutable and reference-counted: all threads share one for each workload. */
#ifndef SLUICE_WORKLOAD_INFO_H
#define SLUICE_WORKLOAD_INFO_H

#include <stdatomic.h>
#include <stddef.h>
#include "policy.h"
#include "sluice/error.h"

#define WORKLOAD_LABELS_MAX 4096 /* as they are in a record */
#define WORKLOAD_NAME_MAX   1024 /* name and namespace together, escapes included */
#define WORKLOAD_RECORD_MAX (WORKLOAD_LABELS_MAX + WORKLOAD_NAME_MAX + 16)
#define WORKLOAD_LINE_MAX   (2 * WORKLOAD_NAME_MAX) /* where a backslash is longer than in JSON */

struct workload_names {
	const char *name, *namespace_; /* NULL: it has none */
	const struct label *labels;
	size_t n_labels;
};

struct workload_info {
	atomic_uint refs;
	char *record; /* what a record says of its end: ,"namespace":"...",... in JSON, or "" */
	char *line;   /* "namespace/name: " in front of a line of the summary, escaped; or "" */
};

/* Returns 0; -E2BIG, the names are too long for a record; or -ENOMEM; then ERR says so. */
int workload_info_new(const struct workload_names *names, struct workload_info **ret,
		      struct error *err);
struct workload_info *workload_info_ref(struct workload_info *info); /* any thread; accepts NULL */
void workload_info_unref(struct workload_info *info);		     /* the same */

#endif
