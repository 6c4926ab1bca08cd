/* SPDX-License-Identifier: Apache-2.0 */
#include "reload_say.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "run.h"

char *reload_render(const struct diag *diag)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	diag_print(diag, to);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

void reload_say_failed(struct run *r)
{
	static const char stays[] = "the policy before stays in force";
	struct reload *l = &r->reload;
	char *errors = l->err.text[0] ? strdup(l->err.text) : reload_render(&l->diag);
	struct report_change change = { .error = errors ? errors : "out of memory" };

	if (same(errors, l->last_errors)) {
		free(errors);
		return;
	}
	if (l->err.text[0])
		fprintf(stderr, "sluice: %s; %s\n", l->err.text, stays);
	else
		fprintf(stderr, "%ssluice: the policy has errors; %s\n", errors ? errors : "",
			stays);
	report_reload(&r->reporter, &change);
	free(l->last_errors);
	l->last_errors = errors;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

void reload_say_changed(struct run *r)
{
	struct reload *l = &r->reload;
	struct policy_stats stats;
	struct report_change change;

	policy_stats(r->policy, &stats);
	change = (struct report_change){ .policies = policy_n_selected(r->policy),
					 .rules = stats.rules,
					 .ended = l->ended };
	diag_print(&l->diag, stderr);
	fprintf(stderr, "sluice: policy reloaded: %u %s, %zu HTTP rule%s, %u connection%s ended\n",
		change.policies, change.policies == 1 ? "policy" : "policies", change.rules,
		plural(change.rules), change.ended, plural(change.ended));
	if (change.policies == 0)
		fprintf(stderr, "sluice: no policy selects this command's labels (--label): "
				"nothing is enforced\n");
	report_reload(&r->reporter, &change);
}

void reload_say_unfollowed(struct run *r)
{
	static const char text[] =
		"a change of the policy is not followed, since the command could "
		"have written it; with --follow it would be";
	struct reload *l = &r->reload;

	if (l->said_unguarded)
		return;
	l->said_unguarded = true;
	fprintf(stderr, "sluice: %s\n", text);
	report_reload(&r->reporter, &(struct report_change){ .error = text });
}

void reload_say_blind(int error, unsigned seconds)
{
	fprintf(stderr,
		"sluice: the policy's files cannot all be watched (%s), so they are read every %u "
		"seconds\n",
		error == -ENOSPC   ? "fs.inotify.max_user_watches"
		: error == -EMFILE ? "fs.inotify.max_user_instances"
				   : strerror(-error),
		seconds);
}

void reload_say_helpless(void)
{
	fprintf(stderr, "sluice: this kernel cannot end connections (CONFIG_INET_DIAG_DESTROY): "
			"what the new policy no longer leaves alone hangs instead\n");
}

void reload_say_unlisted(int error)
{
	fprintf(stderr,
		"sluice: cannot list the connections that sluice does not carry: %s; nothing "
		"passes on those that the policy does not leave alone\n",
		strerror(-error));
}
