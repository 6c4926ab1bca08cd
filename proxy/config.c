/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"
#include <errno.h>
#include "agent_config.h"
#include "settings.h"
#include "sluice/array.h"

/* What options say cannot be said here: one place to look for it is enough. */
#define OPTION(option)                                                \
	{                                                             \
		.name = (option), .why = "it is an option: --" option \
	}

static void set_limit(struct limits *limits, const struct settings *from, const struct setting *s,
		      struct diag *diag)
{
	struct error err = { 0 };

	if (limits_set(limits, s->key, s->value, &err) < 0)
		diag_add(diag, from->file, s->line, s->column, "%s", err.text);
}

static void read_peers(struct reader *r, const struct node *value, void *ctx)
{
	struct config_peers *peers = ctx;

	peers->known = true;
	agent_settings_read_peers(r, value, &peers->settings);
}

static int read_into(const char *path, struct limits *limits, struct config_peers *peers,
		     struct diag *diag)
{
	struct settings_section sections[] = {
		{ .name = "limits" }, { .name = "peers", .read = read_peers, .ctx = peers },
		OPTION("policy"),     OPTION("label"),
		OPTION("log"),	      OPTION("secrets"),
		OPTION("workers"),    OPTION("user"),
		OPTION("allow"),      OPTION("audit"),
		OPTION("port"),	      OPTION("no-confine"),
		OPTION("follow"),
	};
	struct settings *s = &peers->text;
	int r;

	sections[0].keys = limits_names(&sections[0].n_keys);
	r = settings_read(path, sections, ARRAY_SIZE(sections), s, diag);
	for (size_t i = 0; i < s->n; i++)
		set_limit(limits, s, &s->items[i], diag);
	if (s->file)
		agent_config_peers(&peers->settings, s->file, &peers->items, &peers->n, diag);
	diag_sort(diag, 0);
	if (diag->oom)
		return -ENOMEM;
	return r == 0 && diag->n > 0 ? -EINVAL : r;
}

int config_read(const char *path, struct limits *limits, struct config_peers *peers)
{
	struct diag diag = { 0 };
	int r = read_into(path, limits, peers, &diag);

	diag_print(&diag, stderr);
	if (r < 0)
		fprintf(stderr, "sluice: %s has errors; nothing was started\n", path);
	diag_done(&diag);
	return r;
}

void config_peers_done(struct config_peers *peers)
{
	agent_settings_done(&peers->settings);
	settings_done(&peers->text);
	peers->items = NULL;
	peers->n = 0;
}
