/* SPDX-License-Identifier: Apache-2.0 */
/* sockaddr.h - struct address to struct sockaddr and back. */
#ifndef SLUICE_SOCKADDR_H
#define SLUICE_SOCKADDR_H

#include <sys/socket.h>
#include "sluice/address.h"

/* Returns the length to pass with it, 0 for an address without a family. */
socklen_t sockaddr_from(const struct address *a, struct sockaddr_storage *ret);
/* Returns -EAFNOSUPPORT for other families. An IPv4-mapped address becomes an IPv4 address. */
int sockaddr_to(const struct sockaddr_storage *ss, struct address *ret);

#endif
