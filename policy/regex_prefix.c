// SPDX-License-Identifier: Apache-2.0
/* With which string everything begins that an expression matches. */
#include "regex_tree.h"

#include <errno.h>

struct prefix {
	char text[REGEX_PREFIX_MAX];
	size_t len;
	bool open; /* the prefix goes on behind what was looked at */
};

static void look(const struct regex *re, struct prefix *p);

static void put(struct prefix *p, const char *bytes, size_t n)
{
	size_t room = sizeof(p->text) - p->len;

	if (n > room) {
		n = room;
		p->open = false;
	}
	memcpy(p->text + p->len, bytes, n);
	p->len += n;
}

static void look_at_set(const struct regex_set *set, struct prefix *p)
{
	unsigned only = 256;

	for (unsigned c = 0; c < 256; c++) {
		if (!regex_set_has(set, (unsigned char)c))
			continue;
		if (only < 256) {
			p->open = false;
			return;
		}
		only = c;
	}
	if (only < 256) {
		char byte = (char)only;

		put(p, &byte, 1);
	} else {
		p->open = false;
	}
}

/* What all alternatives have in common; it goes on only if all of them are that and no more. */
static void look_at_alternatives(const struct regex *re, struct prefix *p)
{
	struct prefix first = *p, other;

	if (re->n == 0) {
		p->open = false;
		return;
	}
	look(re->items[0], &first);
	for (size_t i = 1; i < re->n; i++) {
		size_t same = p->len;

		other = *p;
		look(re->items[i], &other);
		while (same < first.len && same < other.len && first.text[same] == other.text[same])
			same++;
		first.open = first.open && other.open && same == first.len && same == other.len;
		first.len = same;
	}
	*p = first;
}

static void look(const struct regex *re, struct prefix *p)
{
	switch (re->kind) {
	case REGEX_EMPTY:
		break;
	case REGEX_BYTES:
		put(p, re->bytes.ptr, re->bytes.len);
		break;
	case REGEX_SET:
		look_at_set(&re->set, p);
		break;
	case REGEX_CAT:
		for (size_t i = 0; p->open && i < re->n; i++)
			look(re->items[i], p);
		break;
	case REGEX_ALT:
		look_at_alternatives(re, p);
		break;
	case REGEX_REPEAT:
		if (re->min > 0)
			look(re->items[0], p);
		p->open = p->open && re->min == 1 && re->max == 1;
		break;
	default:
		p->open = false;
	}
}

int regex_prefix(const struct regex *re, struct arena *mem, struct span *ret)
{
	struct prefix p = { .open = true };

	look(re, &p);
	ret->len = p.len;
	ret->ptr = arena_copy(mem, p.text, p.len);
	return ret->ptr ? 0 : -ENOMEM;
}
