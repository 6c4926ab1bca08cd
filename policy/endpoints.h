/* SPDX-License-Identifier: Apache-2.0 */
/* endpoints.h - the other workloads that are known, and which addresses the selectors of a rule
 * stand for.
 *
 * Lists of addresses are kept, each with a serial number that another content does not have, so
 * that it can be told which policies a change concerns. One thread at a time. */
#ifndef SLUICE_ENDPOINTS_H
#define SLUICE_ENDPOINTS_H

#include "model.h"

/* Single addresses, sorted, each once. */
struct address_list {
	struct cidr *items;
	size_t n;
	uint64_t serial; /* 0: it was never filled */
};

/* Whom the selectors of one rule select in one namespace. */
struct endpoint_group {
	struct endpoint_group *next;	  /* of the same rule */
	struct endpoint_group *next_made; /* of all */
	char *namespace_;
	unsigned round; /* of the endpoints for which LIST holds */
	struct address_list list;
};

struct endpoint;

/* Zero it before first use. */
struct endpoints {
	struct arena mem;
	struct endpoint *items;
	size_t n;
	unsigned round; /* how often they were set */
	uint64_t serials;
	struct address_list known; /* the addresses of all */
	struct endpoint_group *made;
};

/* Other endpoints, which are copied. 0, or -ENOMEM and those before stay. */
int endpoints_set(struct endpoints *e, const struct policy_endpoint *from, size_t n);

/* Those that PEERS select, in *RET, up to the next endpoints_set(). WORKLOAD is the namespace of
 * the workload, "" if it has none: that of a policy that has none itself. 0 or -ENOMEM. */
int endpoints_select(struct endpoints *e, struct peers *peers, const char *workload,
		     const struct address_list **ret);

/* Call FN with each port that has a name, and the addresses of the endpoint whose port it is: of
 * those that PEERS select, or if they mean all endpoints of all. 0, or what FN returned. */
int endpoints_each_port(const struct endpoints *e, const struct peers *peers, const char *workload,
			int (*fn)(void *ctx, const struct named_port *port,
				  const struct cidr *addresses, size_t n),
			void *ctx);

void endpoints_done(struct endpoints *e);

#endif
