// SPDX-License-Identifier: Apache-2.0
#include <limits.h>

#include "regex_parser.h"

static bool is_nothing(const struct regex *re)
{
	if (re->kind == REGEX_CAT) {
		for (size_t i = 0; i < re->n; i++)
			if (!is_nothing(re->items[i]))
				return false;
		return true;
	}
	return re->kind == REGEX_EMPTY || re->kind == REGEX_BEGIN || re->kind == REGEX_END;
}

/* Where in the whole match a node stands, and how often it is repeated there. */
struct context {
	bool first, last; /* nothing but anchors before it, behind it */
	unsigned times;
};

static void check_node(struct regex_parser *p, struct regex *re, struct context c);

static void check_sequence(struct regex_parser *p, struct regex *re, struct context c)
{
	size_t first_end = 0, last_begin = re->n;

	while (first_end < re->n && is_nothing(re->items[first_end]))
		first_end++;
	while (last_begin > 0 && is_nothing(re->items[last_begin - 1]))
		last_begin--;
	for (size_t i = 0; i < re->n; i++)
		check_node(p, re->items[i],
			   (struct context){ .first = c.first && i <= first_end,
					     .last = c.last && i + 1 >= last_begin,
					     .times = c.times });
}

static void check_repeat(struct regex_parser *p, struct regex *re, struct context c)
{
	unsigned times = re->max == UINT_MAX ? re->min : re->max;

	if (times > 1 && c.times > REGEX_REPEAT_MAX / times) {
		regex_fail(p, re->at, "nested repetitions come to more than 1000");
		return;
	}
	if (times > 1)
		c.times *= times;
	/* Within a repetition an anchor would have to hold each time. */
	c.first = c.last = false;
	check_node(p, re->items[0], c);
}

static void check_node(struct regex_parser *p, struct regex *re, struct context c)
{
	switch (re->kind) {
	case REGEX_BEGIN:
		if (!c.first)
			regex_fail(p, re->at, "^ is only supported at the beginning");
		re->kind = REGEX_EMPTY;
		break;
	case REGEX_END:
		if (!c.last)
			regex_fail(p, re->at, "$ is only supported at the end");
		re->kind = REGEX_EMPTY;
		break;
	case REGEX_CAT:
		check_sequence(p, re, c);
		break;
	case REGEX_ALT:
		for (size_t i = 0; i < re->n; i++)
			check_node(p, re->items[i], c);
		break;
	case REGEX_REPEAT:
		check_repeat(p, re, c);
		break;
	default:
		break;
	}
}

void regex_check(struct regex_parser *p, struct regex *re)
{
	check_node(p, re, (struct context){ .first = true, .last = true, .times = 1 });
}
