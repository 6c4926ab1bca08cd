/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - policy documents as they were meant, checked and without syntax.
 *
 * Made by read_document.c and its helpers from a tree, read by select.c and the compilers, once for
 * each workload. Everything in it lives as long as the set of policies; struct rule_ref and
 * patterns live as long as any policy that was made of it. An empty list and an absent one are told
 * apart by flags, since one means nobody and the other anybody. */
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
	ENTITY_LOCAL = 1,     /* host, cluster: addresses of this host */
	ENTITY_WORLD4 = 2,    /* world, world-ipv4: all others that are IPv4 and no endpoint's */
	ENTITY_WORLD6 = 4,    /* world, world-ipv6 */
	ENTITY_ENDPOINTS = 8, /* cluster: those of endpoints that are not this host's */
};

enum requirement_op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_DOES_NOT_EXIST };

struct requirement {
	struct span source, key; /* SOURCE: "any", "k8s" or "reserved" */
	enum requirement_op op;
	struct span *values;
	size_t n_values;
	unsigned line, column; /* of the key */
};

struct selector {
	struct requirement *all;
	size_t n;
	bool anywhere; /* of peers: in any namespace */
};

/* Whom a rule is about. */
struct peers {
	bool any;	   /* no peer key at all */
	unsigned entities; /* ENTITY_* */
	struct cidr_set *cidrs;
	size_t n_cidrs;
	struct selector *endpoints;
	size_t n_endpoints;
	const char *namespace_;	       /* of ENDPOINTS; "": that of the workload */
	struct endpoint_group *groups; /* whom ENDPOINTS have selected: endpoints.c's */
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

/* A port that is whatever the server calls so. */
struct port_name {
	struct span name;
	unsigned protocols;
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
	struct port_name *names;
	size_t n_names;
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

/* What a spec says of one direction. */
struct section {
	bool present;	    /* egress or egressDeny (ingress or ingressDeny) is there, also as [] */
	bool default_allow; /* enableDefaultDeny: {egress: false} */
	struct rule **rules;
	size_t n_rules;
};

struct spec {
	struct selector selector;
	uint32_t number;   /* in the model */
	bool splits_world; /* a rule of it tells the world from endpoints */
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
	bool cluster_wide;
	struct spec **specs;
	size_t n_specs;
};

struct model {
	struct document **documents;
	size_t n;
	uint32_t n_specs;
};

bool selector_matches(const struct selector *s, const struct label *labels, size_t n);

/* What a port of that name stands for in a rule about PROTOCOLS: PROTO_*, 0 for nothing. */
unsigned port_name_protocols(const struct port_name *name, const struct named_port *port);

/* The label that Kubernetes has for the namespace. */
#define NAMESPACE_LABEL "io.kubernetes.pod.namespace"

/* The namespace that the labels name, or NULL. */
const char *labels_namespace(const struct label *labels, size_t n);

/* Are labels those of something in the namespace NAME? What says nothing of its namespace is in
 * whichever it needs to be; "" is any. */
bool labels_in_namespace(const char *name, const struct label *labels, size_t n);

#endif
