// SPDX-License-Identifier: Apache-2.0
/* endpointSelector: which workloads a policy is about; and the same for peers. */
#include "read_policy.h"

#include "sluice/array.h"

static const struct {
	const char *name;
	enum requirement_op op;
} operators[] = {
	{ "In", OP_IN },
	{ "NotIn", OP_NOT_IN },
	{ "Exists", OP_EXISTS },
	{ "DoesNotExist", OP_DOES_NOT_EXIST },
};

static struct requirement *add_requirement(struct reader *r, struct selector *s)
{
	s->all = reader_extend(r, s->all, s->n, sizeof(*s->all));
	return s->all ? &s->all[s->n++] : NULL;
}

/* "k8s:app" is the key app of the source k8s; "app" is any source's. */
static void read_key(struct reader *r, const struct node *node, struct requirement *q)
{
	struct span text = reader_copy(r, node->text);
	const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL;
	struct diag_item *item;

	q->line = node->line;
	q->column = node->column;
	q->source = SPAN_LITERAL("any");
	q->key = text;
	if (colon) {
		q->source.ptr = text.ptr;
		q->source.len = (size_t)(colon - text.ptr);
		q->key.ptr = colon + 1;
		q->key.len = text.len - q->source.len - 1;
	}
	if (q->key.len == 0)
		reader_error(r, node, "a label without a name");
	if (span_eq(q->source, SPAN_LITERAL("any")) || span_eq(q->source, SPAN_LITERAL("k8s")) ||
	    span_eq(q->source, SPAN_LITERAL("reserved")))
		return;
	item = reader_error(r, node, "the label prefix \"%.*s:\" is not known", (int)q->source.len,
			    q->source.ptr);
	diag_hint(r->diag, item, "the prefixes are k8s:, any: and reserved:");
}

static void add_value(struct reader *r, struct requirement *q, const struct node *value)
{
	if (!reader_is_string(r, value, "a label's value"))
		return;
	q->values = reader_extend(r, q->values, q->n_values, sizeof(*q->values));
	if (q->values)
		q->values[q->n_values++] = reader_copy(r, value->text);
}

static void read_match_labels(struct reader *r, const struct node *value, void *into)
{
	if (value->kind != NODE_MAP) {
		reader_error(r, value, "\"matchLabels\" must be a mapping, not %s",
			     node_kind_name(value));
		return;
	}
	for (size_t i = 0; i < value->n && !r->oom; i += 2) {
		struct requirement *q = add_requirement(r, into);

		if (!q)
			return;
		q->op = OP_IN;
		read_key(r, value->items[i], q);
		add_value(r, q, value->items[i + 1]);
	}
}

static void read_expression_key(struct reader *r, const struct node *value, void *into)
{
	if (reader_is_string(r, value, "\"key\""))
		read_key(r, value, into);
}

static void read_operator(struct reader *r, const struct node *value, void *into)
{
	struct requirement *q = into;
	const char *names[ARRAY_SIZE(operators)], *near;
	struct diag_item *item;

	if (!reader_is_string(r, value, "\"operator\""))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		names[i] = operators[i].name;
		if (span_eq(value->text, span_of(names[i]))) {
			q->op = operators[i].op;
			return;
		}
	}
	item = reader_error(r, value, "no such operator: \"%s\"", value->text.ptr);
	near = reader_nearest(value->text.ptr, names, ARRAY_SIZE(names));
	if (near)
		diag_hint(r->diag, item, "did you mean %s?", near);
	else
		diag_hint(r->diag, item, "it must be In, NotIn, Exists or DoesNotExist");
}

static void read_values(struct reader *r, const struct node *value, void *into)
{
	if (!reader_is_list(r, value, "\"values\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		add_value(r, into, value->items[i]);
}

static void read_expression(struct reader *r, const struct node *node, struct requirement *q)
{
	static const struct field fields[] = {
		{ "key", read_expression_key, NULL, NULL },
		{ "operator", read_operator, NULL, NULL },
		{ "values", read_values, NULL, NULL },
	};
	const struct node *values;
	bool needs;

	if (!reader_fields(r, node, "a match expression", fields, ARRAY_SIZE(fields), q))
		return;
	if (!node_get(node, "key") || !node_get(node, "operator")) {
		reader_error(r, node, "a match expression needs \"key\" and \"operator\"");
		return;
	}
	values = node_get(node, "values");
	needs = q->op == OP_IN || q->op == OP_NOT_IN;
	if (needs && (!values || values->n == 0) && !(values && values->kind != NODE_LIST))
		reader_error(r, values ? values : node, "In and NotIn need \"values\"");
	else if (!needs && values && values->n)
		reader_error(r, values, "Exists and DoesNotExist take no \"values\"");
}

static void read_match_expressions(struct reader *r, const struct node *value, void *into)
{
	if (!reader_is_list(r, value, "\"matchExpressions\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++) {
		struct requirement *q = add_requirement(r, into);

		if (q)
			read_expression(r, value->items[i], q);
	}
}

bool read_selector(struct reader *r, const struct node *value, const char *what,
		   struct selector *selector)
{
	static const struct field fields[] = {
		{ "matchLabels", read_match_labels, NULL, NULL },
		{ "matchExpressions", read_match_expressions, NULL, NULL },
	};

	return reader_fields(r, value, what, fields, ARRAY_SIZE(fields), selector);
}
