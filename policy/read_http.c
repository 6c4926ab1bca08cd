// SPDX-License-Identifier: Apache-2.0
/* rules.http and rules.grpc: which requests are allowed. */
#include "read_policy.h"

#include <stdio.h>

#include "lint.h"
#include "sluice/array.h"

static const struct pattern *get_pattern(struct reader *r, const struct node *value,
					 struct span text, const char *what)
{
	const struct pattern *pat = pattern_get(r->patterns, text);

	if (!pat) {
		r->oom = true;
	} else if (pat->error && pat->error_at == SIZE_MAX) {
		reader_error(r, value, "%s cannot be used: %s", what, pat->error);
	} else if (pat->error) {
		struct node at = reader_within(value, pat->error_at);

		reader_error(r, &at, "%s, character %zu: %s", what, pat->error_at + 1, pat->error);
	}
	return pat;
}

static const struct pattern *read_pattern(struct reader *r, const struct node *value,
					  const char *what)
{
	struct diag_item *item;

	if (!reader_is_string(r, value, what))
		return NULL;
	if (value->text.len == 0) {
		item = reader_error(r, value, "%s is empty", what);
		diag_hint(r->diag, item, "leave it out for no restriction");
		return NULL;
	}
	return get_pattern(r, value, value->text, what);
}

static void read_path(struct reader *r, const struct node *value, void *into)
{
	struct http_rule *rule = into;

	rule->path = read_pattern(r, value, "\"path\"");
	if (rule->path && !rule->path->error)
		lint_path(r, value);
}

static void read_method(struct reader *r, const struct node *value, void *into)
{
	struct http_rule *rule = into;

	rule->method = read_pattern(r, value, "\"method\"");
	if (rule->method && !rule->method->error)
		lint_method(r, value);
}

static void read_host(struct reader *r, const struct node *value, void *into)
{
	struct http_rule *rule = into;

	rule->host = read_pattern(r, value, "\"host\"");
	if (rule->host && !rule->host->error)
		lint_host(r, value);
}

static const struct field http_fields[] = {
	{ "path", read_path, NULL, NULL },
	{ "method", read_method, NULL, NULL },
	{ "host", read_host, NULL, NULL },
	{ "headers", read_headers, NULL, NULL },
	{ "headerMatches", read_header_matches, NULL, NULL },
	{ "description", NULL, NULL, NULL },
};

static const struct rule_ref *ref_new(struct reader *r, const struct node *node, const char *kind,
				      unsigned index, const struct place *place)
{
	struct rule_ref *ref = arena_alloc(r->keep, sizeof(*ref));
	const char *path = arena_printf(r->keep, "%s.rules.%s[%u]", place->path, kind, index);

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

static void read_list(struct reader *r, const struct node *list, const char *kind,
		      const struct place *place, struct port_rule *ports,
		      void (*read)(struct reader *r, const struct node *node,
				   struct http_rule *rule))
{
	if (r->rules + list->n > MODEL_RULES_MAX) {
		reader_error(r, list, "more than %d HTTP rules", MODEL_RULES_MAX);
		return;
	}
	r->rules += list->n;
	lint_l7_list(r, list);
	for (size_t i = 0; i < list->n && !r->oom; i++) {
		struct http_rule *rule;

		ports->http = reader_extend(r, ports->http, ports->n_http, sizeof(*rule));
		if (!ports->http)
			return;
		rule = &ports->http[ports->n_http++];
		memset(rule, 0, sizeof(*rule));
		read(r, list->items[i], rule);
		rule->ref = ref_new(r, list->items[i], kind, (unsigned)i, place);
	}
}

static void read_http_rule(struct reader *r, const struct node *node, struct http_rule *rule)
{
	reader_fields(r, node, "an HTTP rule", http_fields, ARRAY_SIZE(http_fields), rule);
}

void read_http(struct reader *r, const struct node *list, struct port_rule *ports,
	       const struct place *place)
{
	if (!reader_is_list(r, list, "\"http\""))
		return;
	read_list(r, list, "http", place, ports, read_http_rule);
}

/* One half of a call's path, of which the expression is to be one group: what the user wrote is
 * held to the syntax alone first, so that it cannot end that group. Gaps are any name. */
static struct span read_name(struct reader *r, const struct node *map, const char *key)
{
	const struct node *value = node_get(map, key);
	char what[16];

	if (!value)
		return SPAN_LITERAL("[^/]+");
	snprintf(what, sizeof(what), "\"%s\"", key);
	if (!read_pattern(r, value, what))
		return SPAN_LITERAL("");
	return value->text;
}

static void accept_value(struct reader *r, const struct node *value, void *into)
{
}

/* A call is POST /package.Service/Method. */
static void read_grpc_rule(struct reader *r, const struct node *node, struct http_rule *rule)
{
	static const struct field fields[] = {
		{ "service", accept_value, NULL, NULL },
		{ "method", accept_value, NULL, NULL },
		{ "description", NULL, NULL, NULL },
	};
	size_t errors = diag_count(r->diag);
	struct span service, method;
	const char *path;

	if (!reader_fields(r, node, "a gRPC rule", fields, ARRAY_SIZE(fields), NULL))
		return;
	if (diag_count(r->diag) != errors)
		return;
	service = read_name(r, node, "service");
	method = read_name(r, node, "method");
	if (!service.len || !method.len || r->oom)
		return;
	path = arena_printf(r->mem, "/(?:%s)/(?:%s)", service.ptr, method.ptr);
	if (!path) {
		r->oom = true;
		return;
	}
	rule->path = get_pattern(r, node, span_of(path), "the path of this call");
	rule->method = get_pattern(r, node, SPAN_LITERAL("POST"), "\"method\"");
}

void read_grpc(struct reader *r, const struct node *list, struct port_rule *ports,
	       const struct place *place)
{
	if (!reader_is_list(r, list, "\"grpc\""))
		return;
	read_list(r, list, "grpc", place, ports, read_grpc_rule);
}
