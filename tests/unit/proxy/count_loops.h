/* SPDX-License-Identifier: Apache-2.0 */
/* count_loops.h - count.h for tests that make event loops. */
#ifndef SLUICE_TEST_COUNT_LOOPS_H
#define SLUICE_TEST_COUNT_LOOPS_H

#include <uv.h>
#include "count.h"

/* The first loop of a process leaves a pipe behind: it is in the count. */
static inline unsigned count_descriptors_with_loops(void)
{
	uv_loop_t first;

	REQUIRE(uv_loop_init(&first) == 0 && uv_loop_close(&first) == 0);
	return count_descriptors();
}

#endif
