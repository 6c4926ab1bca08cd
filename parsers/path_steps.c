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

/* The length of the segment of LEN bytes at AT without its parameters. */
static size_t without_parameters(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (path_semicolon(at + i, at + len))
			return i;
	return len;
}

static size_t strip(struct span path, char *out, bool everywhere)
{
	const char *at = path.ptr, *end = at + path.len;
	char *to = out;

	while (at < end) {
		size_t len = segment_len(at + 1, end), keep = without_parameters(at + 1, len);
		const char *next = at + 1 + len;

		if (!everywhere && !is_dots(at + 1, keep) && (keep || next == end))
			keep = len;
		memcpy(to, at, keep + 1);
		to += keep + 1;
		at = next;
	}
	return (size_t)(to - out);
}

static size_t strip_dots(struct span path, char *out)
{
	return strip(path, out, false);
}

static size_t strip_all(struct span path, char *out)
{
	return strip(path, out, true);
}

const struct path_step path_steps[] = {
	{ PATH_UNRESERVED, decode_unreserved },
	{ PATH_ENC_SLASH, decode_slash },
	{ PATH_ENC_BACKSLASH, decode_backslash },
	{ PATH_BACKSLASH, turn_backslashes },
	{ PATH_DOUBLE_SLASH, merge_slashes },
	{ PATH_LEADING_DOUBLE, drop_authority },
	{ PATH_DOTS, resolve_url },
	{ PATH_DOTS, resolve_clean },
	{ PATH_PARAMETERS, strip_dots },
	{ PATH_PARAMETERS, strip_all },
	{ PATH_NESTED, decode_nested },
};
const size_t path_n_steps = ARRAY_SIZE(path_steps);
