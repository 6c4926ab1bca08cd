/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "sluice/array.h"
#include "path_steps.h"

static size_t decode_where(struct span path, char *out, bool (*wanted)(int value))
{
	const char *at = path.ptr, *end = at + path.len;
	char *to = out;

	while (at < end) {
		const char *percent = memchr(at, '%', (size_t)(end - at));
		size_t run = (size_t)((percent ? percent : end) - at);
		int value;

		memcpy(to, at, run);
		to += run;
		if (!percent)
			break;
		value = path_escape(percent, end);
		at = percent + (value >= 0 && wanted(value) ? 3 : 1);
		*to++ = at == percent + 3 ? (char)value : '%';
	}
	return (size_t)(to - out);
}

static bool is_slash(int value)
{
	return value == '/';
}

static bool is_backslash(int value)
{
	return value == '\\';
}

static size_t decode_unreserved(struct span path, char *out)
{
	return decode_where(path, out, path_unreserved);
}

static size_t decode_slash(struct span path, char *out)
{
	return decode_where(path, out, is_slash);
}

static size_t decode_backslash(struct span path, char *out)
{
	return decode_where(path, out, is_backslash);
}

/* One round: each %25 that hides something significant loses its "25". */
static size_t decode_nested(struct span path, char *out)
{
	const char *at = path.ptr, *end = at + path.len;
	char *to = out;

	while (at < end) {
		bool nested = *at == '%' && path_nesting(at, end) > 0;

		*to++ = *at++;
		if (nested)
			at += 2;
	}
	return (size_t)(to - out);
}

static size_t turn_backslashes(struct span path, char *out)
{
	for (size_t i = 0; i < path.len; i++)
		out[i] = path.ptr[i] == '\\' ? '/' : path.ptr[i];
	return path.len;
}

static size_t merge_slashes(struct span path, char *out)
{
	char *to = out;

	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] != '/' || to == out || to[-1] != '/')
			*to++ = path.ptr[i];
	return (size_t)(to - out);
}

/* "//name/path" as a relative reference: the name is an authority (RFC 3986, section 4.2). */
static size_t drop_authority(struct span path, char *out)
{
	const char *slash = memchr(path.ptr + 2, '/', path.len - 2);
	size_t len;

	if (!slash) {
		*out = '/';
		return 1;
	}
	len = path.len - (size_t)(slash - path.ptr);
	memcpy(out, slash, len);
	return len;
}

/* The length of the segment at AT, which ends before a slash or at END. */
static size_t segment_len(const char *at, const char *end)
{
	const char *slash = memchr(at, '/', (size_t)(end - at));

	return (size_t)((slash ? slash : end) - at);
}

static bool is_dots(const char *at, size_t len)
{
	return (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.');
}

/* One or two dots, plain or escaped, which make up all of the segment of LEN bytes at AT: how many,
 * else 0. */
static size_t count_dots(const char *at, size_t len)
{
	const char *end = at + len;
	size_t n = 0;

	while (at < end && n < 3) {
		if (*at != '.' && path_escape(at, end) != '.')
			return 0;
		at += *at == '.' ? 1 : 3;
		n++;
	}
	return n < 3 ? n : 0;
}

/* Only dot segments are decoded: URL libraries resolve %2e%2e and keep every other escape. */
static size_t decode_dot_segments(struct span path, char *out)
{
	const char *at = path.ptr, *end = at + path.len;
	char *to = out;

	while (at < end) {
		size_t len = segment_len(at + 1, end), dots = count_dots(at + 1, len);

		*to++ = '/';
		memcpy(to, dots ? ".." : at + 1, dots ? dots : len);
		to += dots ? dots : len;
		at += len + 1;
	}
	return (size_t)(to - out);
}

/* RFC 3986, section 5.2.4; above the root there is the root. A dot segment at the end leaves a
 * slash (URL libraries, nginx), or not (path.Clean of Go, normpath of Python). */
static size_t resolve(struct span path, char *out, bool leave_slash)
{
	const char *at = path.ptr, *end = at + path.len;
	char *to = out;
	bool dots = false;

	while (at < end) {
		size_t len = segment_len(at + 1, end);

		dots = is_dots(at + 1, len);
		if (!dots) {
			memmove(to, at, len + 1);
			to += len + 1;
		} else if (len == 2) {
			while (to > out && *--to != '/')
				;
		}
		at += len + 1;
	}
	if (to == out || (dots && leave_slash))
		*to++ = '/';
	return (size_t)(to - out);
}

static size_t resolve_url(struct span path, char *out)
{
	return resolve(path, out, true);
}

static size_t resolve_clean(struct span path, char *out)
{
	return resolve(path, out, false);
}

/* Which semicolons begin parameters, and of which segments they are taken. */
enum strip_how {
	STRIP_PLAIN = 0,
	STRIP_ESCAPED = 1, /* %3B too: a server that decodes first */
	STRIP_ALL = 2,	   /* of every segment, not only where it tells */
};

/* The length of the segment of LEN bytes at AT without its parameters. */
static size_t without_parameters(const char *at, size_t len, unsigned how)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] == ';' || (how & STRIP_ESCAPED && path_semicolon(at + i, at + len)))
			return i;
	return len;
}

/* Whether a later step could tell a segment without its parameters, of which KEEP bytes remain,
 * from the whole: ".." counts, and in "a;%2Fb" the slash would. */
static bool tells(const char *at, size_t len, size_t keep, bool last)
{
	if (is_dots(at, keep) || (!keep && !last))
		return true;
	for (size_t i = keep; i < len; i++)
		if (path_hidden_slash(at + i, at + len))
			return true;
	return false;
}

static size_t strip(struct span path, char *out, unsigned how)
{
	const char *at = path.ptr, *end = at + path.len;
	char *to = out;

	while (at < end) {
		size_t len = segment_len(at + 1, end);
		size_t keep = without_parameters(at + 1, len, how);
		const char *next = at + 1 + len;

		if (!(how & STRIP_ALL) && !tells(at + 1, len, keep, next == end))
			keep = len;
		memcpy(to, at, keep + 1);
		to += keep + 1;
		at = next;
	}
	return (size_t)(to - out);
}

static size_t strip_plain(struct span path, char *out)
{
	return strip(path, out, STRIP_PLAIN);
}

static size_t strip_escaped(struct span path, char *out)
{
	return strip(path, out, STRIP_ESCAPED);
}

static size_t strip_all_plain(struct span path, char *out)
{
	return strip(path, out, STRIP_PLAIN | STRIP_ALL);
}

static size_t strip_all_escaped(struct span path, char *out)
{
	return strip(path, out, STRIP_ESCAPED | STRIP_ALL);
}

const struct path_step path_steps[] = {
	{ PATH_UNRESERVED, decode_unreserved },
	{ PATH_UNRESERVED, decode_dot_segments },
	{ PATH_ENC_SLASH, decode_slash },
	{ PATH_ENC_BACKSLASH, decode_backslash },
	{ PATH_BACKSLASH, turn_backslashes },
	{ PATH_DOUBLE_SLASH, merge_slashes },
	{ PATH_LEADING_DOUBLE, drop_authority },
	{ PATH_DOTS, resolve_url },
	{ PATH_DOTS, resolve_clean },
	{ PATH_PARAMETERS, strip_plain },
	{ PATH_PARAMETERS, strip_escaped },
	{ PATH_PARAMETERS, strip_all_plain },
	{ PATH_PARAMETERS, strip_all_escaped },
	{ PATH_NESTED, decode_nested },
};
const size_t path_n_steps = ARRAY_SIZE(path_steps);
