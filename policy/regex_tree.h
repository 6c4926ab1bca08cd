/* SPDX-License-Identifier: Apache-2.0 */
/* regex_tree.h - RE2's syntax, read into a tree and written out again in a form that leaves nothing
 * to interpretation.
 *
 * libhs reads PCRE's syntax, policies are written in RE2's. The two agree on most patterns and
 * differ in the rest, so libhs is never given a user's text: the tree is printed with every byte
 * either a letter, a digit or \xHH, every class as explicit ranges and every group closed. A
 * pattern therefore cannot escape from the whole-string match around it, and what could mean two
 * things is refused here. It works on bytes: "." and "[^a]" match one byte, and only ASCII may
 * stand in a class; other characters stand for their UTF-8 bytes. */
#ifndef SLUICE_REGEX_TREE_H
#define SLUICE_REGEX_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include "arena.h"
#include "sluice/span.h"

#define REGEX_LENGTH_MAX   4096 /* bytes of a pattern */
#define REGEX_DEPTH_MAX	   100	/* groups within groups */
#define REGEX_REPEAT_MAX   1000 /* {n}, also multiplied over nested ones: RE2's own limit */
#define REGEX_PREFIX_MAX   256	/* bytes of a prefix that are of use */
#define REGEX_LITERALS_MAX 16	/* a pattern that stands for more strings stays an expression */

enum regex_kind {
	REGEX_EMPTY,
	REGEX_BYTES,
	REGEX_SET,
	REGEX_CAT,
	REGEX_ALT,
	REGEX_REPEAT,
	REGEX_BOUNDARY,	    /* \b */
	REGEX_NOT_BOUNDARY, /* \B */
	REGEX_BEGIN,	    /* ^ and \A */
	REGEX_END,	    /* $ and \z */
};

struct regex_set {
	uint64_t bits[4];
};

struct regex {
	enum regex_kind kind;
	size_t at;	      /* where it stands in the pattern */
	struct span bytes;    /* REGEX_BYTES */
	struct regex_set set; /* REGEX_SET */
	struct regex **items; /* REGEX_CAT, REGEX_ALT; REGEX_REPEAT has one */
	size_t n;
	unsigned min, max; /* REGEX_REPEAT; max UINT_MAX: without limit */
};

struct regex_error {
	const char *message; /* static */
	size_t at;	     /* byte of the pattern, from 0 */
};

/* One string that a pattern stands for, or the beginning of all strings without a newline in their
 * rest. */
struct regex_literal {
	struct span text;
	bool prefix;
};

struct regex_literals {
	struct regex_literal items[REGEX_LITERALS_MAX];
	size_t n;
};

static inline void regex_set_add(struct regex_set *s, unsigned char c)
{
	s->bits[c / 64] |= UINT64_C(1) << (c % 64);
}

static inline bool regex_set_has(const struct regex_set *s, unsigned char c)
{
	return s->bits[c / 64] >> (c % 64) & 1;
}

/* Read PATTERN into MEM. Returns 0, -EINVAL with *ERR filled in, or -ENOMEM. Anchors that say
 * nothing new are gone from the tree; others are refused. PATTERN has to outlive the tree. */
int regex_parse(struct span pattern, struct arena *mem, struct regex **ret,
		struct regex_error *err);

/* The pattern as a whole-string match for libhs, NUL-terminated. NULL when out of memory. */
char *regex_print(const struct regex *re, struct arena *mem);

/* Whether RE stands for a few strings and prefixes only; if so they are in *RET, in MEM. Returns
 * 1, 0 or -ENOMEM. */
int regex_literals(const struct regex *re, struct arena *mem, struct regex_literals *ret);

/* The string, maybe empty, with which all begins that RE matches, as far as it is easily seen. */
int regex_prefix(const struct regex *re, struct arena *mem, struct span *ret);

#endif
