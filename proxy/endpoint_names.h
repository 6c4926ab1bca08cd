/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint_names.h - how whoever has an address is called, for records: of the end that is not the
 * workload's own.
 *
 * Immutable and reference-counted: all threads share one. */
#ifndef SLUICE_ENDPOINT_NAMES_H
#define SLUICE_ENDPOINT_NAMES_H

#include <stddef.h>
#include "workload_info.h"
#include "sluice/address.h"

struct endpoint_names;

/* INFO has these addresses, of which ports and scopes do not count. */
struct named_endpoint {
	struct workload_info *info;
	const struct address *addresses;
	size_t n_addresses;
};

/* Of several with the same address the first counts. References of their infos are taken. 0 or
 * -ENOMEM. */
int endpoint_names_new(const struct named_endpoint *from, size_t n, struct endpoint_names **ret);
struct endpoint_names *endpoint_names_ref(struct endpoint_names *e); /* accepts NULL */
void endpoint_names_unref(struct endpoint_names *e);		     /* the same */

/* NULL: nobody is known to have ADDRESS. E may be NULL. */
const struct workload_info *endpoint_names_find(const struct endpoint_names *e,
						const struct address *address);

#endif
