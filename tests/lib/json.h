/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - reads one JSON value strictly (RFC 8259), for tests of what we write.
 *
 * json_get(text, "l7.url", ...) finds a member by its path and copies its value: a string decoded
 * (\u00XX as one byte), anything else as it stands. */
#ifndef SLUICE_TEST_JSON_H
#define SLUICE_TEST_JSON_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH_MAX 16

static inline const char *json_value(const char *at, const char *end, unsigned depth);

static inline const char *json_blanks(const char *at, const char *end)
{
	while (at && at < end && strchr(" \t\r\n", *at) && *at)
		at++;
	return at;
}

/* All of these return what follows, or NULL. */
static inline const char *json_escape(const char *at, const char *end)
{
	if (at == end || !*at)
		return NULL;
	if (*at != 'u')
		return strchr("\"\\/bfnrt", *at) ? at + 1 : NULL;
	for (int i = 1; i <= 4; i++)
		if (end - at <= i || !isxdigit((unsigned char)at[i]))
			return NULL;
	return at + 5;
}

static inline const char *json_string(const char *at, const char *end)
{
	if (at >= end || *at++ != '"')
		return NULL;
	while (at && at < end && *at != '"') {
		unsigned char c = (unsigned char)*at++;

		if (c < 0x20 || c >= 0x80) /* ASCII, since ours is */
			return NULL;
		if (c == '\\')
			at = json_escape(at, end);
	}
	return at && at < end ? at + 1 : NULL;
}

static inline const char *json_digits(const char *at, const char *end)
{
	const char *begin = at;

	while (at < end && isdigit((unsigned char)*at))
		at++;
	return at > begin ? at : NULL;
}

static inline const char *json_number(const char *at, const char *end)
{
	const char *begin;

	if (at < end && *at == '-')
		at++;
	begin = at;
	at = json_digits(at, end);
	if (!at || (*begin == '0' && at > begin + 1))
		return NULL;
	if (at < end && *at == '.') {
		at = json_digits(at + 1, end);
		if (!at)
			return NULL;
	}
	if (at < end && (*at | 0x20) == 'e') {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = json_digits(at, end);
	}
	return at;
}

static inline const char *json_member(const char *at, const char *end, unsigned depth)
{
	at = json_blanks(json_string(at, end), end);
	if (!at || at == end || *at != ':')
		return NULL;
	return json_value(at + 1, end, depth);
}

/* The rest of an array or object behind its first bracket. */
static inline const char *json_list(const char *at, const char *end, unsigned depth, bool members)
{
	char close = members ? '}' : ']';

	at = json_blanks(at, end);
	if (at < end && *at == close)
		return at + 1;
	while (at && at < end) {
		at = json_blanks(at, end);
		at = members ? json_member(at, end, depth) : json_value(at, end, depth);
		at = json_blanks(at, end);
		if (!at || at == end)
			return NULL;
		if (*at == close)
			return at + 1;
		if (*at++ != ',')
			return NULL;
	}
	return NULL;
}

static inline const char *json_value(const char *at, const char *end, unsigned depth)
{
	static const char *const words[] = { "true", "false", "null" };

	at = json_blanks(at, end);
	if (!at || at == end || depth == JSON_DEPTH_MAX)
		return NULL;
	if (*at == '"')
		return json_string(at, end);
	if (*at == '{' || *at == '[')
		return json_list(at + 1, end, depth + 1, *at == '{');
	for (size_t i = 0; i < 3; i++)
		if ((size_t)(end - at) >= strlen(words[i]) &&
		    memcmp(at, words[i], strlen(words[i])) == 0)
			return at + strlen(words[i]);
	return json_number(at, end);
}

static inline bool json_valid(const char *text, size_t len)
{
	const char *end = text + len;

	return json_blanks(json_value(text, end, 0), end) == end;
}

/* Copy the value from AT to END. */
static inline void json_copy(const char *at, const char *end, char *ret, size_t size)
{
	bool text = *at == '"';
	size_t n = 0;

	at += text;
	end -= text;
	while (at < end && n + 1 < size) {
		char c = *at++;

		if (text && c == '\\') {
			c = *at++;
			if (c == 'u') {
				c = (char)strtoul((char[]){ at[2], at[3], 0 }, NULL, 16);
				at += 4;
			}
		}
		ret[n++] = c;
	}
	ret[n] = '\0';
}

/* The value of member NAME of the object at AT, or NULL. TEXT is valid. */
static inline const char *json_find(const char *at, const char *end, const char *name, size_t len)
{
	if (*at++ != '{')
		return NULL;
	for (;;) {
		const char *key = json_blanks(at, end), *value;

		if (*key == '}')
			return NULL;
		value = json_blanks(json_string(key, end), end) + 1;
		if (strncmp(key + 1, name, len) == 0 && key[1 + len] == '"')
			return json_blanks(value, end);
		at = json_blanks(json_value(value, end, 0), end);
		if (*at++ == '}')
			return NULL;
	}
}

/* Returns false if TEXT is not valid or has no such member. */
static inline bool json_get(const char *text, const char *path, char *ret, size_t size)
{
	const char *at = text, *end = text + strlen(text);

	if (!json_valid(text, strlen(text)))
		return false;
	for (;;) {
		size_t len = strcspn(path, ".");

		at = json_find(at, end, path, len);
		if (!at)
			return false;
		if (!path[len])
			break;
		path += len + 1;
	}
	json_copy(at, json_value(at, end, 0), ret, size);
	return true;
}

#endif
