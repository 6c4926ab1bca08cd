/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include "agent_parts.h"

typedef unsigned long long ull;

/* What it has at once, with room for some attach points and namespaces; and for each worker its
 * loops and listeners. */
#define LEAST	       256
#define LEAST_A_WORKER 12

/* As many as are kept of HARD, or 0: too few. */
static uint64_t kept_of(const struct agent_config *c, uint64_t hard)
{
	uint64_t least = LEAST + (uint64_t)c->workers * LEAST_A_WORKER, kept = hard / 4;

	if (kept > AGENT_DESCRIPTORS_KEPT)
		kept = AGENT_DESCRIPTORS_KEPT;
	if (kept < least)
		kept = least;
	return hard < kept + 2 * AGENT_CONNECTIONS_LEAST ? 0 : kept;
}

static void say(const struct agent_config *c, uint64_t hard, uint64_t kept, uint64_t most)
{
	const struct limits presets = LIMITS_DEFAULT;

	if (kept < AGENT_DESCRIPTORS_KEPT)
		fprintf(stderr,
			"sluice: with at most %llu descriptors there can be only %llu connections "
			"at a "
			"time, and %llu are left for everything else: raise LimitNOFILE, or "
			"`ulimit "
			"-Hn`, to 65536 or more\n",
			(ull)hard, (ull)most, (ull)kept);
	else if (c->limits.connections != presets.connections) /* somebody has asked for so many */
		fprintf(stderr,
			"sluice: with at most %llu descriptors there can be %llu connections at a "
			"time, "
			"not %llu: raise LimitNOFILE, or `ulimit -Hn`\n",
			(ull)hard, (ull)most, (ull)c->limits.connections);
}

int agent_keep_descriptors(const struct agent_config *c, struct limits *limits, struct error *err)
{
	struct rlimit files;
	uint64_t kept, most;

	*limits = c->limits;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return 0;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	kept = kept_of(c, files.rlim_cur);
	if (!kept) {
		error_set(err,
			  "%llu descriptors are too few for an agent with %u workers: raise "
			  "LimitNOFILE, or `ulimit -Hn`, to 65536 or more",
			  (ull)files.rlim_cur, c->workers);
		return -EMFILE;
	}
	most = (files.rlim_cur - kept) / 2;
	if (limits->connections > most) {
		limits->connections = most;
		say(c, files.rlim_cur, kept, most);
	}
	return 0;
}
