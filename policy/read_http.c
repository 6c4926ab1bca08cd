// SPDX-License-Identifier: Apache-2.0
/* rules.http: which requests are allowed. */
#include "read_policy.h"

#include "sluice/array.h"
#include "utf8.h"

/* The place in the file of the AT-th byte of the scalar NODE. Exact where the file has the value as
 * it is, in one line; else the place of the scalar. */
static struct node place_within(const struct node *node, size_t at)
{
	const char *source = node->source;
	struct node ret = *node;
	uint32_t code;

	/* The file's text has a NUL behind it; a value with escapes is not in it as it is. */
	if (!source || strncmp(source, node->text.ptr, node->text.len) != 0)
		return ret;
	ret.column += !node->plain;
	for (size_t i = 0; i < at;) {
		size_t n = utf8_decode(node->text.ptr + i, node->text.len - i, &code);

		i += n ? n : 1;
		ret.column++;
	}
	return ret;
}

static const struct pattern *read_pattern(struct reader *r, const struct node *value,
					  const char *what)
{
	const struct pattern *pat;
	struct diag_item *item;

	if (!reader_is_string(r, value, what))
		return NULL;
	if (value->text.len == 0) {
		item = reader_error(r, value, "%s is empty", what);
		diag_hint(r->diag, item, "leave it out for no restriction");
		return NULL;
	}
	pat = pattern_get(r->patterns, value->text);
	if (!pat) {
		r->oom = true;
	} else if (pat->error && pat->error_at == SIZE_MAX) {
		reader_error(r, value, "%s cannot be used: %s", what, pat->error);
	} else if (pat->error) {
		struct node at = place_within(value, pat->error_at);

		reader_error(r, &at, "%s, character %zu: %s", what, pat->error_at + 1, pat->error);
	}
	return pat;
}

static void read_path(struct reader *r, const struct node *value, void *into)
{
	struct http_rule *rule = into;

	rule->path = read_pattern(r, value, "\"path\"");
}

static void read_method(struct reader *r, const struct node *value, void *into)
{
	struct http_rule *rule = into;

	rule->method = read_pattern(r, value, "\"method\"");
}

static void read_host(struct reader *r, const struct node *value, void *into)
{
	struct http_rule *rule = into;

	rule->host = read_pattern(r, value, "\"host\"");
}

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
	const char *blank;

	if (!reader_is_string(r, node, "an entry of \"headers\""))
		return;
	h.name = node->text;
	blank = memchr(node->text.ptr, ' ', node->text.len);
	if (blank) {
		h.any_value = false;
		h.name.len = (size_t)(blank - node->text.ptr);
		h.value.ptr = blank + 1;
		h.value.len = node->text.len - h.name.len - 1;
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

static void read_headers(struct reader *r, const struct node *value, void *into)
{
	if (!reader_is_list(r, value, "\"headers\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_header(r, value->items[i], into);
}

static const struct field http_fields[] = {
	{ "path", read_path, NULL, NULL },
	{ "method", read_method, NULL, NULL },
	{ "host", read_host, NULL, NULL },
	{ "headers", read_headers, NULL, NULL },
	{ "headerMatches", NULL, "not in this release",
	  "headers: [\"X-Name: value\"] compares a literal value" },
	{ "description", NULL, NULL, NULL },
};

static const struct rule_ref *ref_new(struct reader *r, const struct node *node, unsigned index,
				      const struct place *place)
{
	struct rule_ref *ref = arena_alloc(r->keep, sizeof(*ref));
	const char *path = arena_printf(r->keep, "%s.rules.http[%u]", place->path, index);

	if (!ref || !path) {
		r->oom = true;
		return NULL;
	}
	*ref = (struct rule_ref){
		.policy = place->doc->name,
		.namespace_ = place->doc->namespace_,
		.path = path,
		.index = index,
		.file = place->doc->file,
		.line = node->line,
		.column = node->column,
	};
	return ref;
}

void read_http(struct reader *r, const struct node *list, struct port_rule *ports,
	       const struct place *place)
{
	if (!reader_is_list(r, list, "\"http\""))
		return;
	if (r->rules + list->n > MODEL_RULES_MAX) {
		reader_error(r, list, "more than %d HTTP rules", MODEL_RULES_MAX);
		return;
	}
	r->rules += list->n;
	for (size_t i = 0; i < list->n && !r->oom; i++) {
		struct http_rule *rule;

		ports->http = reader_extend(r, ports->http, ports->n_http, sizeof(*rule));
		if (!ports->http)
			return;
		rule = &ports->http[ports->n_http++];
		memset(rule, 0, sizeof(*rule));
		reader_fields(r, list->items[i], "an HTTP rule", http_fields,
			      ARRAY_SIZE(http_fields), rule);
		rule->ref = ref_new(r, list->items[i], (unsigned)i, place);
	}
}
