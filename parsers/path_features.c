/* SPDX-License-Identifier: Apache-2.0 */
/* path_features.c - one pass over a path that tells whether it has more than one reading. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "path_steps.h"
#include "sluice/hex.h"

#define NESTING_MAX 3 /* rounds of %25 that are followed */

static int hex_pair(const char *at, const char *end)
{
	int high, low;

	if (end - at < 2)
		return -1;
	high = hex_value(at[0]);
	low = hex_value(at[1]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int path_escape(const char *at, const char *end)
{
	return at < end && *at == '%' ? hex_pair(at + 1, end) : -1;
}

/* A semicolon is no reading of its own, but what it does must be seen after decoding too; so must a
 * control character. */
bool path_significant(int value)
{
	return path_unreserved(value) || value == '/' || value == '\\' || value == ';' ||
	       (value >= 0 && value < 0x20) || value == 0x7f;
}

size_t path_semicolon(const char *at, const char *end)
{
	if (at < end && *at == ';')
		return 1;
	return path_escape(at, end) == ';' ? 3 : 0;
}

/* The value at the bottom of an escape, below any number of "25", which goes to *DEPTH; -1 where
 * that is no escape. */
static int deep_escape(const char *at, const char *end, unsigned *depth)
{
	int value;

	*depth = 0;
	if (at >= end || *at != '%')
		return -1;
	for (at++; (value = hex_pair(at, end)) == '%'; at += 2)
		(*depth)++;
	return value;
}

unsigned path_nesting(const char *at, const char *end)
{
	unsigned depth;

	return path_significant(deep_escape(at, end, &depth)) ? depth : 0;
}

bool path_hidden_slash(const char *at, const char *end)
{
	unsigned depth;
	int value = *at == '\\' ? '\\' : deep_escape(at, end, &depth);

	return value == '/' || value == '\\';
}

/* %C0%AF and the like, also nested: an ASCII character in more bytes than it needs, which careless
 * decoders take for that character. */
static bool overlong(const char *at, const char *end)
{
	unsigned depth, next_depth;
	int value = deep_escape(at, end, &depth), next;

	if (value != 0xc0 && value != 0xc1 && value != 0xe0 && value != 0xf0)
		return false;
	next = deep_escape(at + 3 + 2 * depth, end, &next_depth);
	if (next < 0x80)
		return false;
	return next < (value == 0xe0 ? 0xa0 : value == 0xf0 ? 0x90 : 0xc0);
}

static int escape_features(const char *at, const char *end)
{
	int value = path_escape(at, end);
	unsigned depth;

	/* Servers keep a broken escape, drop its percent sign, or stop there. */
	if (value < 0x20 || value == 0x7f || overlong(at, end))
		return -EPROTO;
	if (path_unreserved(value))
		return PATH_UNRESERVED;
	if (value == '/')
		return PATH_ENC_SLASH;
	if (value == '\\')
		return PATH_ENC_BACKSLASH;
	if (value != '%')
		return 0;
	depth = path_nesting(at, end);
	if (depth > NESTING_MAX)
		return -EPROTO;
	return depth ? PATH_NESTED : 0;
}

/* The segment that begins at AT, after a slash. */
static int segment_features(const char *at, const char *end)
{
	const char *begin = at;

	while (at < end && *at == '.')
		at++;
	if (at - begin > 2)
		return 0;
	if (at == end)
		return at > begin ? PATH_DOTS : 0;
	if (*at == '/')
		return at > begin ? PATH_DOTS : PATH_DOUBLE_SLASH;
	if (!path_semicolon(at, end))
		return 0;
	return at > begin || memchr(at, '/', (size_t)(end - at)) ? PATH_PARAMETERS : 0;
}

/* 1: nothing to look at. All but controls, blanks and "#%/;?\\". */
static const uint8_t plain[256] = {
	['!'] = 1,	   ['"'] = 1,	      ['$'] = 1,
	['&' ... '.'] = 1, ['0' ... ':'] = 1, ['<' ... '>'] = 1,
	['@' ... '['] = 1, [']' ... '~'] = 1, [0x80 ... 0xff] = 1,
};

/* The feature of the byte at AT, which is not plain. */
static int byte_features(const char *at, const char *end)
{
	switch (*at) {
	case '/':
		return segment_features(at + 1, end);
	case '%':
		return escape_features(at, end);
	case '\\':
		return PATH_BACKSLASH;
	case ';':
		return 0;
	default:
		return -EPROTO; /* a blank, a control character, '#' */
	}
}

int path_features(struct span path)
{
	const char *end = path.ptr + path.len;
	bool parameters = false;
	int features = 0;

	for (const char *at = path.ptr; at < end; at++) {
		int found;

		if (plain[(unsigned char)*at])
			continue;
		found = byte_features(at, end);
		if (found < 0)
			return found;
		features |= found;
		if (*at == '/')
			parameters = false;
		else if (path_semicolon(at, end))
			parameters = true;
		else if (parameters && path_hidden_slash(at, end))
			features |= PATH_PARAMETERS;
	}
	if (path.len > 1 && path.ptr[1] == '/')
		features |= PATH_LEADING_DOUBLE;
	return features;
}
