/* SPDX-License-Identifier: Apache-2.0 */
/* count.h - how many there are of what a test must not leave behind. */
#ifndef SLUICE_TEST_COUNT_H
#define SLUICE_TEST_COUNT_H

#include <dirent.h>
#include "require.h"

/* How many names the directory has, with its own two. */
static inline unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	REQUIRE(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Of this process, with three more: what is compared has been counted the same way. */
static inline unsigned count_descriptors(void)
{
	return count_entries("/proc/self/fd");
}

#endif
