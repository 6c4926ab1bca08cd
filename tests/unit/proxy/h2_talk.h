/* SPDX-License-Identifier: Apache-2.0 */
/* h2_talk.h - a conversation over HTTP/2 as data, and what has to come of it however it is cut.
 *
 * Steps: ">frames" the client sends, "<frames" the server sends (see h2_text.h), ">$" and "<$" one
 * of them ends its half, "!" a frame's time is up, "~" the policy changes, "." a second passes.
 * Talks begin behind the preface and the SETTINGS of both sides, unless BARE. */
#ifndef SLUICE_TEST_H2_TALK_H
#define SLUICE_TEST_H2_TALK_H

#include "h2_stage.h"
#include "talk_cut.h"

#define H2_TALK_STEPS_MAX 12

struct h2_talk {
	const char *name;
	const char *steps[H2_TALK_STEPS_MAX];
	const char *up, *down; /* what arrives, as lines; NULL: whatever it is */
	const char *log, *end; /* see struct h2_stage */
	bool bare;
};

/* Play it and leave the stage as it is in the end; the caller calls h2_stage_done(). */
void h2_talk_play(const struct h2_talk *t, const struct talk_cut *cut, struct h2_stage *s);

/* A side sends BYTES, cut; *DONE counts what it has sent. */
void h2_talk_put(struct h2_stage *s, enum relay_side from, const struct bytes *bytes,
		 const struct talk_cut *cut, size_t *done);

/* LINES with all window updates of the connection added up, at the end: how many it takes depends
 * on where bytes were cut, and without the marks of how fields were encoded. The caller frees it.
 */
char *h2_talk_normal(const char *lines);

#define HELLO "PRI\nSETTINGS 0 -\n"

#define FIELDS(method, path)	 ":method=" method "|:scheme=http|:path=" path "|:authority=h"
#define GET(id, path)		 "HEADERS " #id " eh " FIELDS("GET", path) "\n"
#define GROWING(id, path)	 "HEADERS " #id " eh " FIELDS("GET", path) "|+x=y\n"
#define POST(id, path)		 "HEADERS " #id " h " FIELDS("POST", path) "\n"
#define POST_LENGTH(id, path, n) "HEADERS " #id " h " FIELDS("POST", path) "|content-length=" n "\n"
#define CALL(id, path) \
	"HEADERS " #id " h " FIELDS("POST", path) "|te=trailers|content-type=application/grpc\n"
#define OK(id)	      "HEADERS " #id " h :status=200\n"
#define OK_LAST(id)   "HEADERS " #id " eh :status=200\n"
#define DENIED(id)    "HEADERS " #id " eh :status=403|content-length=0\n"
#define MALFORMED(id) "HEADERS " #id " eh :status=400|content-length=0\n"
#define DENIED_CALL(id)                                                               \
	"HEADERS " #id " eh :status=200|content-type=application/grpc|grpc-status=7|" \
	"grpc-message=Access denied\n"
#define NO_ERROR(id) "RST " #id " - %0\n"

#endif
