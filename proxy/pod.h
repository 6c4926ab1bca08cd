/* SPDX-License-Identifier: Apache-2.0 */
/* pod.h - a pod, as policies and records need it, made of what the container runtime tells; and the
 * pods of the node at one moment.
 *
 * Both immutable and reference-counted, for any thread. Labels are as Cilium has them: those of the
 * pod with "k8s:" before them, and its namespace as io.kubernetes.pod.namespace. What only the
 * cluster may say of a pod (io.kubernetes.pod.*, io.cilium.k8s.*) is not taken from its labels. */
#ifndef SLUICE_POD_H
#define SLUICE_POD_H

#include <stdatomic.h>
#include <stdbool.h>
#include "arena.h"
#include "cri.h"
#include "pod_cgroup.h"
#include "policy.h"

struct pod {
	atomic_uint refs;
	struct arena mem; /* of all that is pointed to */
	const char *id;	  /* of the sandbox */
	const char *name, *namespace_, *uid;
	uint32_t attempt;
	bool ready, host_network;
	pid_t pid; /* a process of it; 0: none is known */
	struct label *labels;
	size_t n_labels;
	struct address *addresses;
	size_t n_addresses;
	struct named_port *ports; /* of its containers */
	size_t n_ports;
	const char **cgroups; /* patterns (cgroup_pattern.h): its own, or each container's */
	size_t n_cgroups;
	enum pod_cgroup_how how;
	const char *problem; /* why it has no cgroups, or whom they may not be all of; or NULL */
};

/* Of what was told, and with the cgroups that OLD, which may be NULL, had, where nothing is told of
 * them any more. Returns 0 or -ENOMEM. */
int pod_new(const struct cri_pod *from, const struct pod *old, struct pod **ret);
struct pod *pod_ref(struct pod *p);
void pod_unref(struct pod *p); /* accepts NULL */
/* Are both the same to whoever holds it? */
bool pod_same(const struct pod *a, const struct pod *b);

/* The pods of the node: each uid once, sorted by namespace and name. */
struct pod_list {
	atomic_uint refs;
	struct pod **items;
	size_t n;
};

/* Of N pods, of which it takes references; of several sandboxes of one pod the latest counts. 0 or
 * -ENOMEM. */
int pod_list_new(struct pod *const *items, size_t n, struct pod_list **ret);
struct pod_list *pod_list_ref(struct pod_list *l); /* accepts NULL */
void pod_list_unref(struct pod_list *l);	   /* accepts NULL */

/* Has it a cgroup of the path PATH? */
bool pod_has_cgroup(const struct pod *p, const char *path);

#endif
