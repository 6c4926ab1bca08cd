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
	if (!c->active || decide_socket(ctx->type, protocol) || (!who.enforced && !who.ingress))
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
