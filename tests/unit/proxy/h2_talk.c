/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_talk.h"
#include <stdlib.h>
#include <string.h>
#include "require.h"

void h2_talk_put(struct h2_stage *s, enum relay_side from, const struct bytes *bytes,
		 const struct talk_cut *cut, size_t *done)
{
	size_t at = 0;

	while (at < bytes->len) {
		size_t n = talk_cut_piece(cut, from, bytes->len - at, *done);

		h2_stage_put(s, from, bytes->data + at, n);
		at += n;
		*done += n;
	}
}

static bool play_other(struct h2_stage *s, const char *step)
{
	bool open = !s->closed && !s->ended;

	if (strchr("<>", step[0]))
		return false;
	switch (step[0]) {
	case '!':
		if (open)
			h2_relay_head_timeout(&s->relay);
		break;
	case '~':
		if (open)
			h2_relay_rejudge(&s->relay);
		break;
	case '.':
		if (open)
			h2_relay_tick(&s->relay);
		break;
	default:
		fprintf(stderr, "no such step: %s\n", step);
		abort();
	}
	h2_stage_settle(s);
	return true;
}

void h2_talk_play(const struct h2_talk *t, const struct talk_cut *cut, struct h2_stage *s)
{
	static const char *const hello[] = { ">" HELLO, "<SETTINGS 0 -\n" };
	size_t done[2] = { 0, 0 };

	if (cut->audit)
		h2_stage_begin_audit(s);
	else
		h2_stage_begin(s);
	s->congest = cut->congest;
	s->up_first = cut->up_first;
	for (size_t i = t->bare ? 2 : 0; i < H2_TALK_STEPS_MAX + 2; i++) {
		const char *step = i < 2 ? hello[i] : t->steps[i - 2];
		enum relay_side from;
		struct bytes bytes = { 0 };

		if (!step)
			break;
		if (play_other(s, step))
			continue;
		from = step[0] == '>' ? RELAY_DOWN : RELAY_UP;
		if (strcmp(step + 1, "$") == 0) {
			h2_stage_hang_up(s, from);
			continue;
		}
		h2_text_compile(step + 1, 0, &bytes);
		h2_talk_put(s, from, &bytes, cut, &done[from]);
		bytes_free(&bytes);
	}
}

/* Without the marks of how fields were encoded. */
static void add_line(struct bytes *out, const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != '+' || i == 0 || line[i - 1] != '|')
			bytes_add(out, line + i, 1);
}

char *h2_talk_normal(const char *lines)
{
	static const char window[] = "WINDOW 0 - %";
	struct bytes out = { 0 };
	unsigned long sum = 0;
	char last[48];

	bytes_add(&out, "", 0);
	while (*lines) {
		size_t len = strcspn(lines, "\n");

		len += lines[len] == '\n';
		if (strncmp(lines, window, sizeof(window) - 1) == 0)
			sum += strtoul(lines + sizeof(window) - 1, NULL, 10);
		else
			add_line(&out, lines, len);
		lines += len;
	}
	snprintf(last, sizeof(last), "%s%lu\n", window, sum);
	if (sum > 0)
		bytes_add(&out, last, strlen(last));
	return out.data;
}
