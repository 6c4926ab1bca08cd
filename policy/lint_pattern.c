// SPDX-License-Identifier: Apache-2.0
/* One pattern: whether it can match at all what it is compared with, and whether it says what it
 * looks like. */
#include "lint.h"

#include <errno.h>

#include "pattern.h"
#include "policy.h"

/* Whether RE matches any string of the bytes in ALLOWED. */
static bool can_match(const struct regex *re, const struct regex_set *allowed)
{
	bool all = true, any = false;

	switch (re->kind) {
	case REGEX_BYTES:
		for (size_t i = 0; i < re->bytes.len; i++)
			all &= regex_set_has(allowed, (unsigned char)re->bytes.ptr[i]);
		return all;
	case REGEX_SET:
		for (unsigned i = 0; i < 4; i++)
			any |= (re->set.bits[i] & allowed->bits[i]) != 0;
		return any;
	case REGEX_CAT:
		for (size_t i = 0; i < re->n; i++)
			all &= can_match(re->items[i], allowed);
		return all;
	case REGEX_ALT:
		for (size_t i = 0; i < re->n; i++)
			any |= can_match(re->items[i], allowed);
		return any;
	case REGEX_REPEAT:
		return re->min == 0 || can_match(re->items[0], allowed);
	default:
		return true;
	}
}

/* Add the bytes with which a match of RE can begin to FIRST. Returns whether it can be empty. */
static bool find_first(const struct regex *re, struct regex_set *first)
{
	bool empty = re->kind == REGEX_CAT;

	switch (re->kind) {
	case REGEX_BYTES:
		if (re->bytes.len)
			regex_set_add(first, (unsigned char)re->bytes.ptr[0]);
		return re->bytes.len == 0;
	case REGEX_SET:
		for (unsigned i = 0; i < 4; i++)
			first->bits[i] |= re->set.bits[i];
		return false;
	case REGEX_CAT:
		for (size_t i = 0; empty && i < re->n; i++)
			empty = find_first(re->items[i], first);
		return empty;
	case REGEX_ALT:
		for (size_t i = 0; i < re->n; i++)
			empty |= find_first(re->items[i], first);
		return empty;
	case REGEX_REPEAT:
		empty = find_first(re->items[0], first);
		return empty || re->min == 0;
	default:
		return true;
	}
}

static struct regex_set all_bytes(void)
{
	return (struct regex_set){ { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } };
}

static void take_out(struct regex_set *s, const char *bytes)
{
	for (; *bytes; bytes++) {
		unsigned char c = (unsigned char)*bytes;

		s->bits[c / 64] &= ~(UINT64_C(1) << (c % 64));
	}
}

static void take_out_controls(struct regex_set *s)
{
	s->bits[0] &= ~UINT64_C(0xffffffff);
	take_out(s, "\x7f");
}

/* Without some bytes nothing is left that RE matches. */
static bool needs(const struct regex *re, const char *bytes)
{
	struct regex_set allowed = all_bytes();

	if (*bytes)
		take_out(&allowed, bytes);
	else
		take_out_controls(&allowed);
	return !can_match(re, &allowed);
}

static void warn_at(struct reader *r, const struct node *value, size_t at, const char *what,
		    const char *message, const char *hint)
{
	struct node place = reader_within(value, at);

	diag_hint(r->diag, reader_warn(r, &place, "%s %s", what, message), "%s", hint);
}

/* Step over what is at *AT: an escape or a class, which stand for themselves. Returns the byte if
 * it is neither, else 0. */
static char step(struct span text, size_t *at)
{
	char c = text.ptr[(*at)++];

	if (c == '\\') {
		*at += *at < text.len;
		return 0;
	}
	if (c != '[')
		return c;
	*at += *at < text.len && text.ptr[*at] == '^';
	*at += *at < text.len && text.ptr[*at] == ']';
	while (*at < text.len && text.ptr[*at] != ']')
		*at += text.ptr[*at] == '\\' ? 2 : 1;
	*at = *at < text.len ? *at + 1 : text.len;
	return 0;
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' ||
	       c == '-';
}

static void warn_of_anchors(struct reader *r, const struct node *value, const char *what)
{
	struct span text = value->text;
	size_t last = text.len;
	char c = 0;

	if (text.len && text.ptr[0] == '^')
		warn_at(r, value, 0, what, "begins with ^, which says nothing new",
			"the whole value is compared anyway");
	for (size_t at = 0; at < text.len;) {
		last = at;
		c = step(text, &at);
	}
	if (c == '$')
		warn_at(r, value, last, what, "ends with $, which says nothing new",
			"the whole value is compared anyway");
}

/* "id=..." or ".*". */
static bool is_like_query(struct span text, size_t at)
{
	size_t word = at;

	if (at + 1 < text.len && text.ptr[at] == '.')
		return text.ptr[at + 1] == '*' || text.ptr[at + 1] == '+';
	while (word < text.len && is_word(text.ptr[word]))
		word++;
	return word > at && word < text.len && text.ptr[word] == '=';
}

/* "/items?id=1" is /itemsid=1 or /itemid=1. */
static void warn_of_query(struct reader *r, const struct node *value)
{
	struct span text = value->text;
	char before = 0;

	for (size_t at = 0; at < text.len;) {
		size_t here = at;
		char c = step(text, &at);

		if (c == '?' && is_word(before) && is_like_query(text, at)) {
			warn_at(r, value, here, "\"path\"",
				"has a ? that makes the character before it optional",
				"where a query begins it is \\?");
			return;
		}
		before = c;
	}
}

static void warn_of_dots(struct reader *r, const struct node *value)
{
	struct span text = value->text;

	for (size_t at = 0; at < text.len;) {
		size_t here = at;

		if (step(text, &at) != '.' || here == 0 ||
		    (at < text.len && strchr("*+?{", text.ptr[at])))
			continue;
		warn_at(r, value, here, "\"host\"", "has a dot that stands for any character",
			"a dot alone is \\.");
		return;
	}
}

static const struct regex *parse(struct reader *r, const struct node *value, struct arena *mem)
{
	struct regex_error err;
	struct regex *re;
	int e = regex_parse(value->text, mem, &re, &err);

	r->oom |= e == -ENOMEM;
	return e == 0 ? re : NULL;
}

static bool begins_well(const struct regex *re)
{
	struct regex_set first = { { 0 } };

	return find_first(re, &first) || regex_set_has(&first, '/') || regex_set_has(&first, '*');
}

static void check_path(struct reader *r, const struct node *value, const struct regex *re)
{
	static const char what[] = "\"path\"";

	if (needs(re, "#"))
		warn_at(r, value, 0, what, "can never match", "no request has a # in its path");
	else if (needs(re, " "))
		warn_at(r, value, 0, what, "can never match", "a blank is %20 in a request");
	else if (needs(re, ""))
		warn_at(r, value, 0, what, "can never match",
			"no request has a control character in its path");
	else if (!begins_well(re))
		warn_at(r, value, 0, what, "can never match",
			strstr(value->text.ptr, "://")
				? "the name of the server belongs in \"host\""
				: "every path begins with /");
}

static void check_method(struct reader *r, const struct node *value, const struct regex *re)
{
	static const char what[] = "\"method\"";

	if (needs(re, " ,;/\"(){}[]<>:=@\\") || needs(re, ""))
		warn_at(r, value, 0, what, "can never match",
			"it is one word, and several are written GET|HEAD");
	else if (needs(re, "abcdefghijklmnopqrstuvwxyz"))
		warn_at(r, value, 0, what, "has small letters",
			"methods are compared with case, and all common ones are in capitals");
}

static void check_host(struct reader *r, const struct node *value, const struct regex *re)
{
	static const char what[] = "\"host\"";

	if (needs(re, "/"))
		warn_at(r, value, 0, what, "can never match",
			"a host is a name and maybe a port; what follows belongs in \"path\"");
	else if (needs(re, " ?#@,") || needs(re, ""))
		warn_at(r, value, 0, what, "can never match", "a host is a name and maybe a port");
}

static void lint(struct reader *r, const struct node *value, const char *what,
		 void (*check)(struct reader *r, const struct node *value, const struct regex *re))
{
	struct arena mem = { .blocks = NULL };
	const struct regex *re = parse(r, value, &mem);

	if (re) {
		warn_of_anchors(r, value, what);
		check(r, value, re);
	}
	arena_done(&mem);
}

void lint_path(struct reader *r, const struct node *value)
{
	if (!r->options->lint)
		return;
	lint(r, value, "\"path\"", check_path);
	warn_of_query(r, value);
}

void lint_method(struct reader *r, const struct node *value)
{
	if (r->options->lint)
		lint(r, value, "\"method\"", check_method);
}

void lint_host(struct reader *r, const struct node *value)
{
	if (!r->options->lint)
		return;
	lint(r, value, "\"host\"", check_host);
	warn_of_dots(r, value);
}
