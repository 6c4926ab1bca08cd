/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"
#include <inttypes.h>
#include <stddef.h>
#include "sluice/array.h"

static const struct {
	const char *name, *text;
} reasons[CLOSE_REASON_MAX] = {
#define X(upper, lower, explanation) [CLOSE_##upper] = { #lower, explanation },
	CLOSE_REASONS(X)
#undef X
};

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	{ "conn.opened", offsetof(struct metrics, opened) },
	{ "conn.open", offsetof(struct metrics, open) },
	{ "requests.allowed", offsetof(struct metrics, requests_allowed) },
	{ "requests.denied", offsetof(struct metrics, requests_denied) },
	{ "requests.refused", offsetof(struct metrics, requests_refused) },
	{ "buffers.in_use", offsetof(struct metrics, buffers_in_use) },
	{ "buffers.short", offsetof(struct metrics, buffers_short) },
};

const char *close_reason_name(enum close_reason why)
{
	return reasons[why].name;
}

const char *close_reason_text(enum close_reason why)
{
	return reasons[why].text;
}

static uint64_t *counter_at(struct metrics *m, size_t i)
{
	return (uint64_t *)(void *)((char *)m + counters[i].offset);
}

void metrics_add(struct metrics *sum, const struct metrics *m)
{
	struct metrics copy = *m;

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		*counter_at(sum, i) += *counter_at(&copy, i);
	for (size_t i = 0; i < CLOSE_REASON_MAX; i++)
		sum->closed[i] += m->closed[i];
}

void metrics_each(const struct metrics *m, void (*fn)(void *ctx, const char *name, uint64_t value),
		  void *ctx)
{
	struct metrics copy = *m;
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		fn(ctx, counters[i].name, *counter_at(&copy, i));
	for (size_t i = 0; i < CLOSE_REASON_MAX; i++) {
		snprintf(name, sizeof(name), "close.%s", reasons[i].name);
		fn(ctx, name, m->closed[i]);
	}
}

static void print_one(void *ctx, const char *name, uint64_t value)
{
	fprintf(ctx, "\"%s\":%" PRIu64 ",", name, value);
}

void metrics_print(const struct metrics *m, uint64_t flows_open, uint64_t events_lost, FILE *to)
{
	fprintf(to, "{");
	metrics_each(m, print_one, to);
	fprintf(to, "\"flows.open\":%" PRIu64 ",\"events.lost\":%" PRIu64 "}\n", flows_open,
		events_lost);
}
