/* SPDX-License-Identifier: Apache-2.0 */
/* fail_alloc.h - lets one allocation fail. The test is linked with fail_alloc_options of
 * CMakeLists.txt, so that ours come here and those of libraries do not. */
#ifndef SLUICE_TEST_FAIL_ALLOC_H
#define SLUICE_TEST_FAIL_ALLOC_H

#include <stdbool.h>

/* Number N from now on (1: the next one) fails; 0: none. */
void fail_alloc_at(unsigned n);
/* Did one fail since then? */
bool fail_alloc_happened(void);

#endif
