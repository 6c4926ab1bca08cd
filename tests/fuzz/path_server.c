/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "path_server.h"

static bool escape_at(const char *at, char *c)
{
	static const char digits[] = "00112233445566778899aAbBcCdDeEfF";
	const char *high, *low;

	if (at[0] != '%' || !at[1] || !at[2])
		return false;
	high = strchr(digits, at[1]);
	low = strchr(digits, at[2]);
	if (!high || !low)
		return false;
	*c = (char)((high - digits) / 2 * 16 + (low - digits) / 2);
	return true;
}

/* Decode the escapes of characters in ONLY (NULL: of all). */
static void decode(char *path, const char *only)
{
	char *to = path, c;

	for (; *path; to++) {
		if (escape_at(path, &c) && c && (!only || strchr(only, c))) {
			*to = c;
			path += 3;
		} else {
			*to = *path++;
		}
	}
	*to = '\0';
}

static void turn(char *path)
{
	for (; *path; path++)
		if (*path == '\\')
			*path = '/';
}

static void merge(char *path)
{
	char *to = path;

	for (; *path; path++)
		if (path[0] != '/' || path[1] != '/')
			*to++ = *path;
	*to = '\0';
}

static void strip(char *path)
{
	bool inside = false;
	char *to = path;

	for (; *path; path++) {
		inside = *path != '/' && (inside || *path == ';');
		if (!inside)
			*to++ = *path;
	}
	*to = '\0';
}

static void drop_authority(char *path)
{
	char *slash;

	if (path[0] != '/' || path[1] != '/')
		return;
	slash = strchr(path + 2, '/');
	if (slash)
		memmove(path, slash, strlen(slash) + 1);
	else
		path[1] = '\0';
}

/* Remove the last segment that ends before AT. Returns where it began. */
static char *remove_before(char *path, char *at)
{
	while (at > path && *--at != '/')
		;
	return at;
}

static void resolve(char *path)
{
	char *to = path, *at = path;

	while (*at) {
		size_t len = 1 + strcspn(at + 1, "/");
		bool last = !at[len];

		if (len == 3 && !memcmp(at, "/..", 3)) {
			to = remove_before(path, to);
			if (last)
				*to++ = '/';
		} else if (len == 2 && !memcmp(at, "/.", 2)) {
			if (last)
				*to++ = '/';
		} else {
			memmove(to, at, len);
			to += len;
		}
		at += len;
	}
	*to = '\0';
}

static void step(char *path, unsigned which, unsigned *decoded)
{
	static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-._~";

	switch (which % 9) {
	case 0:
		if (++*decoded <= 3)
			decode(path, NULL);
		break;
	case 1:
		decode(path, unreserved);
		break;
	case 2:
		decode(path, "/");
		break;
	case 3:
		decode(path, "\\");
		break;
	case 4:
		turn(path);
		break;
	case 5:
		merge(path);
		break;
	case 6:
		strip(path);
		break;
	case 7:
		drop_authority(path);
		break;
	default:
		resolve(path);
	}
}

void path_server(char *path, const uint8_t steps[SERVER_STEPS])
{
	unsigned decoded = 0;

	for (size_t i = 0; i < SERVER_STEPS; i++)
		step(path, steps[i], &decoded);
	resolve(path);
}
