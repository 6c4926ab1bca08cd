/* SPDX-License-Identifier: Apache-2.0 */
/* regex_parser.h - shared by regex_parse.c, regex_class.c and nobody else. */
#ifndef SLUICE_REGEX_PARSER_H
#define SLUICE_REGEX_PARSER_H

#include "regex_tree.h"

struct regex_parser {
	const char *text;
	size_t len, pos;
	struct arena *mem;
	unsigned depth;
	bool fold;    /* (?i) */
	bool dot_all; /* (?s) */
	bool failed;
	bool oom;
	struct regex_error err;
};

static inline int regex_peek(const struct regex_parser *p, size_t ahead)
{
	return p->pos + ahead < p->len ? (unsigned char)p->text[p->pos + ahead] : -1;
}

/* Note the first error; returns NULL, so that it can be returned from any parsing function. */
void *regex_fail(struct regex_parser *p, size_t at, const char *message);

struct regex *regex_new(struct regex_parser *p, enum regex_kind kind, size_t at);

/* A node for one code point. */
struct regex *regex_char(struct regex_parser *p, uint32_t code, size_t at);

/* At "[": a whole class. */
struct regex *regex_class(struct regex_parser *p);

/* C is the letter behind a backslash: \d \D \s \S \w \W added to SET. False if it is another. */
bool regex_perl_class(int c, struct regex_set *set);

/* At a backslash that stands for one character: consume it and store the code point in *RET. */
bool regex_escape(struct regex_parser *p, uint32_t *ret);

void regex_set_invert(struct regex_set *s);
void regex_set_fold(struct regex_set *s);

/* What can only be judged with the whole tree at hand: anchors, which are taken out where they say
 * nothing new and refused elsewhere, and the product of nested repetitions. */
void regex_check(struct regex_parser *p, struct regex *re);

#endif
