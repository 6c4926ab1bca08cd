/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_talk.h"
#include <stdlib.h>
#include <string.h>
#include "require.h"

static void add_repeated(struct bytes *b, const char *text, size_t len, size_t times)
{
	char block[4096];
	size_t per_block = sizeof(block) / len;

	for (size_t i = 0; i < per_block; i++)
		memcpy(block + i * len, text, len);
	while (times > 0) {
		size_t n = times < per_block ? times : per_block;

		bytes_add(b, block, n * len);
		times -= n;
	}
}

/* "N*text" or two hexadecimal digits, between braces. */
static void expand_brace(struct bytes *b, const char *at, const char *end)
{
	char *after;
	unsigned long n = strtoul(at, &after, 10);
	char byte;

	if (*after == '*') {
		after++;
		add_repeated(b, after, (size_t)(end - after), n);
		return;
	}
	REQUIRE(end - at == 2);
	byte = (char)strtoul(at, &after, 16);
	REQUIRE(after == end);
	bytes_add(b, &byte, 1);
}

struct bytes talk_expand(const char *text)
{
	struct bytes b = { 0 };
	const char *open;

	while ((open = strchr(text, '{'))) {
		const char *close = strchr(open, '}');

		REQUIRE(close);
		bytes_add(&b, text, (size_t)(open - text));
		expand_brace(&b, open + 1, close);
		text = close + 1;
	}
	bytes_add(&b, text, strlen(text));
	return b;
}

/* Put LEN bytes, of which the first is number *DONE of its side's stream. */
static void put_cut(struct stage *s, enum relay_side from, const struct bytes *bytes,
		    const struct talk_cut *cut, size_t *done)
{
	size_t at = 0;

	while (at < bytes->len) {
		size_t n = talk_cut_piece(cut, from, bytes->len - at, *done);

		stage_put(s, from, bytes->data + at, n);
		at += n;
		*done += n;
	}
}

void talk_play(const struct talk *t, const struct talk_cut *cut, struct stage *s)
{
	size_t done[2] = { 0, 0 };

	if (cut->audit)
		stage_begin_audit(s);
	else
		stage_begin(s);
	s->congest = cut->congest;
	s->up_first = cut->up_first;
	for (size_t i = 0; i < TALK_STEPS_MAX && t->steps[i]; i++) {
		const char *step = t->steps[i];
		enum relay_side from = step[0] == '>' ? RELAY_DOWN : RELAY_UP;
		struct bytes bytes;

		REQUIRE(strchr("<>!", step[0]));
		if (step[0] == '!') {
			stage_head_timeout(s);
			continue;
		}
		if (strcmp(step + 1, "$") == 0) {
			stage_hang_up(s, from);
			continue;
		}
		bytes = talk_expand(step + 1);
		put_cut(s, from, &bytes, cut, &done[from]);
		free(bytes.data);
	}
}
