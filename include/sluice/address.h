/* SPDX-License-Identifier: Apache-2.0 */
/* address.h - an IP address and a port, of either family, as a value without pointers.
 *
 * IPv4-mapped IPv6 addresses (::ffff:a.b.c.d) are IPv4 on the wire and are always kept as AF_INET
 * here; what the application called them is kept beside the address where it matters. */
#ifndef SLUICE_ADDRESS_H
#define SLUICE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct address {
	uint16_t family; /* AF_INET, AF_INET6, or 0: none */
	uint16_t port;	 /* host byte order */
	uint32_t scope;	 /* IPv6 scope id (interface index) of a link-local address, else 0 */
	uint8_t ip[16];	 /* network byte order; AF_INET uses the first 4 bytes, the rest is 0 */
};

/* 127.0.0.0/8 or ::1. */
static inline bool address_is_loopback(const struct address *a)
{
	static const uint8_t six[sizeof(a->ip)] = { [15] = 1 };

	return a->family == AF_INET ? a->ip[0] == 127
				    : a->family == AF_INET6 && memcmp(a->ip, six, sizeof(six)) == 0;
}

static inline bool address_same(const struct address *a, const struct address *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* Of an IPv6 address: is it ::ffff:a.b.c.d? */
static inline bool address_ip_is_mapped(const uint8_t ip[static 16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

/* Make A what it is on the wire, however it was written. */
static inline void address_unmap(struct address *a)
{
	if (a->family != AF_INET6 || !address_ip_is_mapped(a->ip))
		return;
	a->family = AF_INET;
	a->scope = 0;
	memcpy(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
}

/* Long enough for "[ffff:...:ffff%4294967295]:65535" with its NUL. */
#define ADDRESS_TEXT_MAX 72

#endif
