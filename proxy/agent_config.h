/* SPDX-License-Identifier: Apache-2.0 */
/* agent_config.h - the file that `sluice agent --config` names, and what it means: an immutable
 * snapshot, reference-counted, that any thread may make and read.
 *
 * Paths in it that are not absolute are meant from the directory in which the file is. */
#ifndef SLUICE_AGENT_CONFIG_H
#define SLUICE_AGENT_CONFIG_H

#include <stdatomic.h>
#include "agent_settings.h"
#include "limit.h"
#include "policy.h"

#define AGENT_STATE_DIR	      "/run/sluice/agent"
#define AGENT_RUNTIME	      "/run/containerd/containerd.sock"
#define AGENT_NAMESPACE_LABEL "k8s:io.kubernetes.pod.namespace"

struct pod;

enum agent_entry_kind {
	AGENT_CONFIGURED,  /* one of `workloads`: all cgroups that PATTERN stands for */
	AGENT_POD,	   /* what POD says are its cgroups */
	AGENT_UNKNOWN_POD, /* what `pods: cgroups` stands for, and no pod has */
};

/* Who can become a workload. */
struct agent_entry {
	enum agent_entry_kind kind;
	const char *name, *namespace_; /* NAMESPACE_ "": none */
	const char *pattern;	       /* cgroup_pattern.h */
	const struct pod *pod;
	const char *problem;  /* of a pod: why it is not held as its labels want; or NULL */
	struct label *labels; /* with that of the namespace */
	size_t n_labels;
	bool hold_loopback, hold_host;
	unsigned line, column; /* of its name */
};

/* `pods`: those of a container runtime. */
struct agent_pods_config {
	bool wanted;
	const char *runtime;  /* the socket */
	const char **cgroups; /* patterns of what is a pod's, also before the runtime tells */
	size_t n_cgroups;
	bool hold; /* what is not known yet is refused everything */
	bool hold_loopback, hold_host;
};

struct agent_config {
	_Atomic(unsigned) refs;
	struct agent_settings settings; /* its arena holds all that is pointed to */
	const char *file;
	struct agent_entry *entries; /* in the order of the file */
	size_t n_entries;
	struct policy_endpoint *peers; /* with their namespaces as labels */
	size_t n_peers;
	struct agent_pods_config pods;
	const char **policies;
	size_t n_policies;
	struct named_port *ports;
	size_t n_ports;
	const char *secrets, *log; /* NULL: none; LOG may be "-" */
	const char *state_dir;
	unsigned workers;
	struct limits limits;
	bool audit;
};

/* Read PATH. On success store a configuration holding one reference in *RET and return 0; on
 * failure append to DIAG, in the order of their places, and return a negative errno. */
int agent_config_read(const char *path, struct agent_config **ret, struct diag *diag);
struct agent_config *agent_config_ref(struct agent_config *c);
struct agent_config *agent_config_unref(struct agent_config *c); /* accepts NULL, returns NULL */

/* The peers of S, read from FILE, as endpoints that live as long as S and what it was read into.
 * Returns 0, -EINVAL with errors in DIAG, or -ENOMEM. */
int agent_config_peers(struct agent_settings *s, const char *file, struct policy_endpoint **ret,
		       size_t *n, struct diag *diag);

/* Do both ask the same container runtime for pods, or none? */
bool agent_config_same_runtime(const struct agent_config *a, const struct agent_config *b);
/* What of B, read later than A, cannot take effect while the agent runs: the name of the first
 * such setting, or NULL. */
const char *agent_config_fixed(const struct agent_config *a, const struct agent_config *b);

#endif
