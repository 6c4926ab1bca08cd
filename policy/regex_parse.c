// SPDX-License-Identifier: Apache-2.0
/* RE2's grammar: alternatives of sequences of repeated atoms, by recursive descent. */
#include "regex_parser.h"

#include <errno.h>
#include <limits.h>

#include "utf8.h"

void *regex_fail(struct regex_parser *p, size_t at, const char *message)
{
	if (!p->failed && !p->oom) {
		p->failed = true;
		p->err = (struct regex_error){ .message = message, .at = at };
	}
	return NULL;
}

struct regex *regex_new(struct regex_parser *p, enum regex_kind kind, size_t at)
{
	struct regex *re = arena_alloc(p->mem, sizeof(*re));

	if (!re) {
		p->oom = p->failed = true;
		return NULL;
	}
	re->kind = kind;
	re->at = at;
	return re;
}

static bool add_item(struct regex_parser *p, struct regex *list, struct regex *item)
{
	struct regex **items = arena_extend(p->mem, list->items, list->n, sizeof(struct regex *));

	if (!items) {
		p->oom = p->failed = true;
		return false;
	}
	list->items = items;
	list->items[list->n++] = item;
	return true;
}

static bool is_letter(uint32_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
}

struct regex *regex_char(struct regex_parser *p, uint32_t code, size_t at)
{
	struct regex *re = regex_new(p, p->fold && is_letter(code) ? REGEX_SET : REGEX_BYTES, at);
	char bytes[4];

	if (!re)
		return NULL;
	if (re->kind == REGEX_SET) {
		regex_set_add(&re->set, (unsigned char)code);
		regex_set_fold(&re->set);
		return re;
	}
	re->bytes.len = utf8_encode(code, bytes);
	re->bytes.ptr = arena_copy(p->mem, bytes, re->bytes.len);
	if (!re->bytes.ptr) {
		p->oom = p->failed = true;
		return NULL;
	}
	return re;
}

/* {n}, {n,} or {n,m} at AHEAD; how many bytes it takes, or 0: then "{" is a plain character. */
static size_t read_braces(const struct regex_parser *p, size_t ahead, unsigned *min, unsigned *max)
{
	size_t at = ahead + 1, digits = at;

	*min = *max = 0;
	for (; regex_peek(p, at) >= '0' && regex_peek(p, at) <= '9'; at++)
		*min = *min > 99999 ? *min : *min * 10 + (unsigned)(regex_peek(p, at) - '0');
	if (at == digits)
		return 0;
	*max = *min;
	if (regex_peek(p, at) == ',') {
		digits = ++at;
		*max = 0;
		for (; regex_peek(p, at) >= '0' && regex_peek(p, at) <= '9'; at++)
			*max = *max > 99999 ? *max
					    : *max * 10 + (unsigned)(regex_peek(p, at) - '0');
		if (at == digits)
			*max = UINT_MAX;
	}
	return regex_peek(p, at) == '}' ? at + 1 - ahead : 0;
}

/* The repetition at AHEAD, if there is one: how many bytes it takes, else 0. */
static size_t read_repeat(const struct regex_parser *p, size_t ahead, unsigned *min, unsigned *max)
{
	*min = 0;
	*max = UINT_MAX;
	switch (regex_peek(p, ahead)) {
	case '*':
		return 1;
	case '+':
		*min = 1;
		return 1;
	case '?':
		*max = 1;
		return 1;
	case '{':
		return read_braces(p, ahead, min, max);
	default:
		return 0;
	}
}

static bool is_zero_width(const struct regex *re)
{
	return re->kind >= REGEX_BOUNDARY;
}

static struct regex *parse_repeat(struct regex_parser *p, struct regex *atom)
{
	unsigned min, max, more_min, more_max;
	size_t at = p->pos, n = read_repeat(p, 0, &min, &max);
	struct regex *re;

	if (n == 0)
		return atom;
	if (is_zero_width(atom))
		return regex_fail(p, at, "nothing to repeat: an anchor has no width");
	if (min > REGEX_REPEAT_MAX || (max != UINT_MAX && (max > REGEX_REPEAT_MAX || max < min)))
		return regex_fail(p, at, "a repetition must be at most 1000, and not backwards");
	p->pos += n;
	if (regex_peek(p, 0) == '?') /* lazy: a whole-string match is the same either way */
		p->pos++;
	if (regex_peek(p, 0) == '+')
		return regex_fail(p, at, "possessive repetition is not RE2's");
	if (read_repeat(p, 0, &more_min, &more_max))
		return regex_fail(p, at, "a repetition of a repetition: put the first in (?:...)");
	re = regex_new(p, REGEX_REPEAT, at);
	if (!re || !add_item(p, re, atom))
		return NULL;
	re->min = min;
	re->max = max;
	return re;
}

static struct regex *parse_alternatives(struct regex_parser *p);

/* Behind "(?": flags up to ":" or ")". *ALONE: they stand in a group of their own. */
static bool parse_flags(struct regex_parser *p, size_t at, bool *alone)
{
	bool on = true;

	for (;; p->pos++) {
		switch (regex_peek(p, 0)) {
		case 'i':
			p->fold = on;
			break;
		case 's':
			p->dot_all = on;
			break;
		case 'U': /* which repetitions are lazy: makes no difference to a whole match */
			break;
		case '-':
			if (!on)
				return regex_fail(p, at, "not a group that RE2 knows");
			on = false;
			break;
		case ':':
		case ')':
			*alone = regex_peek(p, 0) == ')';
			p->pos++;
			return true;
		case 'm':
			return regex_fail(p, at, "(?m) is not supported: a value has one line");
		default:
			return regex_fail(p, at, "not a group that RE2 knows");
		}
	}
}

static bool parse_name(struct regex_parser *p, size_t at)
{
	size_t start;

	while (regex_peek(p, 0) != '<')
		p->pos++;
	start = ++p->pos;
	while (is_letter((uint32_t)regex_peek(p, 0)) || regex_peek(p, 0) == '_' ||
	       (regex_peek(p, 0) >= '0' && regex_peek(p, 0) <= '9'))
		p->pos++;
	if (p->pos == start || regex_peek(p, 0) != '>')
		return regex_fail(p, at, "a group's name must be a word");
	p->pos++;
	return true;
}

/* Behind "(": what kind of group it is. */
static bool parse_group_kind(struct regex_parser *p, size_t at, bool *alone)
{
	int c, next;

	*alone = false;
	if (regex_peek(p, 0) == '*' && regex_peek(p, 1) >= 'A' && regex_peek(p, 1) <= 'Z')
		return regex_fail(p, at, "PCRE's verbs are not RE2's");
	if (regex_peek(p, 0) != '?')
		return true;
	c = regex_peek(p, 1);
	next = regex_peek(p, 2);
	if (c == '=' || c == '!' || (c == '<' && (next == '=' || next == '!')))
		return regex_fail(p, at, "look-around is not supported");
	if (c == '>')
		return regex_fail(p, at, "atomic groups are not supported");
	if (c == '#')
		return regex_fail(p, at, "comments are not supported");
	if (c == '<' || (c == 'P' && next == '<'))
		return parse_name(p, at);
	p->pos++;
	return parse_flags(p, at, alone);
}

static struct regex *parse_group(struct regex_parser *p)
{
	size_t at = p->pos++;
	bool fold = p->fold, dot_all = p->dot_all, alone;
	struct regex *re;

	if (!parse_group_kind(p, at, &alone))
		return NULL;
	if (alone) /* (?i): from here to the end of the group around it */
		return regex_new(p, REGEX_EMPTY, at);
	if (++p->depth > REGEX_DEPTH_MAX)
		return regex_fail(p, at, "groups are nested too deeply");
	re = parse_alternatives(p);
	if (!re)
		return NULL;
	p->depth--;
	if (regex_peek(p, 0) != ')')
		return regex_fail(p, at, "a group without its closing )");
	p->pos++;
	p->fold = fold;
	p->dot_all = dot_all;
	return re;
}

static struct regex *parse_dot(struct regex_parser *p)
{
	struct regex *re = regex_new(p, REGEX_SET, p->pos++);

	if (!re)
		return NULL;
	if (!p->dot_all)
		regex_set_add(&re->set, '\n');
	regex_set_invert(&re->set);
	return re;
}

/* \Q...\E: the text between them as it stands. */
static struct regex *parse_quoted(struct regex_parser *p)
{
	struct regex *list = regex_new(p, REGEX_CAT, p->pos);

	if (!list)
		return NULL;
	p->pos += 2;
	while (p->pos < p->len) {
		uint32_t code = 0;
		size_t n = utf8_decode(p->text + p->pos, p->len - p->pos, &code);
		struct regex *item;

		if (regex_peek(p, 0) == '\\' && regex_peek(p, 1) == 'E') {
			p->pos += 2;
			break;
		}
		if (n == 0)
			return regex_fail(p, p->pos, "not UTF-8");
		item = regex_char(p, code, p->pos);
		if (!item || !add_item(p, list, item))
			return NULL;
		p->pos += n;
	}
	/* RE2 repeats only the last character of it, which reads otherwise than it looks. */
	if (regex_peek(p, 0) == '*' || regex_peek(p, 0) == '+' || regex_peek(p, 0) == '?' ||
	    regex_peek(p, 0) == '{')
		return regex_fail(p, p->pos, "a repetition of \\Q...\\E: put it in (?:...)");
	return list;
}

static struct regex *parse_backslash(struct regex_parser *p)
{
	static const struct {
		char letter;
		enum regex_kind kind;
	} widthless[] = { { 'A', REGEX_BEGIN },
			  { 'z', REGEX_END },
			  { 'b', REGEX_BOUNDARY },
			  { 'B', REGEX_NOT_BOUNDARY } };
	size_t at = p->pos;
	struct regex_set set = { { 0 } };
	struct regex *re;
	uint32_t code;

	for (size_t i = 0; i < sizeof(widthless) / sizeof(widthless[0]); i++)
		if (regex_peek(p, 1) == widthless[i].letter) {
			p->pos += 2;
			return regex_new(p, widthless[i].kind, at);
		}
	if (regex_peek(p, 1) == 'Q')
		return parse_quoted(p);
	if (regex_perl_class(regex_peek(p, 1), &set)) {
		p->pos += 2;
		re = regex_new(p, REGEX_SET, at);
		if (re)
			re->set = set;
		return re;
	}
	return regex_escape(p, &code) ? regex_char(p, code, at) : NULL;
}

/* Plain characters up to the next one that means something; the last one before a repetition is
 * left for a node of its own. */
static struct regex *parse_plain(struct regex_parser *p)
{
	size_t start = p->pos, end = start;
	struct regex *re;
	uint32_t code = 0;

	do {
		size_t n = utf8_decode(p->text + end, p->len - end, &code);

		if (n == 0)
			return regex_fail(p, end, "not UTF-8");
		if (end > start && end + n < p->len && strchr("*+?{", p->text[end + n]))
			break;
		end += n;
	} while (!p->fold && end < p->len && !strchr("\\^$.[|()*+?{", p->text[end]));
	p->pos = end;
	if (p->fold)
		return regex_char(p, code, start);
	re = regex_new(p, REGEX_BYTES, start);
	if (re)
		re->bytes = (struct span){ p->text + start, end - start };
	return re;
}

static struct regex *parse_atom(struct regex_parser *p)
{
	unsigned min, max;

	switch (regex_peek(p, 0)) {
	case '(':
		return parse_group(p);
	case '[':
		return regex_class(p);
	case '.':
		return parse_dot(p);
	case '\\':
		return parse_backslash(p);
	case '^':
		return regex_new(p, REGEX_BEGIN, p->pos++);
	case '$':
		return regex_new(p, REGEX_END, p->pos++);
	default:
		if (read_repeat(p, 0, &min, &max))
			return regex_fail(p, p->pos, "a repetition of nothing");
		return parse_plain(p);
	}
}

static struct regex *parse_sequence(struct regex_parser *p)
{
	struct regex *list = regex_new(p, REGEX_CAT, p->pos);

	while (list && p->pos < p->len && regex_peek(p, 0) != '|' && regex_peek(p, 0) != ')') {
		struct regex *atom = parse_atom(p);

		if (atom)
			atom = parse_repeat(p, atom);
		if (!atom || !add_item(p, list, atom))
			return NULL;
	}
	return list && list->n == 1 ? list->items[0] : list;
}

static struct regex *parse_alternatives(struct regex_parser *p)
{
	struct regex *list = NULL, *item = parse_sequence(p);

	while (item && regex_peek(p, 0) == '|') {
		if (!list) {
			list = regex_new(p, REGEX_ALT, item->at);
			if (!list || !add_item(p, list, item))
				return NULL;
		}
		p->pos++;
		item = parse_sequence(p);
		if (item && !add_item(p, list, item))
			return NULL;
	}
	return item && list ? list : item;
}

int regex_parse(struct span pattern, struct arena *mem, struct regex **ret, struct regex_error *err)
{
	struct regex_parser p = { .text = pattern.ptr, .len = pattern.len, .mem = mem };
	struct regex *re = NULL;

	if (pattern.len > REGEX_LENGTH_MAX)
		regex_fail(&p, REGEX_LENGTH_MAX, "a pattern may have at most 4096 bytes");
	else
		re = parse_alternatives(&p);
	if (re && p.pos < p.len)
		regex_fail(&p, p.pos, "a ) without its opening (");
	if (re && !p.failed)
		regex_check(&p, re);
	if (p.oom)
		return -ENOMEM;
	if (p.failed) {
		*err = p.err;
		return -EINVAL;
	}
	*ret = re;
	return 0;
}
