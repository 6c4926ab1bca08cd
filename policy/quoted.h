/* SPDX-License-Identifier: Apache-2.0 */
/* quoted.h - what a single-quoted YAML scalar says (YAML 1.2.2, 7.3.2 and 6.5).
 *
 * Read here and not by libfyaml, whose 0.7.12 returns other bytes than the file has where doubled
 * quotes stand next to each other: 'a''''b' comes back as a'''. A rule would silently mean
 * something else. */
#ifndef SLUICE_QUOTED_H
#define SLUICE_QUOTED_H

#include "arena.h"
#include "sluice/span.h"

/* TEXT begins behind the opening quote and goes on to the end of the file at most. On success store
 * what stands between the quotes in *RET, in MEM with a NUL behind it, and return 0. Else -ENOMEM,
 * or -EINVAL where the closing quote is missing. */
int quoted_read(struct arena *mem, const char *text, size_t len, struct span *ret);

#endif
