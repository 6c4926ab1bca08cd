/* SPDX-License-Identifier: Apache-2.0 */
/* pod_cgroup.h - which cgroup is a pod's, told from names alone.
 *
 * A kubelet gives every pod a cgroup named after its uid and puts the sandbox and the containers
 * below it, one cgroup each:
 *	/kubepods/burstable/pod<uid>/<id>				the cgroupfs driver
 *	/kubepods.slice/kubepods-burstable.slice/
 *	   kubepods-burstable-pod<uid, with _ for ->.slice/
 *	   cri-containerd-<id>.scope, or crio-<id>.scope		the systemd driver
 * without the middle part for guaranteed pods, and with more in front where the kubelet itself runs
 * in a cgroup. podman names its cgroups after a pod's or a container's id. If the kubelet means
 * systemd and the runtime does not, there is no cgroup of the pod, but one of each container, with
 * the pod's slice in its name:
 *	/kubepods-burstable-pod<uid>.slice:cri-containerd:<id>
 *
 * So the pod's cgroup is the highest one above its process that is named after it. Never a lower
 * one: below its own a pod may be able to make cgroups with any name. */
#ifndef SLUICE_POD_CGROUP_H
#define SLUICE_POD_CGROUP_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

enum pod_cgroup_how {
	POD_CGROUP_OWN,	      /* the pod's, seen above its process */
	POD_CGROUP_TOLD,      /* the runtime told, and there is no process to look at */
	POD_CGROUP_EACH,      /* none: each container has one, whose path begins with PATH */
	POD_CGROUP_OF_PROCESS /* unknown layout: that of its first process; a container elsewhere
			       * is not in it. To be reported. */
};

struct pod_cgroup {
	enum pod_cgroup_how how;
	char path[PATH_MAX]; /* from the root of the cgroup2 tree, beginning with '/' */
};

/* UID names the pod; with podman, the id of a pod or of a container. PARENT is what the runtime
 * says to be the parent of the containers' cgroups, as a kubelet wrote it: a path, or a slice's
 * name alone; NULL if it says nothing. PROCESS is what stands in /proc/PID/cgroup of the sandbox or
 * a container; NULL if there is none.
 *
 * -EINVAL: what was given is none of these. -EXDEV: the process is outside of what this process
 * sees of the tree, which needs the host's cgroup namespace. -ENOENT: nothing was told, or the
 * process has ended, or it is in no cgroup but the root. *RET is written on success only. */
int pod_cgroup_find(const char *uid, const char *parent, const char *process,
		    struct pod_cgroup *ret);

/* Read /proc/PID/cgroup into a text of at most SIZE with its NUL. -EMSGSIZE: it is longer; or what
 * open() and read() say. Whoever has the number of a process from elsewhere has to make sure
 * that it is still that process. */
int pod_cgroup_read(pid_t pid, char *ret, size_t size);
/* What is in it, with hybrid cgroups a line for each of a dozen hierarchies. */
#define POD_CGROUP_TEXT_MAX (16 * 1024)

/* "own", "told", "each", "of-process" */
const char *pod_cgroup_how_name(enum pod_cgroup_how how);

#endif
