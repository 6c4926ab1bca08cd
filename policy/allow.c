// SPDX-License-Identifier: Apache-2.0
/* Reading the argument. It is short and typed by hand, so the first error ends the reading. */
#include "allow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "sluice/hex.h"

#define NAME_MAX_LENGTH 253

struct cursor {
	const char *name, *text, *at;
	struct diag *diag;
};

static int refuse(struct cursor *c, const char *at, const char *message, const char *hint)
{
	struct diag_item *item =
		diag_add(c->diag, c->name, 1, (unsigned)(at - c->text) + 1, "%s", message);

	if (hint)
		diag_hint(c->diag, item, "%s", hint);
	return -EINVAL;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_upper_token(char c)
{
	return c && (strchr("!#$%&'+-.^_`|~", c) || (is_alnum(c) && !(c >= 'a' && c <= 'z')));
}

/* "GET,HEAD" or "*", up to a blank. */
static int read_methods(struct cursor *c, struct span *ret)
{
	const char *begin = c->at, *word = c->at;

	ret->ptr = begin;
	ret->len = strcspn(begin, " \t");
	c->at += ret->len;
	if (memmem(ret->ptr, ret->len, "://", 3) || begin[ret->len] == 0)
		return refuse(c, begin, "there is no method before the address",
			      "write it like \"GET,HEAD http://127.0.0.1:9000/\", or * for all");
	if (span_eq(*ret, SPAN_LITERAL("*")))
		return 0;
	for (const char *p = begin;; p++) {
		if (p < c->at && *p != ',' && is_upper_token(*p))
			continue;
		if (p < c->at && *p >= 'a' && *p <= 'z')
			return refuse(c, p, "a method in small letters",
				      "methods are compared with case: write GET, not get");
		if (p < c->at && *p != ',')
			return refuse(c, p, "no method has this character",
				      "write GET,HEAD, or * for all");
		if (p == word)
			return refuse(c, p, "a method is missing", "write GET,HEAD, or * for all");
		if (p == c->at)
			return 0;
		word = p + 1;
	}
}

static int read_scheme(struct cursor *c)
{
	static const char http[] = "http://";

	if (strncmp(c->at, "https://", 8) == 0)
		return refuse(c, c->at, "https cannot be read, so its requests cannot be held",
			      "allow its port as it is, with a policy file");
	if (strncmp(c->at, http, sizeof(http) - 1) != 0)
		return refuse(c, c->at, "this is no address of an HTTP server",
			      "write it like http://127.0.0.1:9000/");
	c->at += sizeof(http) - 1;
	return 0;
}

static int read_address(struct cursor *c, struct allow *ret)
{
	static const uint8_t any[sizeof(ret->address.ip)];
	bool is_six = ret->address.family == AF_INET6;
	char text[INET6_ADDRSTRLEN];

	if (ret->host.len >= sizeof(text))
		return refuse(c, ret->host.ptr, "this is no address", NULL);
	snprintf(text, sizeof(text), "%.*s", (int)ret->host.len, ret->host.ptr);
	if (inet_pton(ret->address.family, text, ret->address.ip) != 1)
		return refuse(c, ret->host.ptr, "this is no address",
			      is_six ? "write it like [2001:db8::1], without a zone"
				     : "write it like 10.1.2.3");
	if (is_six && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)ret->address.ip))
		return refuse(c, ret->host.ptr, "an IPv4-mapped address", "write it as IPv4");
	/* Whoever connects there is sent to this host. */
	if (memcmp(ret->address.ip, any, sizeof(any)) == 0)
		return refuse(c, ret->host.ptr, "this is no server's address",
			      is_six ? "write [::1]" : "write 127.0.0.1");
	return 0;
}

static bool is_name(struct span s)
{
	char before = '.';

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!(is_alnum(c) || ((c == '-' || c == '_' || c == '.') && before != '.') ||
		      c == '_'))
			return false;
		before = c;
	}
	return s.len && s.len <= NAME_MAX_LENGTH && before != '.' && before != '-';
}

/* What is left if it consists of digits and dots only was meant as an address. */
static bool is_four(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!(s.ptr[i] == '.' || (s.ptr[i] >= '0' && s.ptr[i] <= '9')))
			return false;
	return true;
}

static int read_host(struct cursor *c, struct allow *ret)
{
	const char *begin = c->at, *user;
	size_t len = strcspn(begin, "/?#");

	user = memchr(begin, '@', len);
	if (user)
		return refuse(c, begin, "a user's name does not belong here", "leave it out");
	if (*begin == '[') {
		len = strcspn(begin, "]/");
		if (begin[len] != ']')
			return refuse(c, begin, "an address without its closing ]", NULL);
		ret->host = (struct span){ begin + 1, len - 1 };
		ret->address.family = AF_INET6;
		c->at = begin + len + 1;
		return read_address(c, ret);
	}
	ret->host = (struct span){ begin, strcspn(begin, ":/?#") };
	c->at = begin + ret->host.len;
	if (ret->host.len == 0)
		return refuse(c, begin, "there is no host", NULL);
	if (is_four(ret->host)) {
		ret->address.family = AF_INET;
		return read_address(c, ret);
	}
	ret->is_name = true;
	if (memchr(begin, '*', ret->host.len))
		return refuse(c, begin, "a pattern of hosts is not supported",
			      "write one name, or several arguments");
	return is_name(ret->host) ? 0 : refuse(c, begin, "this is no name of a host", NULL);
}

static int read_port(struct cursor *c, struct allow *ret)
{
	const char *begin = c->at + 1;
	unsigned port = 0;

	ret->port = 80;
	if (*c->at != ':')
		return 0;
	for (c->at++; *c->at >= '0' && *c->at <= '9' && port <= 65535; c->at++)
		port = port * 10 + (unsigned)(*c->at - '0');
	if (port == 0 || port > 65535 || (*c->at && !strchr("/?#", *c->at)))
		return refuse(c, begin, "a port is a number from 1 to 65535", NULL);
	ret->port = (uint16_t)port;
	return 0;
}

static int read_path(struct cursor *c, struct span *ret)
{
	const char *begin = c->at;

	if (*begin != '/')
		return refuse(c, begin, "there is no path",
			      "write / for this one path, or /** for all");
	for (; *c->at; c->at++) {
		unsigned char b = (unsigned char)*c->at;

		if (b == '#')
			return refuse(c, c->at, "no request has a # in its path", "leave it out");
		if (b == '%' && (hex_value(c->at[1]) < 0 || hex_value(c->at[2]) < 0))
			return refuse(c, c->at, "a % without two hexadecimal digits",
				      "a % alone is %25");
		if (b == '*' && c->at[1] == '*' && c->at[2] == '*')
			return refuse(c, c->at, "three * in a row",
				      "* stays within a segment, ** does not");
		if (b >= 0x80 || (!is_alnum((char)b) && !strchr("/?:@!$&'()*+,;=-._~%", b)))
			return refuse(c, c->at, "no request has this character in its path",
				      "write it as % and two hexadecimal digits");
	}
	*ret = (struct span){ begin, (size_t)(c->at - begin) };
	return 0;
}

int allow_parse(const char *name, const char *text, struct allow *ret, struct diag *diag)
{
	struct cursor c = { .name = name, .text = text, .at = text, .diag = diag };
	int r;

	memset(ret, 0, sizeof(*ret));
	c.at += strspn(c.at, " \t");
	r = read_methods(&c, &ret->methods);
	c.at += strspn(c.at, " \t");
	if (r == 0)
		r = read_scheme(&c);
	if (r == 0)
		r = read_host(&c, ret);
	if (r == 0)
		r = read_port(&c, ret);
	if (r == 0)
		r = read_path(&c, &ret->path);
	return r;
}
