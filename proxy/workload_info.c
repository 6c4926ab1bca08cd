/* SPDX-License-Identifier: Apache-2.0 */
#include "workload_info.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "text.h"

static void add_name(struct text *t, const char *field, const char *name)
{
	if (!name)
		return;
	text_add(t, ",\"");
	text_add(t, field);
	text_add(t, "\":\"");
	text_add_json(t, span_of(name));
	text_add(t, "\"");
}

static int render_names(const struct workload_names *names, struct text *t, struct error *err)
{
	char buf[WORKLOAD_NAME_MAX];
	struct text part = TEXT_INIT(buf);

	add_name(&part, "namespace", names->namespace_);
	add_name(&part, "workload", names->name);
	text_add_span(t, (struct span){ buf, part.len });
	if (!part.cut)
		return 0;
	error_set(err, "the names of the workload are longer than %d bytes", WORKLOAD_NAME_MAX);
	return -E2BIG;
}

static int render_labels(const struct workload_names *names, struct text *t, struct error *err)
{
	char buf[WORKLOAD_LABELS_MAX + sizeof(",\"labels\":[]") - 1];
	struct text part = TEXT_INIT(buf);

	for (size_t i = 0; i < names->n_labels; i++) {
		text_add(&part, i ? ",\"" : ",\"labels\":[\"");
		text_add_json(&part, span_of(names->labels[i].key));
		text_add(&part, "=");
		text_add_json(&part, span_of(names->labels[i].value));
		text_add(&part, "\"");
	}
	if (names->n_labels > 0)
		text_add(&part, "]");
	text_add_span(t, (struct span){ buf, part.len });
	if (!part.cut)
		return 0;
	error_set(err, "the labels are longer than %d bytes", WORKLOAD_LABELS_MAX);
	return -E2BIG;
}

static void render_line(const struct workload_names *names, struct text *t)
{
	if (names->namespace_) {
		text_add_escaped(t, span_of(names->namespace_));
		text_add(t, "/");
	}
	if (names->name)
		text_add_escaped(t, span_of(names->name));
	if (t->len > 0)
		text_add(t, ": ");
}

int workload_info_new(const struct workload_names *names, struct workload_info **ret,
		      struct error *err)
{
	char record_buf[WORKLOAD_RECORD_MAX], line_buf[WORKLOAD_LINE_MAX];
	struct text record = TEXT_INIT(record_buf), line = TEXT_INIT(line_buf);
	struct workload_info *info;
	int r = render_names(names, &record, err);

	if (r == 0)
		r = render_labels(names, &record, err);
	if (r < 0)
		return r;
	render_line(names, &line);
	info = calloc(1, sizeof(*info));
	if (info) {
		atomic_init(&info->refs, 1);
		info->record = strndup(record_buf, record.len);
		info->line = strndup(line_buf, line.len);
	}
	if (info && info->record && info->line) {
		*ret = info;
		return 0;
	}
	workload_info_unref(info);
	error_set(err, "out of memory");
	return -ENOMEM;
}

struct workload_info *workload_info_ref(struct workload_info *info)
{
	if (info)
		atomic_fetch_add_explicit(&info->refs, 1, memory_order_relaxed);
	return info;
}

void workload_info_unref(struct workload_info *info)
{
	if (!info || atomic_fetch_sub(&info->refs, 1) > 1)
		return;
	free(info->record);
	free(info->line);
	free(info);
}
