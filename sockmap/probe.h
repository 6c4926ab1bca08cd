/* SPDX-License-Identifier: Apache-2.0 */
/* probe.h - can this process and this kernel do what sluice needs? Asked once, before anything is
 * made. */
#ifndef SLUICE_PROBE_H
#define SLUICE_PROBE_H

#include "sluice/error.h"

/* 0, or a negative errno and one sentence that says what is missing and what to do: not root, a
 * missing capability (by name), no BTF, BPF refused by the kernel's configuration or a lockdown. */
int probe_requirements(struct error *err);

#endif
