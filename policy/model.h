/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - policy documents as they were meant, checked and without syntax.
 *
 * Made by document.c and its helpers from a tree, read by select.c and the compilers. Everything
 * in it lives in the loader's memory, until the policy is compiled; struct rule_ref and patterns
 * live as long as the policy. An empty list and an absent one are told apart by flags, since one
 * means nobody and the other anybody. */
#ifndef SLUICE_MODEL_H
#define SLUICE_MODEL_H

#include "pattern.h"
#include "policy.h"
#include "sluice/l4.h"

#define MODEL_PORTS_MAX 40	/* in one toPorts entry: Cilium's limit */
#define MODEL_RULES_MAX 1000000 /* HTTP rules, in all files */

/* An address prefix; IP has 16 bytes, as in struct l4_peer. */
struct cidr {
	uint8_t family; /* 4 or 6 */
	uint8_t len;
	uint8_t ip[16];
};

/* Whether every address of INNER is one of OUTER. */
bool cidr_is_within(const struct cidr *inner, const struct cidr *outer);

struct cidr_set {
	struct cidr cidr;
	struct cidr *except; /* each within CIDR */
	size_t n_except;
};

enum {
	ENTITY_LOCAL = 1,  /* host, cluster: addresses of this host */
	ENTITY_WORLD4 = 2, /* world, world-ipv4: all others that are IPv4 */
	ENTITY_WORLD6 = 4, /* world, world-ipv6 */
};

/* Whom a rule is about. */
struct peers {
	bool any;	   /* no peer key at all */
	unsigned entities; /* ENTITY_* */
	struct cidr_set *cidrs;
	size_t n_cidrs;
};

enum { PROTO_TCP = 1, PROTO_UDP = 2 };

struct text_place {
	const char *file;
	unsigned line, column;
};

struct port_range {
	unsigned protocols; /* PROTO_* */
	unsigned first, last;
};

/* What a rule does when a header is not there or not as it should be. */
enum mismatch { MISMATCH_FAIL, MISMATCH_LOG, MISMATCH_ADD, MISMATCH_REPLACE, MISMATCH_DELETE };

struct header_match {
	struct span name; /* as written */
	bool any_value;	  /* a presence test */
	bool secret;	  /* VALUE is one */
	bool never; /* the secret is missing: the rule matches nothing, whatever MISMATCH says */
	enum mismatch mismatch;
	struct span value;
};

struct http_rule {
	const struct pattern *path, *method, *host; /* NULL: any */
	struct header_match *headers;		    /* all of them */
	size_t n_headers;
	const struct rule_ref *ref;
	/* For lint: in how many rulesets it is, in how many of them another rule allows all that it
	 * allows, and one that does. */
	unsigned uses, shadowed;
	const struct rule_ref *shadow;
};

/* One entry of toPorts. */
struct port_rule {
	struct port_range *ranges;
	size_t n_ranges;
	bool l7; /* only the requests that HTTP allows */
	struct http_rule *http;
	size_t n_http;
	/* For lint. */
	struct text_place place;	 /* of the L7 rules */
	unsigned steered, opened;	 /* ranges in which they count, and in which they do not */
	const struct text_place *opener; /* a rule that opens one of the latter */
};

/* One entry of egress, egressDeny, ingress or ingressDeny. */
struct rule {
	bool deny;
	struct peers peers;
	bool any_port; /* no toPorts at all */
	struct port_rule *ports;
	size_t n_ports;
	struct text_place place;
};

enum requirement_op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_DOES_NOT_EXIST };

struct requirement {
	struct span source, key; /* SOURCE: "any", "k8s" or "reserved" */
	enum requirement_op op;
	struct span *values;
	size_t n_values;
};

struct selector {
	struct requirement *all;
	size_t n;
};

/* What a spec says of one direction. */
struct section {
	bool present;	    /* egress or egressDeny (ingress or ingressDeny) is there, also as [] */
	bool default_allow; /* enableDefaultDeny: {egress: false} */
	struct rule **rules;
	size_t n_rules;
};

struct spec {
	struct selector selector;
	bool selected; /* the workload is one that it is about */
	struct section sections[L4_DIRECTIONS];
};

static inline const char *direction_name(enum l4_direction direction)
{
	return direction == L4_INGRESS ? "ingress" : "egress";
}

/* What the keys of peers begin with. */
static inline const char *direction_peer(enum l4_direction direction)
{
	return direction == L4_INGRESS ? "from" : "to";
}

struct document {
	const char *name, *namespace_; /* live as long as the policy */
	const char *file;
	struct spec **specs;
	size_t n_specs;
};

struct model {
	struct document **documents;
	size_t n;
};

bool selector_matches(const struct selector *s, const struct label *labels, size_t n);

#endif
