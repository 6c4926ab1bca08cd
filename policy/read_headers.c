// SPDX-License-Identifier: Apache-2.0
/* headers and headerMatches of an HTTP rule: what its header fields have to be. */
#include "read_policy.h"

#include <errno.h>

#include "secret.h"
#include "sluice/array.h"

static bool is_token(struct span s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		      (c && strchr(others, c))))
			return false;
	}
	return s.len > 0;
}

static void refuse_header(struct reader *r, const struct node *node, struct span name)
{
	const char *colon = memchr(name.ptr, ':', name.len);
	struct diag_item *item;

	item = reader_error(r, node, "\"%s\" does not begin with a header's name", node->text.ptr);
	if (colon && colon[1] && colon > name.ptr)
		diag_hint(r->diag, item, "a blank belongs behind the colon: \"%.*s: %s\"",
			  (int)(colon - name.ptr), name.ptr, colon + 1);
	else if (colon && colon > name.ptr)
		diag_hint(r->diag, item, "for a presence test write \"%.*s\"",
			  (int)(colon - name.ptr), name.ptr);
	else
		diag_hint(r->diag, item, "write it like \"X-Name: value\" or \"X-Name\"");
}

/* "X-Name: value" or "X-Name value": a value; "X-Name": that there is one. */
static void read_header(struct reader *r, const struct node *node, struct http_rule *rule)
{
	struct header_match h = { .any_value = true };
	struct span text;
	const char *blank;

	if (!reader_is_string(r, node, "an entry of \"headers\""))
		return;
	text = reader_copy(r, node->text);
	if (r->oom)
		return;
	h.name = text;
	blank = memchr(text.ptr, ' ', text.len);
	if (blank) {
		h.any_value = false;
		h.name.len = (size_t)(blank - text.ptr);
		h.value.ptr = blank + 1;
		h.value.len = text.len - h.name.len - 1;
		if (h.name.len && h.name.ptr[h.name.len - 1] == ':')
			h.name.len--;
	}
	if (!is_token(h.name)) {
		refuse_header(r, node, blank ? h.name : node->text);
		return;
	}
	if (h.value.len &&
	    (strchr(" \t", h.value.ptr[0]) || strchr(" \t", h.value.ptr[h.value.len - 1]))) {
		diag_hint(r->diag,
			  reader_error(r, node, "a value with blanks around it never matches"),
			  "one blank stands between the colon and the value");
		return;
	}
	rule->headers = reader_extend(r, rule->headers, rule->n_headers, sizeof(h));
	if (rule->headers)
		rule->headers[rule->n_headers++] = h;
}

void read_headers(struct reader *r, const struct node *value, void *into)
{
	if (!reader_is_list(r, value, "\"headers\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_header(r, value->items[i], into);
}

/* Some servers take "_" in a name for "-". */
static bool reads_as(struct span name, struct span known)
{
	if (name.len != known.len)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((name.ptr[i] == '_' ? '-' : name.ptr[i] | 0x20) != (known.ptr[i] | 0x20))
			return false;
	return true;
}

/* These say how the message is to be read, or who handles it: the relay must not change them. */
static bool is_framing(struct span name)
{
	static const char *const names[] = {
		"Connection",	     "Content-Length",	 "Expect", "Host",    "Keep-Alive",
		"HTTP2-Settings",    "Proxy-Connection", "TE",	   "Trailer", "Upgrade",
		"Transfer-Encoding",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (reads_as(name, span_of(names[i])))
			return true;
	return false;
}

static const char *value_fault(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "a control character, which no header can have";
	}
	if (value.len && (strchr(" \t", value.ptr[0]) || strchr(" \t", value.ptr[value.len - 1])))
		return "blanks around it, with which it never matches";
	return NULL;
}

struct match_reader {
	struct header_match match;
	const struct node *value, *secret;
	struct secret_name name;
};

static void read_match_name(struct reader *r, const struct node *value, void *into)
{
	struct match_reader *x = into;

	if (!reader_is_string(r, value, "\"name\""))
		return;
	if (!is_token(value->text))
		reader_error(r, value, "\"%s\" is no header's name", value->text.ptr);
	x->match.name = reader_copy(r, value->text);
}

static void read_match_value(struct reader *r, const struct node *value, void *into)
{
	struct match_reader *x = into;
	const char *fault;

	if (!reader_is_string(r, value, "\"value\""))
		return;
	fault = value_fault(value->text);
	if (fault)
		reader_error(r, value, "the value has %s", fault);
	x->value = value;
	x->match.value = reader_copy(r, value->text);
}

static void read_mismatch(struct reader *r, const struct node *value, void *into)
{
	static const struct {
		const char *name;
		enum mismatch mismatch;
	} known[] = { { "LOG", MISMATCH_LOG },
		      { "ADD", MISMATCH_ADD },
		      { "DELETE", MISMATCH_DELETE },
		      { "REPLACE", MISMATCH_REPLACE } };
	struct match_reader *x = into;
	struct diag_item *item;

	if (!reader_is_string(r, value, "\"mismatch\""))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (span_eq(value->text, span_of(known[i].name)))
			x->match.mismatch = known[i].mismatch;
	if (x->match.mismatch == MISMATCH_FAIL) {
		item = reader_error(r, value, "no such action: \"%s\"", value->text.ptr);
		diag_hint(r->diag, item,
			  "it must be LOG, ADD, DELETE or REPLACE; without the key the rule does "
			  "not match");
	}
}

static void read_secret_part(struct reader *r, const struct node *value, const char *what,
			     const char **part)
{
	if (!reader_is_string(r, value, what))
		return;
	if (!secret_name_valid(value->text))
		diag_hint(r->diag,
			  reader_error(r, value, "%s cannot be \"%s\"", what, value->text.ptr),
			  "it has lower-case letters, digits, - and . only");
	*part = value->text.ptr;
}

static void read_secret_name(struct reader *r, const struct node *value, void *into)
{
	struct match_reader *x = into;

	read_secret_part(r, value, "the name of a secret", &x->name.name);
}

static void read_secret_namespace(struct reader *r, const struct node *value, void *into)
{
	struct match_reader *x = into;

	read_secret_part(r, value, "the namespace of a secret", &x->name.namespace_);
}

static void read_secret(struct reader *r, const struct node *value, void *into)
{
	static const struct field fields[] = {
		{ "name", read_secret_name, NULL, NULL },
		{ "namespace", read_secret_namespace, NULL, NULL },
	};
	struct match_reader *x = into;

	if (!reader_fields(r, value, "\"secret\"", fields, ARRAY_SIZE(fields), x))
		return;
	if (!node_get(value, "name"))
		reader_error(r, value, "\"secret\" has no \"name\"");
	x->secret = value;
}

/* Its own namespace, or the policy's, which is any text: as a part of a path it would lead out of
 * the directory of secrets. False: it was refused. */
static bool find_namespace(struct reader *r, struct match_reader *x)
{
	const char *name = x->name.namespace_;
	struct diag_item *item;

	if (name)
		return secret_name_valid(span_of(name));
	name = r->namespace_;
	x->name.namespace_ = name;
	if (!name || !*name || secret_name_valid(span_of(name)))
		return true;
	item = reader_error(r, x->secret, "the policy's namespace \"%s\" cannot be a secret's",
			    name);
	diag_hint(r->diag, item, "it has lower-case letters, digits, - and . only");
	return false;
}

/* A secret that is there is the value; one that is missing leaves the value, if there is one. */
static void resolve_secret(struct reader *r, struct match_reader *x)
{
	struct diag_item *item;
	const char *why = NULL;
	int found;

	if (!find_namespace(r, x))
		return;
	found = secret_read(r->options->secrets, &x->name, r->mem, &x->match.value, &why);
	reader_depends(r, &found, sizeof(found));
	if (found > 0)
		reader_depends(r, x->match.value.ptr, x->match.value.len);
	if (found == -ENOMEM) {
		r->oom = true;
	} else if (found < 0) {
		reader_error(r, x->secret, "the secret \"%s\" cannot be used: %s", x->name.name,
			     why);
	} else if (found > 0) {
		why = value_fault(x->match.value);
		if (why)
			reader_error(r, x->secret, "the secret \"%s\" has %s", x->name.name, why);
		x->match.secret = true;
		r->mem->wipe = r->keep->wipe = true;
	} else {
		item = reader_warn(r, x->secret, "the secret \"%s\" is missing: %s", x->name.name,
				   why);
		diag_hint(r->diag, item, "%s",
			  x->value ? "\"value\" is used instead" : "this rule matches nothing");
		x->match.never = !x->value;
	}
}

static void check_match(struct reader *r, const struct node *node, const struct match_reader *x)
{
	enum mismatch m = x->match.mismatch;
	struct diag_item *item;

	if (m != MISMATCH_FAIL && m != MISMATCH_LOG && x->match.name.ptr &&
	    is_framing(x->match.name))
		reader_error(r, node_get(node, "name"),
			     "\"%s\" says how a message is carried: no action can change it",
			     x->match.name.ptr);
	if ((m == MISMATCH_ADD || m == MISMATCH_REPLACE) && x->match.value.len > SECRET_LENGTH_MAX)
		reader_error(r, x->value, "a value over %d bytes, which no request is given",
			     SECRET_LENGTH_MAX);
	if (m == MISMATCH_FAIL || m == MISMATCH_LOG || x->secret || x->match.value.len)
		return;
	item = reader_error(r, node, "the action %s needs a \"value\" or a \"secret\"",
			    node_get(node, "mismatch")->text.ptr);
	diag_hint(r->diag, item, "without them the header only has to be there");
}

static void read_header_match(struct reader *r, const struct node *node, struct http_rule *rule)
{
	static const struct field fields[] = {
		{ "name", read_match_name, NULL, NULL },
		{ "value", read_match_value, NULL, NULL },
		{ "secret", read_secret, NULL, NULL },
		{ "mismatch", read_mismatch, NULL, NULL },
	};
	struct match_reader x = { .value = NULL };

	if (!reader_fields(r, node, "an entry of \"headerMatches\"", fields, ARRAY_SIZE(fields),
			   &x))
		return;
	if (!node_get(node, "name")) {
		reader_error(r, node, "an entry of \"headerMatches\" has no \"name\"");
		return;
	}
	check_match(r, node, &x);
	if (x.secret && x.name.name && secret_name_valid(span_of(x.name.name)))
		resolve_secret(r, &x);
	/* An empty value is none: the header has to be there. */
	x.match.any_value = x.match.value.len == 0 && !x.match.secret;
	rule->headers = reader_extend(r, rule->headers, rule->n_headers, sizeof(x.match));
	if (rule->headers)
		rule->headers[rule->n_headers++] = x.match;
}

void read_header_matches(struct reader *r, const struct node *value, void *into)
{
	if (!reader_is_list(r, value, "\"headerMatches\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_header_match(r, value->items[i], into);
}
