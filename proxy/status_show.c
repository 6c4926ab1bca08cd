/* SPDX-License-Identifier: Apache-2.0 */
#include "status_show.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "node.h"
#include "sluice/array.h"
#include "text.h"

#define CELL_MAX      1024 /* of one cell; longer is cut off */
#define DENIALS_SHOWN 10   /* lines of a workload */

enum { COL_NAME, COL_HELD, COL_POLICIES, COL_OPEN, COL_ALLOWED, COL_DENIED, COL_CGROUP, COL_MAX };

static const char *const titles[COL_MAX] = {
	[COL_NAME] = "WORKLOAD", [COL_HELD] = "HELD",	    [COL_POLICIES] = "POLICIES",
	[COL_OPEN] = "OPEN",	 [COL_ALLOWED] = "ALLOWED", [COL_DENIED] = "DENIED",
	[COL_CGROUP] = "CGROUP",
};

struct table {
	char *(*rows)[COL_MAX];
	size_t n;
	size_t width[COL_MAX];
};

/* In the document a byte is a character below 256, which the reader has made UTF-8 of. */
static void add_bytes(struct text *t, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		char byte = s.ptr[i];

		if ((c == 0xc2 || c == 0xc3) && i + 1 < s.len)
			byte = (char)((c << 6 | (s.ptr[++i] & 0x3f)) & 0xff);
		text_add_escaped(t, (struct span){ &byte, 1 });
	}
}

static const struct node *member(const struct node *n, const char *key)
{
	return n && n->kind == NODE_MAP ? node_get(n, key) : NULL;
}

static size_t n_items(const struct node *n)
{
	return n && n->kind == NODE_LIST ? n->n : 0;
}

static bool is_true(const struct node *n)
{
	bool value = false;

	return n && node_is_bool(n, &value) && value;
}

/* A scalar's text. Nothing, if there is none. */
static void add_scalar(struct text *t, const struct node *n)
{
	if (n && n->kind == NODE_SCALAR && !node_is_null(n))
		add_bytes(t, n->text);
}

static void add_member(struct text *t, const struct node *n, const char *key)
{
	add_scalar(t, member(n, key));
}

/* ---- cells ---- */

static void add_name(struct text *t, const struct node *w)
{
	const struct node *space = member(w, "namespace");

	if (space && space->kind == NODE_SCALAR && !node_is_null(space) && space->text.len > 0) {
		add_scalar(t, space);
		text_add(t, "/");
	}
	add_member(t, w, "name");
}

static void add_held(struct text *t, const struct node *w)
{
	bool out = is_true(member(w, "egress")), in = is_true(member(w, "ingress"));

	text_add(t, out && in ? "both" : out ? "egress" : in ? "ingress" : "-");
}

static void add_policies(struct text *t, const struct node *w)
{
	const struct node *list = member(w, "policies");

	for (size_t i = 0; i < n_items(list); i++) {
		text_add(t, i > 0 ? "," : "");
		add_scalar(t, list->items[i]);
	}
	if (n_items(list) == 0)
		text_add(t, "-");
}

static void add_cell(struct text *t, const struct node *w, int column)
{
	static const char *const keys[COL_MAX] = {
		[COL_OPEN] = "connections",
		[COL_ALLOWED] = "requests_allowed",
		[COL_DENIED] = "denied",
		[COL_CGROUP] = "cgroup",
	};

	if (column == COL_NAME)
		add_name(t, w);
	else if (column == COL_HELD)
		add_held(t, w);
	else if (column == COL_POLICIES)
		add_policies(t, w);
	else
		add_member(t, w, keys[column]);
}

/* ---- the table ---- */

static int set_cell(struct table *t, size_t row, int column, const char *text, size_t len)
{
	t->rows[row][column] = strndup(text, len);
	if (len > t->width[column])
		t->width[column] = len;
	return t->rows[row][column] ? 0 : -ENOMEM;
}

static int fill_row(struct table *t, const struct node *w)
{
	char buf[CELL_MAX];
	size_t row = t->n++;
	int r = 0;

	for (int i = 0; i < COL_MAX && r == 0; i++) {
		struct text cell = TEXT_INIT(buf);

		if (w)
			add_cell(&cell, w, i);
		else
			text_add(&cell, titles[i]);
		r = set_cell(t, row, i, cell.buf, cell.len);
	}
	return r;
}

static void table_print(const struct table *t, FILE *to)
{
	for (size_t row = 0; row < t->n; row++)
		for (int i = 0; i < COL_MAX; i++) {
			bool last = i == COL_MAX - 1, number = i >= COL_OPEN && i <= COL_DENIED;
			int width = last ? 0 : (int)t->width[i];

			fprintf(to, number ? "%*s%s" : "%-*s%s", width, t->rows[row][i],
				last ? "\n" : "  ");
		}
}

static void table_done(struct table *t)
{
	for (size_t row = 0; row < t->n; row++)
		for (int i = 0; i < COL_MAX; i++)
			free(t->rows[row][i]);
	free(t->rows);
}

static int show_workloads(const struct node *list, FILE *to)
{
	struct table t = { .rows = calloc(n_items(list) + 1, sizeof(*t.rows)) };
	int r;

	if (!t.rows)
		return -ENOMEM;
	r = fill_row(&t, NULL);
	for (size_t i = 0; i < n_items(list) && r == 0; i++)
		r = fill_row(&t, list->items[i]);
	if (r == 0)
		table_print(&t, to);
	table_done(&t);
	return r;
}

/* ---- lines ---- */

/* PIECES are texts, and keys of N with a dot before them; without the first key no line. */
static void show_line(FILE *to, const struct node *n, const char *const *pieces)
{
	char buf[4 * CELL_MAX];
	struct text line = TEXT_INIT(buf);
	bool anything = false;

	for (; *pieces; pieces++) {
		const struct node *value = **pieces == '.' ? member(n, *pieces + 1) : NULL;

		if (**pieces != '.')
			text_add(&line, *pieces);
		else if (!anything && (!value || node_is_null(value)))
			return;
		anything |= value != NULL;
		add_scalar(&line, value);
	}
	fprintf(to, "%.*s\n", (int)line.len, line.buf);
}

static void show_head(const struct node *doc, FILE *to)
{
	static const char *const who[] = { "sluice ",  ".version", ", process ", ".pid",
					   ", since ", ".started", NULL };
	static const char *const revision[] = { "policies: revision ", ".number", " of ", ".loaded",
						", digest ",	       ".digest", NULL };
	static const char *const error[] = { "last change not taken: ", ".error", NULL };
	const struct node *r = member(doc, "revision");

	show_line(to, doc, who);
	if (is_true(member(doc, "audit")))
		fputs("audit: nothing is refused\n", to);
	show_line(to, r, revision);
	show_line(to, r, error);
}

static void show_pods(const struct node *doc, FILE *to)
{
	static const char *const runtime[] = { "pods: by ", ".runtime", " at ", ".socket", NULL };
	static const char *const trouble[] = { "pods: ", ".trouble", NULL };
	static const char *const counts[] = { "pods: known ", ".known", ", unknown cgroups ",
					      ".unknown", NULL };
	static const char *const held[] = { "pods: held before their first process: ",
					    ".before_first_process",
					    " of ",
					    ".pods",
					    ", others after ",
					    ".max_ms",
					    " ms at most",
					    NULL };
	static const char *const known[] = { "pods: by their own policies after ",
					     ".mean_ms",
					     " ms, ",
					     ".max_ms",
					     " ms at most",
					     NULL };
	const struct node *pods = member(doc, "pods");

	if (!pods || node_is_null(pods))
		return;
	show_line(to, pods, runtime);
	show_line(to, pods, trouble);
	show_line(to, pods, counts);
	show_line(to, member(pods, "held"), held);
	show_line(to, member(pods, "by_own_policy"), known);
}

static void show_each(const struct node *list, FILE *to, const char *const *pieces)
{
	for (size_t i = 0; i < n_items(list); i++)
		show_line(to, list->items[i], pieces);
}

/* What is not zero. */
static void show_counters(const char *title, const struct node *map, FILE *to)
{
	for (size_t i = 0; map && map->kind == NODE_MAP && i < map->n; i += 2) {
		char buf[CELL_MAX];
		struct text line = TEXT_INIT(buf);
		const struct node *value = map->items[i + 1];

		if (value->kind != NODE_SCALAR || span_eq(value->text, SPAN_LITERAL("0")))
			continue;
		add_scalar(&line, map->items[i]);
		text_add(&line, " ");
		add_scalar(&line, value);
		fprintf(to, "%s: %.*s\n", title, (int)line.len, line.buf);
	}
}

static void show_denials(const struct node *w, FILE *to)
{
	const struct node *list = member(w, "denials");

	for (size_t i = 0; i < n_items(list); i++) {
		char buf[2 * CELL_MAX];
		struct text line = TEXT_INIT(buf);

		if (i == DENIALS_SHOWN) {
			fprintf(to, "denied: and by %zu other rules (--json has them all)\n",
				list->n - i);
			return;
		}
		add_name(&line, w);
		text_add(&line, ": ");
		add_member(&line, list->items[i], "count");
		text_add(&line, "\xc3\x97, nearest: ");
		add_member(&line, list->items[i], "rule");
		text_add(&line, " of policy \"");
		add_member(&line, list->items[i], "policy");
		fprintf(to, "denied: %.*s\"\n", (int)line.len, line.buf);
	}
}

static int show(const struct node *doc, FILE *to)
{
	static const char *const hook[] = { "attached: ", ".cgroup", NULL };
	static const char *const behind[] = { "not in force yet: ", ".name", ": ", ".problem",
					      NULL };
	static const char *const wrong[] = { "problem: ", ".name", ": ", ".problem", NULL };
	const struct node *list = member(doc, "workloads");
	int r;

	show_head(doc, to);
	show_pods(doc, to);
	show_each(member(doc, "hooks"), to, hook);
	fputs("\n", to);
	r = show_workloads(list, to);
	if (r < 0)
		return r;
	fputs("\n", to);
	for (size_t i = 0; i < n_items(list); i++) {
		const struct node *problem = member(list->items[i], "problem");

		if (problem && !node_is_null(problem))
			show_line(to, list->items[i],
				  is_true(member(list->items[i], "enforced")) ? wrong : behind);
		show_denials(list->items[i], to);
	}
	show_counters("kernel", member(doc, "refused"), to);
	show_counters("counter", member(doc, "counters"), to);
	return 0;
}

int status_show(const char *text, size_t len, FILE *to)
{
	struct arena mem = { 0 };
	struct diag diag = { 0 };
	struct node_list docs = { 0 };
	int r = yaml_read(&mem, "status", text, len, &docs, &diag);

	if (r == 0 && (docs.n != 1 || docs.items[0]->kind != NODE_MAP))
		r = -EINVAL;
	if (r == 0)
		r = show(docs.items[0], to);
	if (r == 0 && (fflush(to) != 0 || ferror(to)))
		r = -EIO;
	diag_done(&diag);
	arena_done(&mem);
	return r;
}
