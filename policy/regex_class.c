// SPDX-License-Identifier: Apache-2.0
/* Classes and escapes: whatever stands for one character. */
#include "regex_parser.h"

#include "sluice/array.h"
#include "sluice/hex.h"
#include "utf8.h"

static void add_range(struct regex_set *set, unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		regex_set_add(set, (unsigned char)c);
}

void regex_set_invert(struct regex_set *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->bits); i++)
		s->bits[i] = ~s->bits[i];
}

static void set_union(struct regex_set *into, const struct regex_set *from)
{
	for (size_t i = 0; i < ARRAY_SIZE(into->bits); i++)
		into->bits[i] |= from->bits[i];
}

void regex_set_fold(struct regex_set *s)
{
	for (unsigned letter = 'a'; letter <= 'z'; letter++) {
		unsigned char c = (unsigned char)letter, upper = (unsigned char)(letter - 32);

		if (regex_set_has(s, c))
			regex_set_add(s, upper);
		else if (regex_set_has(s, upper))
			regex_set_add(s, c);
	}
}

bool regex_perl_class(int c, struct regex_set *set)
{
	struct regex_set own = { { 0 } };

	switch (c | 0x20) {
	case 'd':
		add_range(&own, '0', '9');
		break;
	case 's': /* RE2: without the vertical tab */
		add_range(&own, '\t', '\n');
		add_range(&own, '\f', '\r');
		add_range(&own, ' ', ' ');
		break;
	case 'w':
		add_range(&own, '0', '9');
		add_range(&own, 'A', 'Z');
		add_range(&own, 'a', 'z');
		add_range(&own, '_', '_');
		break;
	default:
		return false;
	}
	if (c >= 'A' && c <= 'Z')
		regex_set_invert(&own);
	set_union(set, &own);
	return true;
}

/* [:name:] of POSIX, ASCII only, as RE2 has it. */
static const struct {
	const char *name;
	const char *ranges; /* pairs */
} named[] = {
	{ "alnum", "09AZaz" },	 { "alpha", "AZaz" },	 { "ascii", NULL },
	{ "blank", "\t\t  " },	 { "cntrl", NULL },	 { "digit", "09" },
	{ "graph", "!~" },	 { "lower", "az" },	 { "print", " ~" },
	{ "punct", "!/:@[`{~" }, { "space", "\t\r  " },	 { "upper", "AZ" },
	{ "word", "09AZaz__" },	 { "xdigit", "09AFaf" },
};

static bool add_named(struct regex_set *set, struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		const char *r = named[i].ranges;

		if (!span_eq(name, span_of(named[i].name)))
			continue;
		for (; r && *r; r += 2)
			add_range(set, (unsigned char)r[0], (unsigned char)r[1]);
		if (!r && *named[i].name == 'a')
			add_range(set, 0, 0x7f);
		if (!r && *named[i].name == 'c') {
			add_range(set, 0, 0x1f);
			add_range(set, 0x7f, 0x7f);
		}
		return true;
	}
	return false;
}

/* At "[:". False if it is no named class, which leaves "[" to be itself. */
static bool class_named(struct regex_parser *p, struct regex_set *set)
{
	size_t start = p->pos + 2, end = start;
	struct regex_set own = { { 0 } };
	bool invert;

	while (end + 1 < p->len && !(p->text[end] == ':' && p->text[end + 1] == ']'))
		end++;
	if (end + 1 >= p->len)
		return false;
	invert = p->text[start] == '^';
	start += invert;
	if (start > end || !add_named(&own, (struct span){ p->text + start, end - start })) {
		regex_fail(p, p->pos, "no such named class");
		return true;
	}
	if (invert)
		regex_set_invert(&own);
	set_union(set, &own);
	p->pos = end + 2;
	return true;
}

static bool escape_hex(struct regex_parser *p, size_t at, uint32_t *ret)
{
	bool braces = regex_peek(p, 0) == '{';
	uint32_t code = 0;
	size_t digits = 0;

	p->pos += braces;
	for (; braces ? digits < 9 : digits < 2; digits++) {
		int value = hex_value(regex_peek(p, 0));

		if (value < 0)
			break;
		code = code * 16 + (uint32_t)value;
		p->pos++;
	}
	if (braces ? digits == 0 || digits > 8 || regex_peek(p, 0) != '}' : digits != 2)
		return regex_fail(p, at, "\\x needs two hexadecimal digits, or any in braces");
	p->pos += braces;
	if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return regex_fail(p, at, "no such character");
	if (code == 0)
		return regex_fail(p, at, "a NUL never occurs in a request");
	*ret = code;
	return true;
}

static bool escape_letter(struct regex_parser *p, int c, size_t at, uint32_t *ret)
{
	static const char letters[] = "aftnr", meaning[] = "\a\f\t\n\r";
	const char *found = c > 0 ? strchr(letters, c) : NULL;

	if (found && *found) {
		*ret = (unsigned char)meaning[found - letters];
		return true;
	}
	if (c >= '1' && c <= '9')
		return regex_fail(p, at, "back-references are not supported");
	switch (c) {
	case 'v':
	case 'h':
		return regex_fail(p, at, "RE2 and libhs read \\v and \\h differently");
	case 'p':
	case 'P':
		return regex_fail(p, at,
				  "Unicode classes are not supported: write ranges of ASCII");
	case 'C':
		return regex_fail(p, at, "\\C is not supported: write . for any byte");
	case '0':
		return regex_fail(p, at, "octal escapes are not supported: write \\x");
	default:
		return regex_fail(p, at, "an escape that RE2 does not know");
	}
}

bool regex_escape(struct regex_parser *p, uint32_t *ret)
{
	size_t at = p->pos++;
	int c = regex_peek(p, 0);

	if (c < 0)
		return regex_fail(p, at, "a backslash at the end");
	p->pos++;
	if (c == 'x')
		return escape_hex(p, at, ret);
	if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
		return escape_letter(p, c, at, ret);
	if (c >= 0x80)
		return regex_fail(p, at, "an escape that RE2 does not know");
	*ret = (uint32_t)c;
	return true;
}

/* One end of a range, which has to be one byte. */
static bool class_char(struct regex_parser *p, unsigned char *ret)
{
	size_t at = p->pos, n;
	uint32_t code = 0;

	if (regex_peek(p, 0) == '\\') {
		if (!regex_escape(p, &code))
			return false;
	} else {
		n = utf8_decode(p->text + at, p->len - at, &code);
		if (n == 0)
			return regex_fail(p, at, "not UTF-8");
		p->pos += n;
	}
	if (code >= 0x80)
		return regex_fail(p, at, "only ASCII is supported in a class: write (?:a|\u00e4)");
	*ret = (unsigned char)code;
	return true;
}

static void class_item(struct regex_parser *p, struct regex_set *set)
{
	size_t at = p->pos;
	unsigned char from = 0, to;

	if (regex_peek(p, 0) == '[' && regex_peek(p, 1) == ':' && class_named(p, set))
		return;
	if (regex_peek(p, 0) == '\\' && regex_perl_class(regex_peek(p, 1), set)) {
		p->pos += 2;
		return;
	}
	if (!class_char(p, &from))
		return;
	to = from;
	if (regex_peek(p, 0) == '-' && regex_peek(p, 1) >= 0 && regex_peek(p, 1) != ']') {
		p->pos++;
		if (!class_char(p, &to))
			return;
	}
	if (to < from)
		regex_fail(p, at, "a range that runs backwards");
	else
		add_range(set, from, to);
}

static bool set_is_empty(const struct regex_set *s)
{
	return !(s->bits[0] | s->bits[1] | s->bits[2] | s->bits[3]);
}

struct regex *regex_class(struct regex_parser *p)
{
	struct regex *re = regex_new(p, REGEX_SET, p->pos);
	bool invert, first = true;

	if (!re)
		return NULL;
	p->pos++;
	invert = regex_peek(p, 0) == '^';
	p->pos += invert;
	for (; first || regex_peek(p, 0) != ']'; first = false) {
		if (regex_peek(p, 0) < 0)
			return regex_fail(p, re->at, "a class without its closing ]");
		class_item(p, &re->set);
		if (p->failed)
			return NULL;
	}
	p->pos++;
	if (p->fold)
		regex_set_fold(&re->set);
	if (invert)
		regex_set_invert(&re->set);
	return set_is_empty(&re->set) ? regex_fail(p, re->at, "a class that matches nothing") : re;
}
