/* SPDX-License-Identifier: Apache-2.0 */
/* bench_policy.h - what the halves of bench_policy share. */
#ifndef SLUICE_BENCH_POLICY_H
#define SLUICE_BENCH_POLICY_H

#include <stddef.h>

double bench_now(void);	   /* seconds */
size_t bench_memory(void); /* bytes that are allocated */
_Noreturn void bench_die(const char *what);

/* Print the table of sets: the policies of many workloads. */
void bench_sets(void);

#endif
