// SPDX-License-Identifier: Apache-2.0
/* From libfyaml's events to the tree of node.h. The events come in document order; a stack of open
 * lists and mappings says where the next node belongs. */
#include "node.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdint.h>
#include <stdlib.h>

#include "quoted.h"
#include "utf8.h"

struct anchor {
	struct span name;
	struct node *node;
	bool open; /* the node is not complete yet: an alias to it would be a circle */
};

struct builder {
	struct arena *mem;
	struct diag *diag;
	const char *name, *text;
	size_t len;
	struct node *open[YAML_DEPTH_MAX];
	size_t depth;
	struct node *root; /* of the document that is being read */
	struct anchor anchors[YAML_ANCHORS_MAX];
	size_t n_anchors;
	size_t weight; /* of everything in the file so far */
	struct node_list *docs;
};

static int refuse(struct builder *b, const struct node *at, const char *message, const char *hint)
{
	struct diag_item *item = diag_add(b->diag, b->name, at->line, at->column, "%s", message);

	if (hint)
		diag_hint(b->diag, item, "%s", hint);
	return -EINVAL;
}

static struct node *node_new(struct builder *b, enum node_kind kind, const struct fy_mark *mark)
{
	struct node *n = arena_alloc(b->mem, sizeof(*n));

	if (!n)
		return NULL;
	n->kind = kind;
	n->weight = 1;
	if (mark) {
		n->line = (unsigned)mark->line + 1;
		n->column = (unsigned)mark->column + 1;
		if (mark->input_pos < b->len)
			n->source = b->text + mark->input_pos;
	}
	return n;
}

/* A value of which nothing is written is at its key, or at its list. */
static void borrow_place(struct node *n, const struct node *parent)
{
	const struct node *near = parent;

	if (parent->kind == NODE_MAP && parent->n % 2 == 1)
		near = parent->items[parent->n - 1];
	n->line = near->line;
	n->column = near->column;
}

/* Hang N where the next node belongs. */
static int node_place(struct builder *b, struct node *n)
{
	struct node *parent;
	struct node **items;

	if (b->depth == 0) {
		b->root = n;
		return 0;
	}
	parent = b->open[b->depth - 1];
	if (n->line == 0)
		borrow_place(n, parent);
	if (parent->kind == NODE_MAP && parent->n % 2 == 0 && n->kind != NODE_SCALAR)
		return refuse(b, n, "a key must be a word, not a list or a mapping", NULL);
	items = arena_extend(b->mem, parent->items, parent->n, sizeof(struct node *));
	if (!items)
		return -ENOMEM;
	parent->items = items;
	parent->items[parent->n++] = n;
	return 0;
}

static int count_weight(struct builder *b, const struct node *at, size_t weight)
{
	b->weight += weight;
	if (b->weight > YAML_NODES_MAX)
		return refuse(b, at, "the document is too large",
			      "aliases count as what they stand for");
	return 0;
}

static int anchor_add(struct builder *b, struct fy_token *token, struct node *n, bool open)
{
	struct anchor *a;
	const char *name;
	size_t len;

	if (!token)
		return 0;
	if (b->n_anchors == YAML_ANCHORS_MAX)
		return refuse(b, n, "too many anchors", NULL);
	name = fy_token_get_text(token, &len);
	if (!name)
		return -ENOMEM;
	a = &b->anchors[b->n_anchors];
	a->name.ptr = arena_copy(b->mem, name, len);
	a->name.len = len;
	a->node = n;
	a->open = open;
	if (!a->name.ptr)
		return -ENOMEM;
	b->n_anchors++;
	return 0;
}

static int on_alias(struct builder *b, struct fy_event *event)
{
	struct node *here = node_new(b, NODE_SCALAR, fy_event_start_mark(event));
	struct span name;
	int r;

	if (!here)
		return -ENOMEM;
	here->column--; /* libfyaml places it behind its asterisk */
	name.ptr = fy_token_get_text(event->alias.anchor, &name.len);
	if (!name.ptr)
		return -ENOMEM;
	for (size_t i = b->n_anchors; i-- > 0;) {
		struct anchor *a = &b->anchors[i];

		if (!span_eq(a->name, name))
			continue;
		if (a->open)
			return refuse(b, here, "an alias within the node that it stands for", NULL);
		r = count_weight(b, here, a->node->weight);
		if (r < 0)
			return r;
		if (b->depth)
			b->open[b->depth - 1]->weight += a->node->weight;
		return node_place(b, a->node);
	}
	return refuse(b, here, "an alias without an anchor before it", NULL);
}

/* libfyaml places a quoted scalar behind its quote. */
static void find_quote(const struct builder *b, struct node *n)
{
	if (n->plain || !n->source)
		return;
	if (n->source > b->text && (n->source[-1] == '"' || n->source[-1] == '\''))
		n->column--;
	else
		n->source = NULL;
}

static int read_single_quoted(struct builder *b, struct node *n)
{
	int r = -EINVAL;

	if (n->source)
		r = quoted_read(b->mem, n->source, b->len - (size_t)(n->source - b->text),
				&n->text);
	if (r == -EINVAL)
		return refuse(b, n, "a string in single quotes that cannot be read",
			      "put it in double quotes");
	return r;
}

/* What the scalar N says. */
static int read_text(struct builder *b, struct node *n, struct fy_token *value)
{
	enum fy_scalar_style style = fy_token_scalar_style(value);
	const char *text;

	n->plain = style == FYSS_PLAIN;
	find_quote(b, n);
	if (style == FYSS_SINGLE_QUOTED)
		return read_single_quoted(b, n);
	text = fy_token_get_text(value, &n->text.len);
	if (!text && n->text.len)
		return -ENOMEM;
	n->text.ptr = arena_copy(b->mem, text ? text : "", n->text.len);
	return n->text.ptr ? 0 : -ENOMEM;
}

static int on_scalar(struct builder *b, struct fy_event *event)
{
	struct fy_token *value = event->scalar.value;
	struct node *n = node_new(b, NODE_SCALAR, fy_event_start_mark(event));
	int r;

	if (!n)
		return -ENOMEM;
	r = read_text(b, n, value);
	if (r < 0)
		return r;
	if (event->scalar.tag)
		return refuse(b, n, "tags are not supported", "leave it out");
	if (memchr(n->text.ptr, 0, n->text.len))
		return refuse(b, n, "a NUL in a string", NULL);
	r = anchor_add(b, event->scalar.anchor, n, false);
	if (r == 0)
		r = count_weight(b, n, 1);
	if (r < 0)
		return r;
	if (b->depth)
		b->open[b->depth - 1]->weight++;
	return node_place(b, n);
}

static int on_open(struct builder *b, struct fy_event *event, enum node_kind kind)
{
	bool list = kind == NODE_LIST;
	struct fy_token *anchor = list ? event->sequence_start.anchor : event->mapping_start.anchor;
	struct fy_token *tag = list ? event->sequence_start.tag : event->mapping_start.tag;
	struct node *n = node_new(b, kind, fy_event_start_mark(event));
	int r;

	if (!n)
		return -ENOMEM;
	if (tag)
		return refuse(b, n, "tags are not supported", "leave it out");
	if (b->depth == YAML_DEPTH_MAX)
		return refuse(b, n, "nested too deeply", NULL);
	r = anchor_add(b, anchor, n, true);
	if (r == 0)
		r = count_weight(b, n, 1);
	if (r == 0)
		r = node_place(b, n);
	if (r < 0)
		return r;
	b->open[b->depth++] = n;
	return 0;
}

static int key_compare(const void *left, const void *right)
{
	const struct node *a = *(struct node *const *)left, *b = *(struct node *const *)right;
	size_t shorter = a->text.len < b->text.len ? a->text.len : b->text.len;
	int r = memcmp(a->text.ptr, b->text.ptr, shorter);

	if (r == 0 && a->text.len != b->text.len)
		r = a->text.len < b->text.len ? -1 : 1;
	if (r == 0)
		r = a->line != b->line ? (a->line < b->line ? -1 : 1)
				       : (a->column > b->column) - (a->column < b->column);
	return r;
}

/* A repeated key is an error: one of the two values would be ignored. */
static int check_keys(struct builder *b, const struct node *map)
{
	size_t n = map->n / 2;
	struct node **keys;

	if (n < 2)
		return 0;
	keys = malloc(n * sizeof(struct node *));
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		keys[i] = map->items[2 * i];
	qsort(keys, n, sizeof(struct node *), key_compare);
	for (size_t i = 1; i < n; i++)
		if (span_eq(keys[i - 1]->text, keys[i]->text)) {
			struct diag_item *item =
				diag_add(b->diag, b->name, keys[i]->line, keys[i]->column,
					 "\"%s\" appears twice in one mapping", keys[i]->text.ptr);

			diag_hint(b->diag, item, "the first one is in line %u", keys[i - 1]->line);
		}
	free(keys);
	return 0;
}

static int on_close(struct builder *b)
{
	struct node *n = b->open[--b->depth];

	for (size_t i = b->n_anchors; i-- > 0;)
		if (b->anchors[i].node == n)
			b->anchors[i].open = false;
	if (b->depth)
		b->open[b->depth - 1]->weight += n->weight;
	return n->kind == NODE_MAP ? check_keys(b, n) : 0;
}

static int on_document_end(struct builder *b)
{
	struct node_list *docs = b->docs;
	struct node *root = b->root;
	struct node **items;

	b->root = NULL;
	b->n_anchors = 0;
	if (!root || node_is_null(root))
		return 0;
	items = arena_extend(b->mem, docs->items, docs->n, sizeof(struct node *));
	if (!items)
		return -ENOMEM;
	docs->items = items;
	docs->items[docs->n++] = root;
	return 0;
}

static int on_event(struct builder *b, struct fy_event *event)
{
	switch (event->type) {
	case FYET_ALIAS:
		return on_alias(b, event);
	case FYET_SCALAR:
		return on_scalar(b, event);
	case FYET_SEQUENCE_START:
		return on_open(b, event, NODE_LIST);
	case FYET_MAPPING_START:
		return on_open(b, event, NODE_MAP);
	case FYET_SEQUENCE_END:
	case FYET_MAPPING_END:
		return on_close(b);
	case FYET_DOCUMENT_END:
		return on_document_end(b);
	default:
		return 0;
	}
}

/* libfyaml's own words for what is not YAML. */
static int report_syntax(struct builder *b, struct fy_diag *fyd)
{
	struct fy_diag_error *error;
	void *state = NULL;
	size_t before = b->diag->n + b->diag->dropped;

	while ((error = fy_diag_errors_iterate(fyd, &state))) {
		if (error->type < FYET_ERROR || !error->msg)
			continue;
		diag_add(b->diag, b->name, error->line < 0 ? 0 : (unsigned)error->line,
			 error->column < 0 ? 0 : (unsigned)error->column, "not YAML: %s",
			 error->msg);
	}
	if (b->diag->n + b->diag->dropped == before)
		diag_add(b->diag, b->name, 0, 0, "not YAML");
	return -EINVAL;
}

static int read_events(struct builder *b, struct fy_parser *parser, struct fy_diag *fyd)
{
	struct fy_event *event;
	bool end = false;
	int r = 0;

	/* libfyaml may take what it had no memory for as empty, or as an error in the text: all
	 * that tells is errno. */
	errno = 0;
	while (r == 0 && !end && (event = fy_parser_parse(parser))) {
		end = event->type == FYET_STREAM_END;
		r = errno == ENOMEM ? -ENOMEM : on_event(b, event);
		if (errno == ENOMEM)
			r = -ENOMEM;
		fy_parser_event_free(parser, event);
	}
	if (errno == ENOMEM)
		r = -ENOMEM;
	if (r == 0 && !end)
		r = report_syntax(b, fyd);
	return r;
}

static void on_output(struct fy_diag *fyd, void *user, const char *text, size_t len)
{
	/* The errors are collected, not printed. */
}

static int parse(struct builder *b)
{
	struct fy_diag_cfg diag_cfg;
	struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE };
	struct fy_parser *parser;
	struct fy_diag *fyd;
	int r = -ENOMEM;

	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	diag_cfg.output_fn = on_output;
	diag_cfg.colorize = false;
	fyd = fy_diag_create(&diag_cfg);
	if (!fyd)
		return -ENOMEM;
	fy_diag_set_collect_errors(fyd, true);
	cfg.diag = fyd;
	parser = fy_parser_create(&cfg);
	if (!parser)
		goto out;
	if (fy_parser_set_string(parser, b->text, b->len) == 0)
		r = read_events(b, parser, fyd);
	fy_parser_destroy(parser);
out:
	fy_diag_destroy(fyd);
	return r;
}

/* What libfyaml need not see: bytes that are no text. */
static int check_text(const char *name, const char *text, size_t len, struct diag *diag)
{
	unsigned line, column;
	const char *why;

	if (len > YAML_BYTES_MAX) {
		diag_add(diag, name, 0, 0, "the file is larger than %d MiB",
			 YAML_BYTES_MAX / 1024 / 1024);
		return -EINVAL;
	}
	why = utf8_check(text, len, &line, &column);
	if (!why)
		return 0;
	diag_add(diag, name, line, column, "%s", why);
	return -EINVAL;
}

int yaml_read(struct arena *mem, const char *name, const char *text, size_t len,
	      struct node_list *ret, struct diag *diag)
{
	size_t before = diag->n + diag->dropped;
	struct builder *b;
	int r = check_text(name, text, len, diag);

	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	*b = (struct builder){
		.mem = mem, .diag = diag, .name = name, .text = text, .len = len, .docs = ret
	};
	r = parse(b);
	free(b);
	if (r == 0 && diag->oom)
		r = -ENOMEM;
	if (r == 0 && diag->n + diag->dropped != before)
		r = -EINVAL;
	return r;
}
