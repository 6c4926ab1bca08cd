/* SPDX-License-Identifier: Apache-2.0 */
/* tally.h - what a load generator has done, and the line of JSON that says so. Embedded; zero it
 * before use. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include "histogram.h"

struct tally {
	uint64_t started_ns;	   /* 0: not every connection is warm, and the clock does not run */
	uint64_t exchanges, bytes; /* since then */
	uint64_t all_exchanges, all_bytes, unexpected, failed, reopened;
	struct histogram times; /* µs */
};

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* An exchange that began at BEGAN_NS is complete. */
static inline void tally_add(struct tally *t, uint64_t began_ns, bool expected)
{
	t->all_exchanges++;
	if (!expected)
		t->unexpected++;
	if (t->started_ns) {
		t->exchanges++;
		histogram_add(&t->times, (now_ns() - began_ns) / 1000);
	}
}

static inline void tally_count(struct tally *t, size_t bytes)
{
	t->all_bytes += bytes;
	if (t->started_ns)
		t->bytes += bytes;
}

static inline void tally_print(const struct tally *t)
{
	printf("{\"exchanges\": %llu, \"all_exchanges\": %llu, \"seconds\": %.6f, \"bytes\": %llu, "
	       "\"all_bytes\": %llu, "
	       "\"p50_us\": %llu, \"p90_us\": %llu, \"p99_us\": %llu, \"max_us\": %llu, "
	       "\"unexpected\": %llu, \"failed\": %llu, \"reopened\": %llu}\n",
	       (unsigned long long)t->exchanges, (unsigned long long)t->all_exchanges,
	       (double)(now_ns() - t->started_ns) * 1e-9, (unsigned long long)t->bytes,
	       (unsigned long long)t->all_bytes, (unsigned long long)histogram_at(&t->times, 500),
	       (unsigned long long)histogram_at(&t->times, 900),
	       (unsigned long long)histogram_at(&t->times, 990),
	       (unsigned long long)histogram_at(&t->times, 1000), (unsigned long long)t->unexpected,
	       (unsigned long long)t->failed, (unsigned long long)t->reopened);
}

#endif
