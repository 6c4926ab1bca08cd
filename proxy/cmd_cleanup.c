/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent_state.h"
#include "cmd.h"
#include "pinned.h"
#include "run_state.h"

static const char help[] =
	"Usage: sluice cleanup\n\n"
	"Remove what a killed `sluice run` or `sluice agent` left: BPF links and maps, and the "
	"run's\n"
	"cgroup; list it, and see that nothing of it is left. The cgroups of workloads stay. As "
	"long\n"
	"as a process of a killed run still lives, its policy stays in force, nothing of it is\n"
	"removed, and the exit status is 1, as it is when something could not be removed. The\n"
	"workloads of a killed agent are free from now on.\n";

/* What was pinned before, so that it can be told what is gone. */
struct found {
	struct found *next;
	char *dir;
	unsigned n;
	bool still;
};

static int note(void *ctx, const struct pinned *p)
{
	struct found **at = ctx, *f = p->alive ? NULL : calloc(1, sizeof(*f));

	if (p->alive)
		return 0;
	if (!f || !(f->dir = strdup(p->dir))) {
		free(f);
		return -ENOMEM;
	}
	f->n = p->n;
	f->next = *at;
	*at = f;
	return 0;
}

static void forget(struct found *f)
{
	for (struct found *next; f; f = next) {
		next = f->next;
		free(f->dir);
		free(f);
	}
}

static int mark(void *ctx, const struct pinned *p)
{
	for (struct found *f = ctx; f; f = f->next)
		f->still |= strcmp(f->dir, p->dir) == 0;
	return 0;
}

/* A file system may be mounted more than once: each of the paths is gone, or none. */
static int tell(struct found *all, bool held)
{
	int r = pinned_each(mark, all), left = 0;

	if (r < 0) {
		fprintf(stderr, "sluice: cannot see whether something is left: %s\n", strerror(-r));
		return 1;
	}
	for (const struct found *f = all; f; f = f->next) {
		left += f->still;
		if (!f->still)
			printf("removed %s with %u links and maps\n", f->dir, f->n);
		else if (!held)
			fprintf(stderr,
				"sluice: %s is still pinned, and no sluice that is known here owns "
				"it: if "
				"none lives in a container either, remove that directory\n",
				f->dir);
	}
	if (all && !left)
		puts("nothing else of a killed sluice is pinned");
	return left > 0;
}

static void say_removed(unsigned n, const char *what)
{
	if (n > 0)
		printf("removed what %u killed %s%s left\n", n, what, n == 1 ? "" : "s");
}

static int clean(struct found *all)
{
	struct cleanup_report report = { 0 };
	struct agent_remains agents = { 0 };
	struct error err = { "" };
	int r = run_state_cleanup(&report, &err), left;

	/* One that cannot be removed does not keep the others. */
	r = agent_state_cleanup(NULL, &agents, &err) < 0 ? -1 : r;
	say_removed(agents.removed, "agent");
	say_removed(report.removed, "run");
	left = tell(all, report.held > 0);
	if (r < 0)
		fprintf(stderr, "sluice: %s\n", err.text);
	if (report.held > 0)
		fprintf(stderr,
			"sluice: processes of %u killed run%s still live and stay refused, "
			"unless with --audit; end those in %s\n",
			report.held, report.held == 1 ? "" : "s", report.held_path);
	return r < 0 || left || report.held > 0;
}

int cmd_cleanup(int argc, char **argv)
{
	struct found *all = NULL;
	int r;

	if (argc > 1) {
		int wanted = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;

		fputs(help, wanted ? stdout : stderr);
		return wanted ? 0 : EXIT_USAGE;
	}
	r = pinned_each(note, &all);
	if (r < 0)
		fprintf(stderr, "sluice: cannot see what is pinned: %s%s\n", strerror(-r),
			r == -EACCES || r == -EPERM ? " (sluice needs root)" : "");
	r = r < 0 ? 1 : clean(all);
	forget(all);
	return r;
}
