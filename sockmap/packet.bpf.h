/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* packet.bpf.h - what the backstops read of an IP packet: its ends and its transport. */
#ifndef SLUICE_PACKET_BPF_H
#define SLUICE_PACKET_BPF_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include "judge.bpf.h"

#define TCP_HEADER	 20
#define TCP_FLAGS_OFFSET 13
#define TCP_FLAG_BIT_SYN 0x02
#define TCP_FLAG_BIT_RST 0x04
#define TCP_FLAG_BIT_ACK 0x10
#define IP_FRAGMENT_BITS 0x3fff /* "more fragments" and the offset */
#define EXTENSIONS_MAX	 4

struct packet {
	struct endpoint from, to; /* without ports */
	__u32 protocol;
	__u32 offset; /* of the transport header */
	bool options; /* IPv4: it has some */
};

static __always_inline bool parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return false;
	p->from = endpoint_ipv4(ip.saddr, 0);
	p->to = endpoint_ipv4(ip.daddr, 0);
	p->protocol = ip.protocol;
	p->offset = (__u32)ip.ihl * 4;
	p->options = ip.ihl != 5;
	return ip.version == 4 && ip.ihl >= 5 && !(ip.frag_off & bpf_htons(IP_FRAGMENT_BITS));
}

/* A routing header can name another destination, a fragment hides the ports: neither passes. */
static __always_inline bool parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip;
	__u8 extension[2];
	__u8 next;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	p->from = (struct endpoint){ .family = WIRE_IPV6 };
	p->to = p->from;
	__builtin_memcpy(p->from.ip, &ip.saddr, sizeof(p->from.ip));
	__builtin_memcpy(p->to.ip, &ip.daddr, sizeof(p->to.ip));
	p->offset = sizeof(ip);
	next = ip.nexthdr;
#pragma unroll
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS)
			break;
		if (bpf_skb_load_bytes(skb, p->offset, extension, sizeof(extension)))
			return false;
		next = extension[0];
		p->offset += (extension[1] + 1u) * 8;
	}
	p->protocol = next;
	return true;
}

static __always_inline bool parse_packet(struct __sk_buff *skb, struct packet *p)
{
	return skb->protocol == bpf_htons(ETH_P_IPV6) ? parse_ipv6(skb, p) : parse_ipv4(skb, p);
}

/* Fill in the ports of TCP or UDP. */
static __always_inline bool parse_ports(struct __sk_buff *skb, struct packet *p)
{
	__u16 ports[2];

	if (bpf_skb_load_bytes(skb, p->offset, ports, sizeof(ports)))
		return false;
	p->from.port = bpf_ntohs(ports[0]);
	p->to.port = bpf_ntohs(ports[1]);
	return true;
}

/* Header length and flags of TCP, in host byte order. */
static __always_inline bool parse_tcp_word(struct __sk_buff *skb, const struct packet *p,
					   __u16 *ret)
{
	__u16 word;

	if (bpf_skb_load_bytes(skb, p->offset + TCP_FLAGS_OFFSET - 1, &word, sizeof(word)))
		return false;
	*ret = bpf_ntohs(word);
	return true;
}

static __always_inline bool is_first_syn(__u16 word)
{
	return (word & (TCP_FLAG_BIT_SYN | TCP_FLAG_BIT_ACK)) == TCP_FLAG_BIT_SYN;
}

#endif
