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

int steer_netns_fd_of(const struct steer *s, uint32_t number, int *ret)
{
	(void)s;
	*ret = -1;
	return number == 0 ? 0 : -ENOENT;
}
