// SPDX-License-Identifier: Apache-2.0
#include "model.h"

bool cidr_is_within(const struct cidr *inner, const struct cidr *outer)
{
	unsigned whole = outer->len / 8, rest = outer->len % 8;

	if (inner->family != outer->family || inner->len < outer->len ||
	    memcmp(inner->ip, outer->ip, whole) != 0)
		return false;
	return rest == 0 || ((inner->ip[whole] ^ outer->ip[whole]) >> (8 - rest)) == 0;
}
