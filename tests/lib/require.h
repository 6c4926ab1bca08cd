/* SPDX-License-Identifier: Apache-2.0 */
/* require.h - what must hold in a test or a fuzzer, always on: says where it did not, and aborts.
 */
#ifndef SLUICE_TEST_REQUIRE_H
#define SLUICE_TEST_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                              \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

#endif
