// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* flows.bpf.c - sock_ops: files the record of a steered connection once its source port is known,
 * and takes it away when the socket closes, so that a re-used port inherits nothing. */
#include "judge.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A mapped socket has its IPv6 addresses set only after this point: the IPv4 one is true. */
static __always_inline void flow_key_complete(struct mark *m, struct bpf_sock_ops *ctx)
{
	if (m->key.family == WIRE_IPV4) {
		m->key.ip[0] = ctx->local_ip4;
	} else {
		m->key.ip[0] = ctx->local_ip6[0];
		m->key.ip[1] = ctx->local_ip6[1];
		m->key.ip[2] = ctx->local_ip6[2];
		m->key.ip[3] = ctx->local_ip6[3];
	}
	m->key.port = (__u16)ctx->local_port;
}

/* The listener finds no record and refuses: not that of an earlier socket either, which it would
 * take where this one is missing. */
static __always_inline void file_nothing(const struct flow_key *key)
{
	bpf_map_delete_elem(&flows, key);
	bpf_map_delete_elem(&flows_closed, key);
}

/* It was steered in the name of whom the mark notes, perhaps long ago: the SYN of Fast Open waits
 * for the first byte. Nobody else answers for it. */
static __always_inline bool still_same(struct subject *who, const struct steer_config *c,
				       const struct bpf_sock *sk, struct mark *m)
{
	__u32 before = MEMO_SLOT(m->memo);

	return subject_of(who, c, sk, m) && who->id && who->slot == before;
}

static __always_inline void flow_file(struct bpf_sock_ops *ctx, struct bpf_sock *sk, struct mark *m)
{
	const struct steer_config *c = steer_config();
	struct flow_record record;
	struct endpoint nowhere;
	struct subject who;
	struct flow_key key;

	flow_key_complete(m, ctx);
	key = m->key;
	if (!c || !still_same(&who, c, sk, m)) {
		file_nothing(&key);
		return;
	}
	__builtin_memset(&record, 0, sizeof(record));
	__builtin_memset(&nowhere, 0, sizeof(nowhere));
	record.destination = m->destination;
	record.source = m->source;
	record.device = m->device;
	record.workload = who.id;
	if (standing_of(&who, &m->destination).host)
		record.flags = FLOW_LOCAL;
	if (bpf_map_update_elem(&flows, &key, &record, BPF_ANY)) {
		struct event_record *e =
			event_begin(&who, STEER_NO_ROOM, &record.destination, DECIDE_TCP);

		if (e)
			bpf_ringbuf_submit(e, 0);
		file_nothing(&key);
		return;
	}
	m->filed = FILED_FLOW;
	/* From loopback to loopback the name is true already. */
	if (!m->source.family && !endpoint_is_loopback(&m->destination)) {
		m->filed |= FILED_LOCAL;
		bpf_map_update_elem(&locals, &key, &nowhere, BPF_ANY);
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* A client that closed in good order may still have its bytes in the accept queue: the record
 * outlives it for the moment in which TIME_WAIT keeps its port from being used again. */
static __always_inline void flow_end(struct mark *m, __u32 old_state)
{
	struct flow_record *record;
	struct flow_key key = m->key;

	if (m->filed & FILED_LOCAL)
		bpf_map_delete_elem(&locals, &key);
	m->filed = 0;
	record = bpf_map_lookup_elem(&flows, &key);
	if (!record)
		return;
	if (old_state == BPF_TCP_FIN_WAIT2 || old_state == BPF_TCP_CLOSING) {
		struct flow_record closed = *record;

		closed.closed = bpf_ktime_get_ns();
		bpf_map_update_elem(&flows_closed, &key, &closed, BPF_ANY);
	}
	bpf_map_delete_elem(&flows, &key);
}

/* The RST is there at once, or will never be since the backstop holds the SYN back. The kernel
 * tries as often as ever, so connect() fails after a second or two, and not after two minutes. */
static __always_inline __u32 doomed_rto(void)
{
	const struct steer_config *c = steer_config();

	return c && c->doomed_rto ? c->doomed_rto : (__u32)-1; /* -1: as it is */
}

SEC("sockops")
int steer_sock_ops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;
	struct mark *m;

	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ctx->op != BPF_SOCK_OPS_STATE_CB &&
	    ctx->op != BPF_SOCK_OPS_TIMEOUT_INIT)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] != BPF_TCP_CLOSE)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	m = bpf_sk_storage_get(&marks, sk, NULL, 0);
	if (!m || m->incoming) /* passive.bpf.c */
		return 1;
	if (ctx->op == BPF_SOCK_OPS_TIMEOUT_INIT && m->fate == FATE_DOOMED)
		ctx->reply = doomed_rto();
	else if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB && m->fate == FATE_STEERED)
		flow_file(ctx, sk, m);
	else if (ctx->op == BPF_SOCK_OPS_STATE_CB && m->filed)
		flow_end(m, ctx->args[0]);
	return 1;
}
