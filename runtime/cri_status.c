/* SPDX-License-Identifier: Apache-2.0 */
/* What a runtime tells of a sandbox: some of it as messages, the rest as JSON of its own making,
 * in which containerd and CRI-O call the same things the same. */
#include <arpa/inet.h>
#include <string.h>
#include "cri_private.h"
#include "json_read.h"

#define NETWORK_OF_NODE 2
#define PID_LIMIT	(1 << 22)

static bool read_address(const char *text, struct address *ret)
{
	struct address a = { .family = AF_INET };

	if (inet_pton(AF_INET, text, a.ip) != 1) {
		a.family = AF_INET6;
		if (inet_pton(AF_INET6, text, a.ip) != 1)
			return false;
	}
	address_unmap(&a);
	*ret = a;
	return true;
}

static void add_address(struct cri_status *s, const char *text)
{
	struct address a;

	if (s->n_addresses == CRI_ADDRESSES_MAX || !read_address(text, &a))
		return;
	for (size_t i = 0; i < s->n_addresses; i++)
		if (address_same(&a, &s->addresses[i]))
			return;
	s->addresses[s->n_addresses++] = a;
}

static void read_message(const Cri__PodSandboxStatus *m, struct cri_status *s)
{
	if (m->network) {
		add_address(s, m->network->ip);
		for (size_t i = 0; i < m->network->n_additional_ips; i++)
			add_address(s, m->network->additional_ips[i]->ip);
	}
	s->host_network = m->on_linux && m->on_linux->namespaces &&
			  m->on_linux->namespaces->options &&
			  m->on_linux->namespaces->options->network == NETWORK_OF_NODE;
}

/* Both have one text under this name. */
static bool find_info(size_t n, Cri__Pair *const *info, struct span *ret)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(info[i]->key, "info") == 0)
			return json_check(span_of(info[i]->value), ret);
	return false;
}

static pid_t read_pid(struct span info)
{
	struct span value;
	int64_t pid;

	if (!json_member(info, "pid", &value) || !json_integer(value, &pid))
		return 0;
	return pid > 0 && pid <= PID_LIMIT ? (pid_t)pid : 0;
}

pid_t cri_status_pid(size_t n, Cri__Pair *const *info)
{
	struct span value;

	return find_info(n, info, &value) ? read_pid(value) : 0;
}

static void copy_text(struct span value, char *ret, size_t size)
{
	if (!json_text(value, ret, size))
		memset(ret, 0, size);
}

static void read_netns(struct span linux_spec, struct cri_status *s)
{
	struct span list, item, value;
	char type[16] = "";

	if (!json_member(linux_spec, "namespaces", &list))
		return;
	while (json_next(&list, &item)) {
		if (json_member(item, "type", &value) && json_text(value, type, sizeof(type)) &&
		    strcmp(type, "network") == 0 && json_member(item, "path", &value))
			copy_text(value, s->netns, sizeof(s->netns));
	}
}

/* containerd repeats what the kubelet asked for, CRI-O keeps it in an annotation. */
static void read_parent(struct span info, struct span spec, struct cri_status *s)
{
	struct span value;

	if ((json_member(info, "config", &value) && json_member(value, "linux", &value) &&
	     json_member(value, "cgroup_parent", &value)) ||
	    (json_member(spec, "annotations", &value) &&
	     json_member(value, "io.kubernetes.cri-o.CgroupParent", &value)))
		copy_text(value, s->cgroup_parent, sizeof(s->cgroup_parent));
}

void cri_status_read(const Cri__PodSandboxStatusResponse *m, struct cri_status *s)
{
	struct span info, spec = { NULL, 0 }, part;

	memset(s, 0, sizeof(*s));
	s->known = true;
	if (m->status)
		read_message(m->status, s);
	if (!find_info(m->n_info, m->info, &info))
		return;
	s->pid = read_pid(info);
	if (json_member(info, "runtimeSpec", &spec) && json_member(spec, "linux", &part))
		read_netns(part, s);
	read_parent(info, spec, s);
}
