// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* sweep.bpf.c - lists the workload's TCP connections that the table in force would not leave alone.
 *
 * Runs over the marks, so it meets every socket that a connect hook has ever vetted or that the
 * workload accepted, in whatever network namespace it is and whoever holds it. It changes nothing:
 * the backstops drop the packets of such a connection already, sweep.c ends it. */
#include "judge.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool is_connection(const struct sock *sk)
{
	unsigned char state = sk->__sk_common.skc_state;

	return sk->sk_protocol == DECIDE_TCP && state != BPF_TCP_CLOSE && state != BPF_TCP_LISTEN &&
	       state != BPF_TCP_TIME_WAIT && state != BPF_TCP_NEW_SYN_RECV;
}

/* Those that we carry are the workers' business, doomed ones end by themselves. */
static __always_inline bool must_end(const struct subject *who, const struct mark *m)
{
	struct endpoint to = m->destination;

	if (!who->enforced && !who->ingress)
		return false;
	if (m->fate == FATE_REVOKED)
		return true;
	if (m->fate != FATE_ALONE || is_marked_within(who, m))
		return false;
	if (!m->generation && to.family && is_within(who, &to))
		return false; /* as stays_within() will find */
	return !is_allowed(who, m, DECIDE_TCP, 0);
}

/* As subject_of(), but the mark stays as it is. */
static __always_inline bool subject_now(struct subject *who, const struct steer_config *c,
					const struct sock *sk, const struct mark *m)
{
	__u64 address = address_of(sk), memo = m->memo;

	if (!subject_at(who, c,
			MEMO_SEEN(memo) == members_now(c) ? MEMO_SLOT(memo)
							  : slot_of_socket(address, memo)))
		return false;
	who->sk = address;
	return true;
}

static __always_inline void copy_words(__u32 to[4], const struct in6_words *from)
{
	to[0] = from->words[0];
	to[1] = from->words[1];
	to[2] = from->words[2];
	to[3] = from->words[3];
}

/* The kernel's own names for the two ends: by these it finds the socket again. */
static __always_inline void name_ends(struct sweep_record *r, const struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;

	r->local.family = r->peer.family = r->destination.family;
	r->local.port = common->skc_num;
	r->peer.port = bpf_ntohs(common->skc_dport);
	if (r->destination.family == WIRE_IPV4) {
		r->local.ip[0] = common->skc_rcv_saddr;
		r->peer.ip[0] = common->skc_daddr;
	} else if (bpf_core_field_exists(common->skc_v6_daddr)) {
		copy_words(r->local.ip, &common->skc_v6_rcv_saddr);
		copy_words(r->peer.ip, &common->skc_v6_daddr);
	}
}

SEC("iter/bpf_sk_storage_map")
int steer_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct steer_config *c = steer_config();
	struct mark *m = ctx->value;
	struct sock *sk = ctx->sk;
	struct sweep_record r;
	struct subject who;

	if (!c || !m || !sk || !is_connection(sk) || !subject_now(&who, c, sk, m) ||
	    !must_end(&who, m))
		return 0;
	__builtin_memset(&r, 0, sizeof(r));
	r.destination = m->destination;
	r.incoming = m->incoming;
	r.workload = who.id;
	name_ends(&r, sk);
	r.cookie = bpf_get_socket_cookie(sk);
	r.device = (__u32)sk->__sk_common.skc_bound_dev_if;
	r.netns = sk->__sk_common.skc_net.net->ns.inum;
	bpf_seq_write((struct seq_file *)ctx->meta->seq, &r, sizeof(r));
	return 0;
}
