/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h - how often which time was measured, with an error below 1.6 %: 64 steps for each
 * doubling. Embedded; zero it before use. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS	    64
#define HISTOGRAM_DOUBLINGS 40

struct histogram {
	uint64_t n;
	uint64_t counts[HISTOGRAM_DOUBLINGS * HISTOGRAM_STEPS];
};

static inline unsigned histogram_slot(uint64_t value)
{
	unsigned shift, slot;

	if (value < HISTOGRAM_STEPS)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - 6;
	slot = (shift + 1) * HISTOGRAM_STEPS + (unsigned)(value >> shift) - HISTOGRAM_STEPS;
	return slot < HISTOGRAM_DOUBLINGS * HISTOGRAM_STEPS
		       ? slot
		       : HISTOGRAM_DOUBLINGS * HISTOGRAM_STEPS - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	h->counts[histogram_slot(value)]++;
	h->n++;
}

/* The value below which PARTS of a thousand of all are; 0 if there is none. */
static inline uint64_t histogram_at(const struct histogram *h, unsigned parts)
{
	uint64_t want = (h->n * parts + 999) / 1000, seen = 0;
	unsigned slot = 0;

	if (h->n == 0)
		return 0;
	while ((seen += h->counts[slot]) < want)
		slot++;
	if (slot < HISTOGRAM_STEPS)
		return slot;
	return (uint64_t)(slot % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << (slot / HISTOGRAM_STEPS - 1);
}

#endif
