/* SPDX-License-Identifier: Apache-2.0 */
/* report_desk.h - a reporter whose records a test reads, and what it is told of. */
#ifndef SLUICE_TEST_REPORT_DESK_H
#define SLUICE_TEST_REPORT_DESK_H

#include "report.h"

/* A reporter whose log is a file, and what was written once it is closed. */
struct desk {
	struct reporter reporter;
	struct workload_info info;
	char who[WORKLOAD_RECORD_MAX];
	struct kept kept;
	struct access_log *log;
	int fd;
	char *text, *next;
};

extern const struct flow flow;
extern const struct rule_ref rule; /* http[1] of policy "api" in "shop" */

/* LABELS are the inside of a JSON array; "": the workload is not known. */
void desk_open(struct desk *d, const char *labels);
/* No more is reported; returns how many records were lost. */
uint64_t desk_read(struct desk *d);
/* The next record, which must be JSON, or NULL. */
const char *desk_next(struct desk *d);
void desk_close(struct desk *d);
/* What stands at PATH ("l7.code") in RECORD is WANT; NULL: nothing does. */
void check(const char *record, const char *path, const char *want);
/* A head as the parser would leave it. */
const struct report_ask *ask_of(const char *method, const char *authority, const char *path);

#endif
