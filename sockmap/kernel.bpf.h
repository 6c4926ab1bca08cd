/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* kernel.bpf.h - of the kernel's own structures, what the programs read; the loader finds the true
 * places (CO-RE). */
#ifndef SLUICE_KERNEL_BPF_H
#define SLUICE_KERNEL_BPF_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "decide.h"

#define KERNEL __attribute__((preserve_access_index))

struct kernfs_node {
	__u64 id;
} KERNEL;

#define CSS_ONLINE 2u

struct cgroup_subsys_state {
	unsigned int flags;
	struct cgroup_subsys_state *parent;
} KERNEL;

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
} KERNEL;

struct sock_cgroup_data {
	struct cgroup *cgroup;
} KERNEL;

struct ns_common {
	unsigned int inum;
} KERNEL;

struct net {
	struct ns_common ns;
	__u64 net_cookie;
} KERNEL;

struct in6_words {
	__u32 words[4];
};

struct sock_common {
	__u32 skc_daddr, skc_rcv_saddr;
	__u16 skc_dport, skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	struct {
		struct net *net;
	} skc_net;
	struct in6_words skc_v6_daddr, skc_v6_rcv_saddr;
} KERNEL;

struct sock {
	struct sock_common __sk_common;
	unsigned char sk_userlocks : 4;
	__u16 sk_protocol;
	struct sock_cgroup_data sk_cgrp_data;
} KERNEL;

/* Named first in a structure of the kernel they would be taken for its own. */
struct mark;
struct bpf_map;

struct bpf_iter_meta {
	__bpf_md_ptr(void *, seq);
	__u64 session_id, seq_num;
} KERNEL;

struct bpf_iter__bpf_sk_storage_map {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct bpf_map *, map);
	__bpf_md_ptr(struct sock *, sk);
	__bpf_md_ptr(struct mark *, value);
} KERNEL;

/* The address of a kernel object that a context gives us, as a number: pointers of such types must
 * not be reckoned with, numbers may be read from (and a bad one reads as 0). */
static __always_inline __u64 address_of(const void *object)
{
	const void *copy = object;
	__u64 ret = 0;

	bpf_probe_read_kernel(&ret, sizeof(ret), &copy);
	return ret;
}

static __always_inline __u64 cgroup_of(__u64 sk)
{
	return (__u64)BPF_CORE_READ((const struct sock *)sk, sk_cgrp_data.cgroup);
}

static __always_inline __u64 netns_of(__u64 sk)
{
	return BPF_CORE_READ((const struct sock *)sk, __sk_common.skc_net.net, net_cookie);
}

#define KERNEL_AF_INET6 10

/* The ends of a socket, as the kernel has them. */
static __always_inline struct endpoint end_of(__u64 sk, bool peer)
{
	const struct sock_common *c = (const void *)sk;
	struct in6_words ip = { { 0 } };
	__u16 port = peer ? bpf_ntohs(BPF_CORE_READ(c, skc_dport)) : BPF_CORE_READ(c, skc_num);

	if (BPF_CORE_READ(c, skc_family) != KERNEL_AF_INET6)
		return endpoint_ipv4(
			peer ? BPF_CORE_READ(c, skc_daddr) : BPF_CORE_READ(c, skc_rcv_saddr), port);
	if (bpf_core_field_exists(c->skc_v6_daddr)) {
		if (peer)
			BPF_CORE_READ_INTO(&ip, c, skc_v6_daddr);
		else
			BPF_CORE_READ_INTO(&ip, c, skc_v6_rcv_saddr);
	}
	return endpoint_ipv6(ip.words[0], ip.words[1], ip.words[2], ip.words[3], port);
}

#endif
