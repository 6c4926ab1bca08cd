/* SPDX-License-Identifier: Apache-2.0 */
#include "netns_socket.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int make_there(int there, int here, int family, int type, int protocol)
{
	int fd;

	if (setns(there, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(family, type, protocol);
	if (fd < 0)
		fd = -errno;
	if (setns(here, CLONE_NEWNET) < 0)
		abort();
	return fd;
}

int netns_socket_at(int there, int here, int family, int type, int protocol)
{
	int own, fd;

	if (here >= 0)
		return make_there(there, here, family, type, protocol);
	own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return -errno;
	fd = make_there(there, own, family, type, protocol);
	close(own);
	return fd;
}
