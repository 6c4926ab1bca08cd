/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"
#include <errno.h>
#include "settings.h"
#include "sluice/array.h"

/* What options say cannot be said here: one place to look for it is enough. */
#define OPTION(name)                                      \
	{                                                 \
		name, NULL, 0, "it is an option: --" name \
	}

static void set_limit(struct limits *limits, const struct settings *from, const struct setting *s,
		      struct diag *diag)
{
	struct error err = { 0 };

	if (limits_set(limits, s->key, s->value, &err) < 0)
		diag_add(diag, from->file, s->line, s->column, "%s", err.text);
}

static int read_into(const char *path, struct limits *limits, struct settings *s, struct diag *diag)
{
	struct settings_section sections[] = {
		{ .name = "limits" }, OPTION("policy"),	 OPTION("label"),      OPTION("log"),
		OPTION("secrets"),    OPTION("workers"), OPTION("user"),       OPTION("allow"),
		OPTION("audit"),      OPTION("port"),	 OPTION("no-confine"), OPTION("follow"),
	};
	int r;

	sections[0].keys = limits_names(&sections[0].n_keys);
	r = settings_read(path, sections, ARRAY_SIZE(sections), s, diag);
	for (size_t i = 0; i < s->n; i++)
		set_limit(limits, s, &s->items[i], diag);
	diag_sort(diag, 0);
	if (diag->oom)
		return -ENOMEM;
	return r == 0 && diag->n > 0 ? -EINVAL : r;
}

int config_read(const char *path, struct limits *limits)
{
	struct settings settings = { .n = 0 };
	struct diag diag = { 0 };
	int r = read_into(path, limits, &settings, &diag);

	diag_print(&diag, stderr);
	if (r < 0)
		fprintf(stderr, "sluice: %s has errors; the command was not started\n", path);
	settings_done(&settings);
	diag_done(&diag);
	return r;
}
