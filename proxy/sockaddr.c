/* SPDX-License-Identifier: Apache-2.0 */
#include "sockaddr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

socklen_t sockaddr_from(const struct address *a, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){ .ss_family = a->family };
	if (a->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

		in6->sin6_port = htons(a->port);
		in6->sin6_scope_id = a->scope;
		memcpy(&in6->sin6_addr, a->ip, sizeof(in6->sin6_addr));
		return sizeof(*in6);
	}
	return 0;
}

int sockaddr_to(const struct sockaddr_storage *ss, struct address *ret)
{
	struct address a = { .family = ss->ss_family };

	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		a.port = ntohs(in->sin_port);
		memcpy(a.ip, &in->sin_addr, sizeof(in->sin_addr));
	} else if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

		a.port = ntohs(in6->sin6_port);
		a.scope = in6->sin6_scope_id;
		memcpy(a.ip, &in6->sin6_addr, sizeof(in6->sin6_addr));
		address_unmap(&a);
	} else {
		return -EAFNOSUPPORT;
	}
	*ret = a;
	return 0;
}
