// SPDX-License-Identifier: Apache-2.0
#include "node.h"
#include "sluice/array.h"

const struct node *node_get(const struct node *map, const char *key)
{
	if (map->kind != NODE_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i += 2)
		if (map->items[i]->kind == NODE_SCALAR &&
		    span_eq(map->items[i]->text, span_of(key)))
			return map->items[i + 1];
	return NULL;
}

static bool is_one_of(const struct node *n, const char *const *words, size_t count)
{
	if (n->kind != NODE_SCALAR || !n->plain)
		return false;
	for (size_t i = 0; i < count; i++)
		if (span_eq(n->text, span_of(words[i])))
			return true;
	return false;
}

bool node_is_null(const struct node *n)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	return is_one_of(n, words, ARRAY_SIZE(words));
}

static bool is_yaml11_bool(const struct node *n)
{
	static const char *const words[] = {
		"true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES",
		"no",	"No",	"NO",	"on",	 "On",	  "ON",	   "off", "Off", "OFF",
	};

	return is_one_of(n, words, ARRAY_SIZE(words));
}

bool node_is_bool(const struct node *n, bool *ret)
{
	static const char *const yes[] = { "true" }, *const no[] = { "false" };

	*ret = is_one_of(n, yes, 1);
	return *ret || is_one_of(n, no, 1);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t skip_digits(const char *s, size_t i)
{
	while (is_digit(s[i]) || s[i] == '_')
		i++;
	return i;
}

/* The text of a scalar ends with a NUL, which none of these loops passes. */
static bool is_decimal(const char *s, size_t i, size_t len)
{
	if (!is_digit(s[i]) && !(s[i] == '.' && is_digit(s[i + 1])))
		return false;
	i = skip_digits(s, i);
	if (s[i] == '.')
		i = skip_digits(s, i + 1);
	if (s[i] == 'e' || s[i] == 'E') {
		i++;
		i += s[i] == '-' || s[i] == '+';
		if (!is_digit(s[i]))
			return false;
		i = skip_digits(s, i);
	}
	return i == len;
}

static bool is_number(const struct node *n)
{
	const char *s = n->text.ptr;
	size_t i = *s == '-' || *s == '+';

	if (span_eq_nocase(span_of(s + i), SPAN_LITERAL(".inf")) ||
	    span_eq_nocase(span_of(s), SPAN_LITERAL(".nan")))
		return true;
	if (s[i] == '0' && (s[i + 1] == 'x' || s[i + 1] == 'o' || s[i + 1] == 'b'))
		return s[i + 2] &&
		       i + 2 + strspn(s + i + 2, "0123456789abcdefABCDEF_") == n->text.len;
	return is_decimal(s, i, n->text.len);
}

bool node_is_string(const struct node *n)
{
	if (n->kind != NODE_SCALAR)
		return false;
	return !n->plain || !(node_is_null(n) || is_yaml11_bool(n) || is_number(n));
}

const char *node_kind_name(const struct node *n)
{
	switch (n->kind) {
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a mapping";
	case NODE_SCALAR:
		break;
	}
	if (node_is_null(n))
		return "null";
	if (node_is_string(n))
		return "a string";
	return is_number(n) ? "a number" : "true or false";
}
