/* SPDX-License-Identifier: Apache-2.0 */
/* status_show.h - the document of `sluice status` as a person reads it: a table of the workloads,
 * and what beside it is worth a line. */
#ifndef SLUICE_STATUS_SHOW_H
#define SLUICE_STATUS_SHOW_H

#include <stddef.h>
#include <stdio.h>

/* TEXT is the document as the agent writes it; whatever is in its strings is escaped for a
 * terminal. What it does not say is left out. Returns 0, -EINVAL: it is no such document, -ENOMEM,
 * or -EIO: it could not be written. */
int status_show(const char *text, size_t len, FILE *to);

#endif
