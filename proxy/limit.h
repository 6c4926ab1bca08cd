/* SPDX-License-Identifier: Apache-2.0 */
/* limit.h - every limit that an operator may set (limits.h is the C library's): one table gives the
 * field, the name in `--limit` and in the configuration file, the unit, the default, the bounds and
 * the help.
 *
 * A struct limits is filled before anything is started and never changed afterwards; workers share
 * it and need no lock. What has to fit into arrays has its bound here from the array. */
#ifndef SLUICE_LIMIT_H
#define SLUICE_LIMIT_H

#include <stdint.h>
#include <stdio.h>
#include "h1.h"
#include "sluice/error.h"

#define LIMITS_KIB ((uint64_t)1024)
#define LIMITS_MIB (1024 * LIMITS_KIB)
#define LIMITS_GIB (1024 * LIMITS_MIB)
#define LIMITS_S   ((uint64_t)1000) /* times are in milliseconds */
#define LIMITS_H   (3600 * LIMITS_S)

/* X(field, name, unit, default, least, most, what is bounded; what happens there) */
#define LIMITS(X)                                                                                 \
	X(head_size, "head-size", BYTES, H1_HEAD_MAX, 256, H1_HEAD_MAX,                           \
	  "a head or trailers; a request gets 431, a response passes unread and is the last")     \
	X(head_fields, "head-fields", COUNT, H1_FIELDS_MAX, 1, H1_FIELDS_MAX,                     \
	  "header fields in a head; the same")                                                    \
	X(head_time, "head-time", TIME, 60 * LIMITS_S, 100, 24 * LIMITS_H,                        \
	  "a request head, from its first byte; 408")                                             \
	X(denied_body, "denied-body", BYTES, 64 * LIMITS_KIB, 0, LIMITS_GIB,                      \
	  "body of a denied request that is read; then the connection is closed")                 \
	X(drain_idle, "drain-idle", TIME, 5 * LIMITS_S, 100, LIMITS_H,                            \
	  "silence of a client that got its last answer; closed")                                 \
	X(drain_time, "drain-time", TIME, 30 * LIMITS_S, 100, LIMITS_H,                           \
	  "all the time that it may take to close; closed")                                       \
	X(pipeline, "pipeline", COUNT, 64, 1, 1024, "requests open on one connection; more wait") \
	X(connections, "connections", COUNT, 65536, 1, 1024 * 1024,                               \
	  "steered connections of the run; new ones are reset")                                   \
	X(connects, "connects", COUNT, 65536, 64, 1024 * 1024,                                    \
	  "connections between connect() and accept(); reset")                                    \
	X(buffers, "buffers", BYTES, 256 * LIMITS_MIB, LIMITS_MIB, 1024 * LIMITS_GIB,             \
	  "bytes in flight, each worker; reading waits, and see stall-time")                      \
	X(stall_time, "stall-time", TIME, 5 * LIMITS_S, LIMITS_S, LIMITS_H,                       \
	  "how long bytes may lie still while the buffers are used up; reset")                    \
	X(log_queue, "log-queue", BYTES, LIMITS_MIB, 32 * LIMITS_KIB, LIMITS_GIB,                 \
	  "records that wait for the log, each worker; lost and counted")                         \
	X(wind_up, "wind-up", TIME, 5 * LIMITS_S, 0, LIMITS_H,                                    \
	  "delivery of what is in flight when the command has ended; reset")                      \
	X(term_time, "term-time", TIME, 2 * LIMITS_S, 0, LIMITS_H,                                \
	  "what the command left may take after SIGTERM; SIGKILL")

struct limits {
#define X(field, name, unit, preset, least, most, help) uint64_t field;
	LIMITS(X)
#undef X
};

#define LIMITS_DEFAULT                \
	{                             \
		LIMITS(LIMITS_PRESET) \
	}
#define LIMITS_PRESET(field, name, unit, preset, least, most, help) .field = (preset),

/* Set the limit NAME to what VALUE says: "100", "64k", "16M", "1G", "500ms", "30s", "5m", "1h". On
 * failure ERR says what is wrong and what would be right, L is unchanged, and the result is
 * -ENOENT (no such limit) or -EINVAL. */
int limits_set(struct limits *l, const char *name, const char *value, struct error *err);

/* The names of all limits; stores their number. */
const char *const *limits_names(size_t *n);

/* Limits that contradict each other. Returns 0, or -EINVAL and what to do. */
int limits_check(const struct limits *l, struct error *err);

/* A line for each: name, default, help. */
void limits_print(FILE *to);

#endif
