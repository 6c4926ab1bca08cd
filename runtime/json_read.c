/* SPDX-License-Identifier: Apache-2.0 */
#include "json_read.h"
#include <stdint.h>
#include <string.h>
#include "sluice/array.h"
#include "sluice/hex.h"

/* ---- a text, once ---- */

/* A place in a text; what stands there is looked at as if NULs followed its end. */
struct cursor {
	const char *at, *end;
};

static char here(const struct cursor *c)
{
	return c->at < c->end ? *c->at : '\0';
}

static void blanks(struct cursor *c)
{
	while (c->at < c->end &&
	       (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
		c->at++;
}

static bool take(struct cursor *c, char what)
{
	if (c->at == c->end || *c->at != what)
		return false;
	c->at++;
	return true;
}

static bool escape(struct cursor *c)
{
	if (take(c, 'u')) {
		for (int i = 0; i < 4; i++, c->at++)
			if (hex_value(here(c)) < 0)
				return false;
		return true;
	}
	if (!here(c) || !strchr("\"\\/bfnrt", here(c)))
		return false;
	c->at++;
	return true;
}

static bool string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	while (c->at < c->end) {
		unsigned char byte = (unsigned char)*c->at++;

		if (byte == '"')
			return true;
		if (byte < 0x20 || (byte == '\\' && !escape(c)))
			return false;
	}
	return false;
}

static bool digits(struct cursor *c)
{
	const char *begin = c->at;

	while (here(c) >= '0' && here(c) <= '9')
		c->at++;
	return c->at > begin;
}

static bool number(struct cursor *c)
{
	take(c, '-');
	if (!take(c, '0') && !digits(c))
		return false;
	if (take(c, '.') && !digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '-'))
			take(c, '+');
		return digits(c);
	}
	return true;
}

/* What is neither an array nor an object. */
static bool scalar(struct cursor *c)
{
	static const char *const words[] = { "true", "false", "null" };

	if (here(c) == '"')
		return string(c);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(c->end - c->at) >= len && memcmp(c->at, words[i], len) == 0) {
			c->at += len;
			return true;
		}
	}
	return number(c);
}

/* An object's member up to its value. */
static bool name(struct cursor *c)
{
	blanks(c);
	if (!string(c))
		return false;
	blanks(c);
	return take(c, ':');
}

/* Behind a value: closes what is complete; then either all is, or a comma promises more. */
static bool after(struct cursor *c, uint64_t objects, unsigned *depth)
{
	for (; *depth > 0; --*depth) {
		bool object = objects >> (*depth - 1) & 1;

		blanks(c);
		if (take(c, ','))
			return !object || name(c);
		if (!take(c, object ? '}' : ']'))
			return false;
	}
	return true;
}

/* One value. What is open is kept as bits, so that nothing recurses. */
static bool walk(struct cursor *c)
{
	uint64_t objects = 0; /* bit n: at depth n an object is open, not an array */
	unsigned depth = 0;

	_Static_assert(JSON_DEPTH_MAX <= 64, "a bit for each");
	do {
		blanks(c);
		if (here(c) == '{' || here(c) == '[') {
			bool object = *c->at++ == '{';

			if (depth == JSON_DEPTH_MAX)
				return false;
			objects = (objects & ~(UINT64_C(1) << depth)) | (uint64_t)object << depth;
			depth++;
			blanks(c);
			if (here(c) == (object ? '}' : ']')) {
				if (!after(c, objects, &depth))
					return false;
			} else if (object && !name(c)) {
				return false;
			}
		} else if (!scalar(c) || !after(c, objects, &depth)) {
			return false;
		}
	} while (depth > 0);
	return true;
}

static bool value_at(struct cursor *c, struct span *ret)
{
	const char *begin;

	blanks(c);
	begin = c->at;
	if (!walk(c))
		return false;
	*ret = (struct span){ begin, (size_t)(c->at - begin) };
	return true;
}

bool json_check(struct span text, struct span *ret)
{
	struct cursor c = { text.ptr, text.ptr + text.len };
	struct span value;

	if (text.len == 0 || !value_at(&c, &value))
		return false;
	blanks(&c);
	if (c.at < c.end)
		return false;
	*ret = value;
	return true;
}

/* ---- what is in it ---- */

static bool is(struct span value, char first)
{
	return value.len > 0 && value.ptr[0] == first;
}

bool json_member(struct span value, const char *wanted, struct span *ret)
{
	struct cursor c;
	size_t len = strlen(wanted);

	if (!is(value, '{')) /* which may be nothing at all */
		return false;
	c = (struct cursor){ value.ptr + 1, value.ptr + value.len };
	for (;;) {
		struct span member;
		const char *key;
		size_t key_len;

		blanks(&c);
		key = c.at + 1;
		if (!string(&c))
			return false; /* the end */
		key_len = (size_t)(c.at - 1 - key);
		blanks(&c);
		if (!take(&c, ':') || !value_at(&c, &member))
			return false;
		if (key_len == len && memcmp(key, wanted, len) == 0) {
			*ret = member;
			return true;
		}
		blanks(&c);
		take(&c, ',');
	}
}

bool json_next(struct span *at, struct span *item)
{
	struct cursor c = { at->ptr, at->ptr + at->len };

	if (!take(&c, '[') && !take(&c, ','))
		return false;
	blanks(&c);
	if (here(&c) == ']' || !value_at(&c, item))
		return false;
	blanks(&c);
	*at = (struct span){ c.at, (size_t)(c.end - c.at) };
	return true;
}

/* ---- strings and numbers ---- */

static unsigned four(const char *digits_at)
{
	unsigned n = 0;

	for (int i = 0; i < 4; i++)
		n = n << 4 | (unsigned)hex_value(digits_at[i]);
	return n;
}

/* The character that \u stands for, at whose digits *AT is; 0: none that is taken. */
static unsigned character(const char **at, const char *end)
{
	unsigned n = four(*at), low;

	*at += 4;
	if (n < 0xd800 || n > 0xdfff)
		return n;
	if (n > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return 0;
	low = four(*at + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*at += 6;
	return 0x10000 + ((n - 0xd800) << 10) + (low - 0xdc00);
}

static size_t utf8(unsigned n, char ret[static 4])
{
	size_t len = n < 0x80 ? 1 : n < 0x800 ? 2 : n < 0x10000 ? 3 : 4;
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = len; i-- > 1; n >>= 6)
		ret[i] = (char)(0x80 | (n & 0x3f));
	ret[0] = (char)(first[len] | n);
	return len;
}

/* What is at *AT in a string, as bytes; 0: nothing that is taken. */
static size_t unescape(const char **at, const char *end, char ret[static 4])
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *found;
	unsigned n;

	ret[0] = *(*at)++;
	if (ret[0] != '\\')
		return ret[0] ? 1 : 0;
	ret[0] = *(*at)++;
	if (ret[0] == 'u') {
		n = character(at, end);
		return n ? utf8(n, ret) : 0;
	}
	found = strchr(from, ret[0]);
	if (found)
		ret[0] = to[found - from];
	return 1;
}

bool json_text(struct span value, char *ret, size_t size)
{
	const char *at, *end;
	size_t len = 0;

	if (!is(value, '"'))
		return false;
	at = value.ptr + 1;
	end = value.ptr + value.len - 1;
	while (at < end) {
		char bytes[4];
		size_t n = unescape(&at, end, bytes);

		if (n == 0 || size - len <= n)
			return false;
		memcpy(ret + len, bytes, n);
		len += n;
	}
	if (len == size)
		return false;
	ret[len] = '\0';
	return true;
}

bool json_integer(struct span value, int64_t *ret)
{
	bool negative = is(value, '-');
	int64_t n = 0;

	if (value.len == (size_t)negative)
		return false;
	for (size_t i = negative; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, value.ptr[i] - '0', &n))
			return false;
	}
	if (!negative && n == INT64_MIN)
		return false;
	*ret = negative ? n : -n;
	return true;
}
