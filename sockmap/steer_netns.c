/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces: so far only the host's. */
#include <errno.h>
#include "steer_private.h"

uint64_t steer_netns_cookie(const struct steer *s, uint32_t number)
{
	return number == 0 ? s->netns : 0;
}

int steer_add_netns(struct steer *s, int netns_fd, uint32_t *number, struct error *err)
{
	(void)s;
	(void)netns_fd;
	(void)number;
	error_set(err, "other network namespaces are not supported yet");
	return -EOPNOTSUPP;
}

void steer_remove_netns(struct steer *s, uint32_t number)
{
	(void)s;
	(void)number;
}

int steer_adopt(struct steer *s, uint32_t number, struct error *err)
{
	(void)s;
	(void)number;
	error_set(err, "sockets that are older cannot be adopted yet");
	return -EOPNOTSUPP;
}

int steer_remove_workload(struct steer *s, uint64_t workload)
{
	return workload == s->workload ? -EOPNOTSUPP : -ENOENT;
}

int steer_detach(struct steer *s, int cgroup_fd)
{
	(void)s;
	(void)cgroup_fd;
	return -EOPNOTSUPP;
}

int steer_workload_counters(const struct steer *s, uint64_t workload,
			    uint64_t refused[STEER_EVENT_MAX])
{
	struct steer_counters all;
	int r = workload == s->workload ? steer_counters(s, &all) : -ENOENT;

	for (int kind = 0; r == 0 && kind < STEER_EVENT_MAX; kind++)
		refused[kind] = all.refused[kind];
	return r;
}
