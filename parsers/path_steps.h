/* SPDX-License-Identifier: Apache-2.0 */
/* path_steps.h - the single steps by which servers change a path. Private to path*.c.
 *
 * A path here is the part before the query, beginning with a slash. */
#ifndef SLUICE_PATH_STEPS_H
#define SLUICE_PATH_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include "sluice/span.h"

/* What a path contains that some server would change. */
enum path_feature {
	PATH_UNRESERVED = 1 << 0,     /* an escape of an unreserved character: %41, %2e */
	PATH_ENC_SLASH = 1 << 1,      /* %2F */
	PATH_ENC_BACKSLASH = 1 << 2,  /* %5C */
	PATH_BACKSLASH = 1 << 3,      /* \ */
	PATH_DOUBLE_SLASH = 1 << 4,   /* an empty segment that is not the last */
	PATH_LEADING_DOUBLE = 1 << 5, /* // at the very begin: what follows may be an authority */
	PATH_DOTS = 1 << 6,	      /* a segment . or .. */
	PATH_PARAMETERS = 1 << 7,     /* ;parameters behind which a segment is empty, . or .., or in
					 which there is a slash of any kind */
	PATH_NESTED = 1 << 8,	      /* %25 before what makes it an escape of the above */
};

/* The features of PATH, or -EPROTO for one that must be refused. */
int path_features(struct span path);

/* One step: writes at most path.len bytes, at least one, to OUT and returns how many. NEEDS are
 * the features without which it changes nothing. */
struct path_step {
	unsigned needs;
	size_t (*apply)(struct span path, char *out);
};

extern const struct path_step path_steps[];
extern const size_t path_n_steps;

/* The value of the escape at AT ("%41"), or -1 if there is none before END. */
int path_escape(const char *at, const char *end);

/* Whether an escape of this value may be taken for the character itself, so that it matters where
 * %25 hides it. */
bool path_significant(int value);

/* AT is a semicolon, plain or escaped. Returns its length, or 0. */
size_t path_semicolon(const char *at, const char *end);

/* Whether AT is a backslash, or an escape of either slash, also below %25. */
bool path_hidden_slash(const char *at, const char *end);

/* How many times "25" follows the "%" at AT before two digits of a significant escape; 0: not at
 * all. */
unsigned path_nesting(const char *at, const char *end);

static inline bool path_unreserved(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

#endif
