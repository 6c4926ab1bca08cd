/* SPDX-License-Identifier: Apache-2.0 */
#include "json_out.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "text.h"

#define FIRST_SIZE 4096
#define ESCAPE_MAX 6 /* bytes in place of one */

/* Room for LEN bytes more, and a NUL. */
static bool grow(struct json_out *j, size_t len)
{
	size_t size = j->size ? j->size : FIRST_SIZE;
	char *buf;

	if (j->oom || j->full)
		return false;
	if (len >= j->max - j->len) {
		j->full = true;
		return false;
	}
	while (size - j->len <= len)
		size *= 2;
	if (size == j->size)
		return true;
	buf = realloc(j->buf, size);
	if (!buf) {
		j->oom = true;
		return false;
	}
	j->buf = buf;
	j->size = size;
	return true;
}

static void add(struct json_out *j, const char *s, size_t len)
{
	if (!grow(j, len))
		return;
	memcpy(j->buf + j->len, s, len);
	j->len += len;
}

static void add_string(struct json_out *j, struct span s)
{
	struct text t;

	add(j, "\"", 1);
	/* The bound is on what is written, so that it holds for the worst. */
	if (s.len > j->max || !grow(j, s.len * ESCAPE_MAX))
		return;
	t = (struct text){ .buf = j->buf + j->len, .size = j->size - j->len };
	text_add_json(&t, s);
	j->len += t.len;
	add(j, "\"", 1);
}

static void begin_value(struct json_out *j, const char *name)
{
	if (j->more)
		add(j, ",", 1);
	j->more = true;
	if (name) {
		add_string(j, (struct span){ name, strlen(name) });
		add(j, ":", 1);
	}
}

void json_out_begin(struct json_out *j, const char *name, char bracket)
{
	begin_value(j, name);
	add(j, &bracket, 1);
	j->more = false;
}

void json_out_end(struct json_out *j, char bracket)
{
	add(j, bracket == '{' ? "}" : "]", 1);
	j->more = true;
}

void json_out_line(struct json_out *j)
{
	if (j->more)
		add(j, ",", 1);
	add(j, "\n", 1);
	j->more = false;
}

void json_out_span(struct json_out *j, const char *name, struct span text)
{
	begin_value(j, name);
	add_string(j, text);
}

void json_out_text(struct json_out *j, const char *name, const char *text)
{
	if (text)
		json_out_span(j, name, (struct span){ text, strlen(text) });
	else
		json_out_value(j, name, "null");
}

void json_out_number(struct json_out *j, const char *name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	json_out_value(j, name, text);
}

void json_out_bool(struct json_out *j, const char *name, bool value)
{
	json_out_value(j, name, value ? "true" : "false");
}

void json_out_value(struct json_out *j, const char *name, const char *json)
{
	begin_value(j, name);
	add(j, json, strlen(json));
}

int json_out_take(struct json_out *j, char **ret, size_t *len)
{
	int r = 0;

	add(j, "\n", 1);
	if (j->oom || j->full) {
		r = j->oom ? -ENOMEM : -EFBIG;
	} else {
		j->buf[j->len] = '\0';
		*ret = j->buf;
		*len = j->len;
		j->buf = NULL;
	}
	json_out_done(j);
	return r;
}

void json_out_done(struct json_out *j)
{
	free(j->buf);
	*j = JSON_OUT_INIT(j->max);
}
