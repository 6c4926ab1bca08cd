// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* socket.bpf.c - socket(): a workload gets TCP and UDP, since nothing else can be held. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "subject.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PROTOCOL_MPTCP 262

/* Of the running kernel, not of the build's headers. */
enum bpf_func_id___sluice {
	BPF_FUNC_set_retval___sluice = 187,
};

#define TELL_AGAIN_NS 1000000000ull

/* User space wants to know of the network namespace before the socket connects. It may have been
 * too slow for whoever told of it first, so others tell again. */
static __always_inline void tell_of_netns(struct bpf_sock *ctx, const struct subject *who)
{
	__u64 cookie, now, *last;
	struct event_record *e;

	if (one_netns || who->slot < SLOT_FIRST)
		return;
	cookie = bpf_get_netns_cookie(ctx);
	if (cookie == who->config->host || bpf_map_lookup_elem(&namespaces, &cookie))
		return;
	now = bpf_ktime_get_ns();
	last = bpf_map_lookup_elem(&unknown_netns, &cookie);
	if (last && now - *last < TELL_AGAIN_NS)
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return; /* the next one tells */
	bpf_map_update_elem(&unknown_netns, &cookie, &now, BPF_ANY);
	__builtin_memset(e, 0, sizeof(*e));
	e->workload = who->id;
	e->netns = cookie;
	e->kind = STEER_NETNS_UNKNOWN;
	/* The thread: it alone may be there. */
	e->pid = (__u32)bpf_get_current_pid_tgid();
	bpf_get_current_comm(e->command, sizeof(e->command));
	bpf_ringbuf_submit(e, 0);
}

SEC("cgroup/sock_create")
int steer_socket(struct bpf_sock *ctx)
{
	const struct steer_config *c = steer_config();
	__u32 protocol = ctx->protocol;
	struct subject who;
	struct mark *m;

	if (!c)
		return 0;
	/* Whose it is is noted while its cgroup lives (slot_of_socket()). */
	m = mark_of(ctx);
	if (!subject_of(&who, c, ctx, m))
		return 0;
	if (!c->active)
		return 1;
	tell_of_netns(ctx, &who);
	if (decide_socket(ctx->type, protocol) || (!who.enforced && !who.ingress))
		return 1;
	if (refuse(&who, STEER_SOCKET_REFUSED, NULL, protocol)) {
		if (m) /* audit: its packets pass the backstop without another report */
			m->audited = 1;
		return 1;
	}
	/* "No such protocol" lets runtimes that prefer MPTCP fall back to TCP. */
	if (protocol == PROTOCOL_MPTCP &&
	    bpf_core_enum_value_exists(enum bpf_func_id___sluice, BPF_FUNC_set_retval___sluice))
		bpf_set_retval(-EPROTONOSUPPORT);
	return 0;
}
