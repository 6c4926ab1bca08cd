/* SPDX-License-Identifier: Apache-2.0 */
/* path.h - all readings of a request's path: every way in which some server could understand it.
 *
 * The bytes are forwarded untouched, so sluice cannot know which reading the server takes; the
 * policy has to allow each of them. Only the path part is read anew, the query follows every
 * reading as sent:
 *  1. as sent;
 *  2. dot segments resolved (RFC 3986, section 5.2.4), percent-encoded unreserved characters
 * decoded first;
 *  3. the same with doubled slashes merged before and, as another reading, after resolving;
 *  4. each of these with %2F, %5C and \ taken for slashes;
 *  5. each with ;parameters stripped from segments, where that makes a dot segment;
 *  6. where %25 hides one of the above, the same after decoding once more, up to three rounds. */
#ifndef SLUICE_PATH_H
#define SLUICE_PATH_H

#include <sys/types.h>
#include "sluice/span.h"

#define PATH_READINGS_MAX 64

/* Scratch for the readings of one path; reused for every request of a worker. Zero it before first
 * use. Allocates only for paths that have more than one reading and are longer than any before. */
struct path_scratch {
	char *buf;
	size_t size;
	struct span readings[PATH_READINGS_MAX];
};

/* Store the distinct readings of PATH (with query) in scratch->readings, [0] being PATH itself, and
 * return their number, at least 1. They are valid until the next call and while PATH is. Returns
 * -EPROTO for a path that must be refused (%00, encoded control characters, nesting deeper than
 * three rounds, more than PATH_READINGS_MAX readings), -ENOMEM. An ordinary path has one reading,
 * found in one pass without a copy. */
ssize_t path_readings(struct span path, struct path_scratch *scratch);

void path_scratch_done(struct path_scratch *scratch);

#endif
