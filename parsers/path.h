/* SPDX-License-Identifier: Apache-2.0 */
/* path.h - all readings of a request's path: every way in which some server could understand it.
 *
 * The bytes are forwarded untouched, so sluice cannot know which reading the server takes; the
 * policy has to allow each of them. Only the path part is read anew, the query follows every
 * reading as sent. The readings are the path as sent, and whatever any of these steps makes of a
 * reading, in any order:
 *  - percent-encoded unreserved characters (%41, %2e) decoded, all or only those of dot segments;
 *  - dot segments resolved (RFC 3986, section 5.2.4); where the last one is a dot segment, with and
 *    without a slash at the end, as URL libraries and path.Clean() do;
 *  - doubled slashes merged; two at the begin also taken for an authority ("//a/b" is "/b" of host
 *    "a" to whoever resolves it against a base);
 *  - %2F taken for a slash; %5C for a backslash; backslashes for slashes;
 *  - ;parameters (or %3B as well) stripped where that makes a dot segment or an empty one, or where
 *    they contain a slash of any kind; then also stripped from all segments ("/a/..;/b",
 *    "/a/;x/../b", "/a/b;%2Fc/..%2F..%2Fd");
 *  - where %25 hides one of the above, one "25" taken out, up to three.
 *
 * Everything else (%20, %C3%A9, ;v=1) stays as sent in every reading.
 *
 * Refused, because servers differ in ways that no reading can show: %00 and other encoded control
 * characters, escapes that are not two hexadecimal digits, overlong UTF-8 (%C0%AF), %25 nested
 * deeper. Refused as well: more readings than PATH_READINGS_MAX, or readings of more bytes than
 * PATH_READINGS_BYTES together, which bounds what a request can cost. */
#ifndef SLUICE_PATH_H
#define SLUICE_PATH_H

#include <sys/types.h>
#include "sluice/span.h"

#define PATH_READINGS_MAX   64
#define PATH_READINGS_BYTES (32 * 1024) /* of all readings together, without their queries */

/* Scratch for the readings of one path; reused for every request of a worker. Zero it before first
 * use. Allocates only for paths that have more than one reading and are longer than any before. */
struct path_scratch {
	char *buf;
	size_t size;
	struct span readings[PATH_READINGS_MAX];
};

/* Store the distinct readings of PATH (with query) in scratch->readings, [0] being PATH itself, and
 * return their number, at least 1. They are valid until the next call and while PATH is. PATH
 * begins with a slash, or is "*" or empty, which have one reading. Returns -EPROTO for a path that
 * must be refused, -ENOMEM. An ordinary path has one reading, found in one pass without a copy. */
ssize_t path_readings(struct span path, struct path_scratch *scratch);

void path_scratch_done(struct path_scratch *scratch);

#endif
