/* SPDX-License-Identifier: Apache-2.0 */
#include "leg.h"
#include <errno.h>
#include <unistd.h>
#include "side.h"
#include "sockaddr.h"
#include "steer.h"
#include "upstream.h"

/* The port has to be known before the SYN leaves. SO_REUSEADDR: also one in TIME_WAIT will do, if
 * it was that of another server. */
static int bind_near(int fd, struct flow *flow)
{
	struct address near = flow->destination;
	struct sockaddr_storage ss;
	socklen_t len;
	int on = 1;

	near.port = 0;
	len = sockaddr_from(&near, &ss);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	return upstream_local(fd, &flow->source);
}

static int open_one(struct steer *steer, const struct netns *netns, struct flow *flow)
{
	int fd = upstream_socket(netns, flow), r;

	if (fd < 0)
		return fd;
	r = bind_near(fd, flow);
	if (r == 0)
		r = steer_add_leg(steer, fd, flow);
	if (r == 0)
		r = upstream_dial(fd, flow);
	if (r == 0 || r == -EINPROGRESS)
		return fd;
	close(fd);
	leg_forget(steer, flow);
	flow->source = (struct address){ .family = 0 };
	return r;
}

int leg_connect(struct steer *steer, const struct netns *netns, struct flow *flow)
{
	int fd = -EADDRNOTAVAIL;

	for (int i = 0; i < LEG_TRIES && fd == -EADDRNOTAVAIL; i++)
		fd = open_one(steer, netns, flow);
	return fd;
}

void leg_forget(struct steer *steer, const struct flow *flow)
{
	if (flow->ingress && flow->source.family)
		steer_remove_leg(steer, flow);
}
