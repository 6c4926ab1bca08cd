/* SPDX-License-Identifier: Apache-2.0 */
#include "sock_destroy.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "netns_socket.h"

static bool is_netns(int at, const char *name, uint32_t number)
{
	struct stat st;

	return fstatat(at, name, &st, 0) == 0 && st.st_ino == number;
}

/* An entry of DIR below which SUFFIX is the namespace, opened; -1: none. */
static int search(const char *dir, const char *suffix, uint32_t number)
{
	DIR *entries = opendir(dir);
	const struct dirent *entry;
	int fd = -1;

	if (!entries)
		return -1;
	while (fd < 0 && (entry = readdir(entries))) {
		char name[NAME_MAX + 32];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s%s", entry->d_name, suffix);
		if (is_netns(dirfd(entries), name, number))
			fd = openat(dirfd(entries), name, O_RDONLY | O_CLOEXEC);
	}
	closedir(entries);
	return fd;
}

/* Threads may be in another one than their process. */
static int search_threads(uint32_t number)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	int fd = -1;

	if (!processes)
		return -1;
	while (fd < 0 && (entry = readdir(processes))) {
		char dir[NAME_MAX + 32];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(dir, sizeof(dir), "/proc/%s/task", entry->d_name);
		fd = search(dir, "/ns/net", number);
	}
	closedir(processes);
	return fd;
}

static int open_netns(uint32_t number)
{
	int fd = search("/proc", "/ns/net", number);

	if (fd < 0)
		fd = search("/run/netns", "", number);
	if (fd < 0)
		fd = search_threads(number);
	return fd;
}

static int open_here(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

int sock_destroy_open(uint32_t netns)
{
	int there, r;

	if (is_netns(AT_FDCWD, "/proc/thread-self/ns/net", netns))
		return open_here();
	there = open_netns(netns);
	if (there < 0)
		return -ENOENT;
	r = sock_destroy_open_at(there);
	close(there);
	return r;
}

int sock_destroy_open_at(int there)
{
	return netns_socket_at(there, -1, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 req;
};

static void fill(struct request *q, const struct sweep_record *r)
{
	bool ipv4 = r->peer.family == WIRE_IPV4;
	size_t len = ipv4 ? 4 : 16;

	memset(q, 0, sizeof(*q));
	q->header.nlmsg_len = sizeof(*q);
	q->header.nlmsg_type = SOCK_DESTROY;
	q->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	q->req.sdiag_family = ipv4 ? AF_INET : AF_INET6;
	q->req.sdiag_protocol = IPPROTO_TCP;
	q->req.idiag_states = UINT32_MAX;
	q->req.id.idiag_sport = htons(r->local.port);
	q->req.id.idiag_dport = htons(r->peer.port);
	q->req.id.idiag_if = r->device;
	memcpy(q->req.id.idiag_src, r->local.ip, len);
	memcpy(q->req.id.idiag_dst, r->peer.ip, len);
	q->req.id.idiag_cookie[0] = (uint32_t)r->cookie;
	q->req.id.idiag_cookie[1] = (uint32_t)(r->cookie >> 32);
}

int sock_destroy(int fd, const struct sweep_record *r)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256]; /* the request, repeated, and an extended message */
	} answer;
	struct request q;
	ssize_t n;

	fill(&q, r);
	if (send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	do
		n = recv(fd, &answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(answer.header) + sizeof(answer.error) ||
	    answer.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}
