/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - everything that the given policies say of one workload, compiled: an immutable
 * snapshot.
 *
 * Built once from text, never changed, so it needs no lock. A reload builds a new one and swaps the
 * pointer; whoever judges holds a reference while it does. Rulesets and rule_refs live as long as
 * their policy. The language and its meaning: docs/policy.md. */
#ifndef SLUICE_POLICY_H
#define SLUICE_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include "diag.h"
#include "sluice/address.h"
#include "sluice/l4.h"
#include "sluice/request.h"
#include "sluice/span.h"
#include "sluice/verdict.h"

struct policy;
struct ruleset;

struct label {
	const char *key, *value;
};

/* A name that may stand for a port in a policy. The same name may stand for several. */
struct named_port {
	const char *name; /* compared without case */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, or 0 for both */
	uint16_t port;
};

/* A policy in memory, which was read from (or is to be called) NAME. */
struct policy_text {
	const char *name, *text;
	size_t len;
};

/* Another workload, as toEndpoints and fromEndpoints select it. The same address may be one of
 * several endpoints': it is selected if any of them is. */
struct policy_endpoint {
	const struct label *labels; /* its namespace is io.kubernetes.pod.namespace */
	size_t n_labels;
	const struct address *addresses; /* ports and scopes do not count */
	size_t n_addresses;
	const struct named_port *ports; /* its own names: see policy_options.own_ports */
	size_t n_ports;
};

struct policy_set;

struct policy_options {
	const char *const
		*paths; /* files, or directories whose *.yaml, *.yml and *.json are read in order */
	size_t n_paths;
	const struct label *labels; /* of the workload */
	size_t n_labels;
	const struct policy_text *texts; /* read after PATHS */
	size_t n_texts;
	const struct named_port *ports;
	size_t n_ports;
	/* A name that is none of PORTS is not refused, but stands for what whoever is meant calls
	 * so: the workload (of ingress), or each endpoint (of egress). */
	bool own_ports;
	/* A directory with the secrets that policies refer to: SECRETS/namespace/name, or
	 * SECRETS/name for one without namespace. NULL: none is known. */
	const char *secrets;
	/* Called with each text as it is read, also with those that turn out to be wrong. */
	void (*on_text)(void *ctx, const struct policy_text *text);
	void *on_text_ctx;
	/* ENDPOINTS are all that there are. Else nothing is known of any, and selectors of them are
	 * refused. */
	bool endpoints_known;
	const struct policy_endpoint *endpoints;
	size_t n_endpoints;
	bool lint; /* also warn of what is legal but surely not meant */
	/* What is in force now, or NULL. Expressions that it has compiled are taken from it. It has
	 * to live until the load returns, and not longer. */
	const struct policy *before;
	const struct policy_set *before_set; /* the same, of policy_set_load() */
};

/* Can this be the name of a port? As IANA has it, and Kubernetes: 1 to 15 letters, digits and
 * single dashes within, among them a letter. Case does not count. */
bool policy_is_port_name(struct span name);

/* Load, select and compile. Every document is checked, also those that do not select the workload.
 * On success store a policy holding one reference in *RET and return 0. On failure leave *RET
 * alone, append at least one item to DIAG, and return -EINVAL (the text is wrong), -ENOMEM, or the
 * errno of a file that cannot be read. */
int policy_load(const struct policy_options *options, struct policy **ret, struct diag *diag);

/* The same for one text in memory, and without further options. */
int policy_load_text(const char *name, const char *text, size_t len, const struct label *labels,
		     size_t n_labels, struct policy **ret, struct diag *diag);

struct policy *policy_ref(struct policy *p);   /* atomic; any thread */
struct policy *policy_unref(struct policy *p); /* accepts NULL, returns NULL */

/* How many documents selected the workload and mention egress or ingress; 0: everything is left
 * alone. */
unsigned policy_n_selected(const struct policy *p);

/* A document that selected the workload; in the order in which they were read. Owned by P. */
struct policy_document {
	const char *name, *namespace_; /* of its metadata; "" without one */
	const char *file;
};
const struct policy_document *policy_documents(const struct policy *p, size_t *n);

/* Do both mean the same, by the same names: what is let through, what is done to requests, and how
 * records and status call the rules? Exact where it says yes; it may say no of two that are written
 * differently. Lines and columns do not count. */
bool policy_same(const struct policy *a, const struct policy *b);

/* Were both made of the same files, texts and secrets, with the same content? Then, and with the
 * same options, they are the same. By 64 bits of hash: for noticing changes, not for holding off
 * whoever writes policies. */
bool policy_same_text(const struct policy *a, const struct policy *b);

/* What it took to make P. */
struct policy_stats {
	size_t rulesets, rules; /* HTTP rules, in each ruleset those that differ */
	size_t patterns;
	size_t automata; /* sets of expressions that libhs holds */
	size_t compiled,
		reused; /* how often libhs was asked, and how often the policy before was */
};
void policy_stats(const struct policy *p, struct policy_stats *ret);

/* For the kernel. Owned by P. */
const struct l4_table *policy_l4_table(const struct policy *p);

/* The same decision in user space. For L4_STEER stores the ruleset of that destination in *RET,
 * owned by P. PROTOCOL is IPPROTO_TCP or IPPROTO_UDP; LOCAL as in l4.h. */
enum l4_action policy_l4(const struct policy *p, const struct address *destination, bool local,
			 uint8_t protocol, const struct ruleset **ret);

/* The same for what comes from CLIENT, whose own port does not count, to PORT of the workload;
 * LOCAL is about the client. */
enum l4_action policy_l4_ingress(const struct policy *p, const struct address *client,
				 uint16_t port, bool local, uint8_t protocol,
				 const struct ruleset **ret);

/* Memory that judging needs, one per thread and good for every ruleset of P. NULL when out of
 * memory. */
struct judge_scratch *judge_scratch_new(const struct policy *p);
/* Make *S, which may be NULL, good for P as well as for what it is good for already. Returns 0, or
 * -ENOMEM: then *S is NULL. */
int judge_scratch_fit(struct judge_scratch **s, const struct policy *p);
void judge_scratch_free(struct judge_scratch *s);

/* Judge REQ: ALLOW only if every reading of its path is allowed by some rule whose other fields
 * match too. Total: DENY when no rule matches or when anything is unclear. Never allocates, never
 * fails; its time does not grow with the number of rules. A denial names no rule yet: see
 * ruleset_explain(). An ALLOW may come with actions, which have to be carried out on the request
 * before it is forwarded. */
struct verdict ruleset_judge(const struct ruleset *rs, const struct request *req,
			     struct judge_scratch *scratch);

/* For the request that was denied last with this scratch: fill in the nearest rule and the field on
 * which it failed. Looks at a bounded number of rules (RULESET_EXPLAIN_MAX), since denials can come
 * as fast as an attacker likes. */
#define RULESET_EXPLAIN_MAX 1000
void ruleset_explain(const struct ruleset *rs, const struct request *req,
		     struct judge_scratch *scratch, struct verdict *verdict);

#endif
