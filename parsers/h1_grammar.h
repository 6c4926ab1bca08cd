/* SPDX-License-Identifier: Apache-2.0 */
/* h1_grammar.h - the narrow grammar of HTTP/1 heads, chunk lines and trailers. Private to h1*.c and
 * h2*.c, which hold what both protocols have in common to the same grammar.
 *
 * All functions are pure: bytes in, a description out. On failure they return -EPROTO or -EMSGSIZE
 * and store a static phrase in *REASON. */
#ifndef SLUICE_H1_GRAMMAR_H
#define SLUICE_H1_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "h1.h"

/* What a byte may be part of. */
enum h1_class {
	H1_TOKEN = 1,  /* tchar of RFC 9110: names of fields, methods, list elements */
	H1_VALUE = 2,  /* a field value or reason phrase: VCHAR, SP, HTAB, obs-text */
	H1_TARGET = 4, /* a request target: VCHAR except '#' */
	H1_DIGIT = 8,  /* 0-9 */
	H1_HEXDIGIT = 16,
	H1_NAME = 32, /* a registered name in an authority: unreserved of RFC 3986 */
};

extern const uint8_t h1_classes[256];

static inline bool h1_is(char c, unsigned classes)
{
	return (h1_classes[(unsigned char)c] & classes) != 0;
}

/* What the fields of one head say about framing and routing. */
struct h1_facts {
	struct span host, upgrade, expect, coding;
	uint64_t content_length;
	uint8_t n_host, n_upgrade, n_expect, n_coding, n_length; /* saturate at 2 */
	bool close, keep_alive, upgrade_token;			 /* tokens of Connection */
};

/* Find the end of a section of lines: the empty line, included. *SCANNED bytes were searched
 * before. Returns its length (2 for an empty section), or 0 when it is not complete, with *SCANNED
 * advanced. A bare LF is an error at once, a control character as well: whoever sends one need not
 * be waited for. */
ssize_t h1_section_end(const char *buf, size_t len, const struct h1_limits *limits,
		       uint32_t *scanned, const char **reason);

/* How many fields may be in one section. */
static inline size_t h1_fields_max(const struct h1_limits *limits)
{
	return limits->fields && limits->fields < H1_FIELDS_MAX ? limits->fields : H1_FIELDS_MAX;
}

/* Read the field line at AT, inside a complete section. Returns the begin of the next line. */
const char *h1_field_line(const char *at, struct header *ret, const char **reason);

/* Fill HEAD from the complete section of LEN bytes at BUF. *METHOD is llhttp's number of the
 * method. ANSWERS_* as in h1_expect(). */
int h1_request_head(const char *buf, size_t len, struct h1_head *head, uint8_t *method,
		    const char **reason);
int h1_response_head(const char *buf, size_t len, struct h1_head *head, bool answers_head,
		     bool answers_connect, const char **reason);

/* A response of this kind has no body, whatever its fields say (RFC 9112, section 6.3). */
bool h1_response_bodiless(uint16_t status, bool answers_head, bool answers_connect);

/* Collect what field H says into F; refuse what cannot stand for itself. */
int h1_note_field(struct h1_facts *f, const struct header *h, const char **reason);

/* Judge the facts as a whole and copy them into HEAD, whose version, method and target are known.
 * The authority of the target, if it has one, is in head->req.authority. */
int h1_request_facts(const struct h1_facts *f, struct h1_head *head, const char **reason);
int h1_response_facts(const struct h1_facts *f, struct h1_head *head, bool answers_head,
		      bool answers_connect, const char **reason);

/* A registered name, an IPv4 address or an IPv6 address in brackets, and an optional port. */
bool h1_authority_valid(struct span authority, bool needs_port);

/* Read a chunk-size line. Returns its length, or 0 when it is not complete. *SIZE is the chunk's
 * size, *DIGITS the number of digits that say so. */
ssize_t h1_chunk_line(const char *buf, size_t len, uint32_t *scanned, uint64_t *size,
		      size_t *digits, const char **reason);

/* A trailer must not have a field of that name: it belongs in the head. */
bool h1_trailer_forbids(struct span name);

/* Check a complete trailer section. */
int h1_trailer(const char *buf, size_t len, const struct h1_limits *limits, const char **reason);

#endif
