/* SPDX-License-Identifier: Apache-2.0 */
/* Every change makes a new dump of all tables, and the map gets the difference: notifications alone
 * do not tell everything (a link that goes down takes its IPv4 routes along silently). */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "netns_socket.h"
#include "routes.h"
#include "steer_private.h"

#define DUMP_BUFFER 32768
#define DUMP_TRIES  8
#define ENTRIES_MIN 64
#define ENTRIES_MAX (STEER_ROUTES_MAX - STEER_ROUTES_MAX / 4) /* old and new meet in the map */
/* In their own namespaces workloads may make routes, which must not take everybody's memory. */
#define ENTRIES_MAX_ELSEWHERE (ENTRIES_MAX / 64)
#define CHANGE_GROUPS                                                                \
	(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | \
	 RTMGRP_IPV6_ROUTE)

struct entry {
	struct lpm_key key;
	uint32_t kind; /* enum route_kind; a lower one wins over a higher one of the same prefix */
};

struct entries {
	struct entry *at;
	size_t n, capacity, max;
};

struct routes {
	struct steer *steer;
	uint32_t number;
	int netns; /* descriptor of the namespace; -1: the thread's own */
	int map;   /* the mirror, which is the slot's */
	size_t max;
	bool behind;	      /* of what was told */
	int changes;	      /* netlink socket with the notifications */
	struct entries known; /* what the map holds, sorted by key */
};

/* ---- a list of entries ---- */

static int entries_add(struct entries *list, const struct lpm_key *key, uint32_t kind)
{
	if (list->n >= list->max)
		return -E2BIG;
	if (list->n == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : ENTRIES_MIN;
		struct entry *at = realloc(list->at, capacity * sizeof(*at));

		if (!at)
			return -ENOMEM;
		list->at = at;
		list->capacity = capacity;
	}
	list->at[list->n].key = *key;
	list->at[list->n++].kind = kind;
	return 0;
}

static int compare_keys(const struct entry *a, const struct entry *b)
{
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = compare_keys(x, y);

	return r ? r : (x->kind > y->kind) - (x->kind < y->kind);
}

/* Sort, and keep the lowest kind of each prefix. */
static void entries_settle(struct entries *list)
{
	size_t n = 0;

	if (list->n == 0)
		return;
	qsort(list->at, list->n, sizeof(*list->at), compare_entries);
	for (size_t i = 1; i < list->n; i++)
		if (compare_keys(&list->at[n], &list->at[i]) != 0)
			list->at[++n] = list->at[i];
	list->n = n + 1;
}

/* ---- one route ---- */

/* Tables that are asked for every destination. A rule may never ask the other ones, so their word
 * that something cannot be reached says nothing. */
static bool is_common_table(uint32_t table)
{
	return table == RT_TABLE_LOCAL || table == RT_TABLE_MAIN || table == RT_TABLE_DEFAULT;
}

static uint32_t route_kind(const struct rtmsg *rt, uint32_t table)
{
	switch (rt->rtm_type) {
	case RTN_LOCAL:
		return ROUTE_LOCAL;
	case RTN_UNICAST:
	case RTN_ANYCAST:
		return (rt->rtm_flags & RTNH_F_DEAD) ? ROUTE_NONE : ROUTE_ROUTED;
	case RTN_BROADCAST:
	case RTN_MULTICAST:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
	case RTN_BLACKHOLE:
		return is_common_table(table) ? ROUTE_UNREACHABLE : ROUTE_NONE;
	default:
		return ROUTE_NONE;
	}
}

/* RTA_NEXT() mixes signs. */
static struct rtattr *next_attribute(struct rtattr *a, int *len)
{
	int step = (int)RTA_ALIGN(a->rta_len);

	*len -= step;
	return (struct rtattr *)((char *)a + step);
}

static int add_route(struct entries *list, struct nlmsghdr *h)
{
	struct rtmsg *rt = NLMSG_DATA(h);
	int len = (int)RTM_PAYLOAD(h);
	uint32_t table, kind;
	struct endpoint to;
	struct lpm_key key;

	if (h->nlmsg_type != RTM_NEWROUTE || (rt->rtm_flags & RTM_F_CLONED))
		return 0;
	if (rt->rtm_family != AF_INET && rt->rtm_family != AF_INET6)
		return 0; /* multicast routing */
	memset(&to, 0, sizeof(to));
	to.family = rt->rtm_family == AF_INET ? WIRE_IPV4 : WIRE_IPV6;
	table = rt->rtm_table;
	for (struct rtattr *a = RTM_RTA(rt); RTA_OK(a, len); a = next_attribute(a, &len)) {
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) <= sizeof(to.ip))
			memcpy(to.ip, RTA_DATA(a), RTA_PAYLOAD(a));
		else if (a->rta_type == RTA_TABLE && RTA_PAYLOAD(a) == sizeof(table))
			memcpy(&table, RTA_DATA(a), sizeof(table));
	}
	kind = route_kind(rt, table);
	if (kind == ROUTE_NONE)
		return 0;
	lpm_key_route(&key, &to);
	key.bits = LPM_HEAD_BITS + rt->rtm_dst_len;
	return entries_add(list, &key, kind);
}

/* ---- the dump ---- */

static int netlink_open(int netns, uint32_t groups, int flags)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int type = SOCK_RAW | SOCK_CLOEXEC | flags, fd, r;

	if (netns >= 0)
		fd = netns_socket_at(netns, -1, AF_NETLINK, type, NETLINK_ROUTE);
	else
		fd = socket(AF_NETLINK, type, NETLINK_ROUTE);
	if (fd < 0)
		return netns >= 0 ? fd : -errno;
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int ask(int fd, unsigned char family)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg rt;
	} request = {
		.h = { .nlmsg_len = sizeof(request),
		       .nlmsg_type = RTM_GETROUTE,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.rt = { .rtm_family = family },
	};

	return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* 1: more to come, 0: the end, -EINTR: the tables changed meanwhile, or another negative errno. */
static int read_part(struct entries *list, char *buffer, size_t n)
{
	unsigned len = (unsigned)n;
	int r = 1;

	for (struct nlmsghdr *h = (void *)buffer; r == 1 && NLMSG_OK(h, len);
	     h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR;
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			return e->error ? e->error : -EPROTO;
		}
		if (add_route(list, h) < 0)
			r = list->n >= list->max ? -E2BIG : -ENOMEM;
	}
	return r;
}

static int dump_family(struct entries *list, int netns, unsigned char family)
{
	char *buffer = malloc(DUMP_BUFFER);
	int fd = netlink_open(netns, 0, 0), r = fd;

	if (!buffer)
		r = -ENOMEM;
	if (r >= 0)
		r = ask(fd, family);
	if (r >= 0)
		r = 1;
	while (r == 1) {
		ssize_t n = recv(fd, buffer, DUMP_BUFFER, 0);

		r = n < 0 ? -errno : read_part(list, buffer, (size_t)n);
	}
	if (fd >= 0)
		close(fd);
	free(buffer);
	return r;
}

static int dump(struct entries *list, int netns)
{
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		list->n = 0;
		r = dump_family(list, netns, AF_INET);
		if (r == 0)
			r = dump_family(list, netns, AF_INET6);
	}
	if (r == 0)
		entries_settle(list);
	return r;
}

/* ---- the mirror ---- */

/* New and changed entries first, so that no destination is without a route in between. */
static int mirror(int fd, const struct entries *old, const struct entries *new)
{
	size_t o = 0;
	int r = 0;

	for (size_t n = 0; n < new->n &&r == 0; n++) {
		while (o < old->n && compare_keys(&old->at[o], &new->at[n]) < 0)
			o++;
		if (o < old->n && compare_entries(&old->at[o], &new->at[n]) == 0)
			continue;
		r = bpf_map_update_elem(fd, &new->at[n].key, &new->at[n].kind, BPF_ANY);
	}
	for (size_t n = 0, i = 0; i < old->n && r == 0; i++) {
		while (n < new->n && compare_keys(&new->at[n], &old->at[i]) < 0)
			n++;
		if (n < new->n && compare_keys(&new->at[n], &old->at[i]) == 0)
			continue;
		r = bpf_map_delete_elem(fd, &old->at[i].key);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int reload(struct routes *r)
{
	struct entries fresh = { .max = r->max };
	int ret;

	ret = dump(&fresh, r->netns);
	if (ret < 0) {
		free(fresh.at);
		return ret;
	}
	ret = mirror(r->map, &r->known, &fresh);
	if (ret < 0) {
		/* What the map holds now is between the two: remember both, so that the next
		 * reload removes whatever is wrong. */
		r->known.max = r->known.n + fresh.n;
		for (size_t i = 0; i < fresh.n; i++)
			if (entries_add(&r->known, &fresh.at[i].key, ROUTE_NONE) < 0)
				break;
		entries_settle(&r->known);
		free(fresh.at);
		return ret;
	}
	free(r->known.at);
	r->known = fresh;
	return 0;
}

/* Everything stands in the map before the programs have it. */
static int make_mirror(struct routes *r)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	int ret;

	r->map = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "table_trie", sizeof(struct lpm_key),
				sizeof(uint32_t), (uint32_t)(r->max + r->max / 2), &options);
	if (r->map < 0)
		return -errno;
	ret = reload(r);
	if (ret < 0)
		return ret;
	ret = bpf_map_update_elem(bpf_map__fd(r->steer->skel->maps.routes), &r->number, &r->map,
				  BPF_ANY);
	if (ret == 0)
		r->steer->namespaces[r->number].routes = r->map;
	return ret;
}

static int open_all(struct routes *r, int netns_fd)
{
	if (r->number >= r->steer->n_namespaces || !r->steer->namespaces[r->number].config.cookie ||
	    r->steer->namespaces[r->number].routes >= 0)
		return -EINVAL;
	if (netns_fd >= 0)
		r->netns = r->steer->namespaces[r->number].fd;
	r->max = r->number == 0 ? ENTRIES_MAX : ENTRIES_MAX_ELSEWHERE;
	r->changes = netlink_open(r->netns, CHANGE_GROUPS, SOCK_NONBLOCK);
	return r->changes < 0 ? r->changes : make_mirror(r);
}

int routes_open(struct steer *s, uint32_t number, int netns_fd, struct routes **ret,
		struct error *err)
{
	struct routes *r = calloc(1, sizeof(*r));
	int e;

	if (!r) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	*r = (struct routes){ .steer = s, .number = number, .netns = -1, .map = -1, .changes = -1 };
	e = open_all(r, netns_fd);
	if (e < 0) {
		if (e == -E2BIG)
			error_set(err, "the routing tables have more than %zu entries", r->max);
		else
			error_set(err, "cannot read the routing tables: %s", strerror(-e));
		routes_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

int routes_fd(const struct routes *r)
{
	return r->changes;
}

/* A lost notification (ENOBUFS) is a notification. */
int routes_update(struct routes *r)
{
	char buffer[8192];
	bool changed = false;
	int ret;

	for (;;) {
		ssize_t n = recv(r->changes, buffer, sizeof(buffer), 0);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			return -errno;
		changed = true;
	}
	if (!changed && !r->behind)
		return 0;
	ret = reload(r);
	r->behind = ret < 0; /* nobody may tell again */
	return ret;
}

void routes_close(struct routes *r)
{
	if (!r)
		return;
	if (r->changes >= 0)
		close(r->changes);
	if (r->map >= 0) {
		struct netns_slot *n = &r->steer->namespaces[r->number];

		if (n->routes == r->map)
			n->routes = -1;
		close(r->map); /* the programs have it until the namespace is removed */
	}
	free(r->known.at);
	free(r);
}
