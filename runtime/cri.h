/* SPDX-License-Identifier: Apache-2.0 */
/* cri.h - the pods of this node, as its container runtime tells (CRI, runtime.v1).
 *
 * Like grpc_client.h it waits for nothing: the owner polls the descriptor, and says what time it
 * is. All pods are asked for at first, and then again: every second, or every ten seconds if the
 * runtime has a stream of events that may be shared, each of which makes it ask at once. (Before
 * version 2 containerd gives each event to one of those who listen, and CRI-O before 1.28 too: we
 * would take them from the kubelet.) cri_refresh() is for an owner who knows from elsewhere that
 * something has happened, for instance that a cgroup has appeared.
 *
 * A pod is one sandbox: one that was made anew has another id. It is told when its details have
 * come, or could not be had, which is then tried again. If the runtime goes away the pods stay as
 * they are, until it is back and says which there are; it is dialled every 100 ms at first, and
 * every 5 s at last. One sandbox about which the runtime does not answer holds up no other.
 *
 * Labels are those of the sandbox, which runtimes never change: the API server's may be newer. */
#ifndef SLUICE_CRI_H
#define SLUICE_CRI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "sluice/address.h"

struct cri;

#define CRI_ADDRESSES_MAX 8
#define CRI_PODS_MAX	  8192
#define CRI_NEVER	  UINT64_MAX

struct cri_pair {
	const char *key, *value;
};

enum cri_container_state { CRI_CREATED, CRI_RUNNING, CRI_EXITED, CRI_UNKNOWN };

struct cri_container {
	const char *id, *name;
	uint32_t attempt; /* how often it was started before */
	enum cri_container_state state;
	const char *ports; /* the kubelet's annotation io.kubernetes.container.ports: JSON, from
			    * outside; NULL: there is none */
};

/* What is known of a sandbox beside the list. All zero unless it is READY. */
struct cri_status {
	bool known;	   /* false: the runtime has not answered */
	bool host_network; /* it has no network namespace of its own */
	pid_t pid;	   /* of the sandbox or, if it has no process, of a container; 0: none */
	size_t n_addresses;
	struct address addresses[CRI_ADDRESSES_MAX];
	char netns[256];	 /* the path of the network namespace; "" if it was not told */
	char cgroup_parent[512]; /* see pod_cgroup.h; "" if it was not told */
};

struct cri_pod {
	const char *id; /* of the sandbox */
	const char *name, *namespace, *uid;
	uint32_t attempt;
	bool ready;
	struct cri_pair *labels, *annotations; /* sorted by key */
	size_t n_labels, n_annotations;
	struct cri_container *containers; /* sorted by id */
	size_t n_containers;
	struct cri_status status;
};

enum cri_news { CRI_APPEARED, CRI_CHANGED, CRI_VANISHED };

/* Called from within cri_on_ready() and cri_on_time() only; none may free the cri. */
struct cri_watcher {
	/* POD is valid until the next news of it; after CRI_VANISHED no longer. */
	void (*on_pod)(void *ctx, enum cri_news, const struct cri_pod *pod);
	/* After each (re)connection: all pods that there were have been told. */
	void (*on_synced)(void *ctx, const char *runtime);
	/* Why the runtime is not asked any more for now, or what of its answers could not be used.
	 */
	void (*on_trouble)(void *ctx, const char *what);
	/* The descriptor is another: that from before must not be polled any more once this
	 * returns, and is closed afterwards. -1: none for now. */
	void (*on_descriptor)(void *ctx, int fd);
};

struct cri_options {
	const char *path; /* of the runtime's socket; copied */
	unsigned poll_ms; /* 0: a second */
	/* For tests: in place of grpc_connect(). */
	int (*connect)(void *ctx, const char *path);
};

int cri_new(const struct cri_options *, const struct cri_watcher *, void *ctx, struct cri **ret);
/* Without callbacks. NULL is fine. */
void cri_free(struct cri *);

int cri_fd(const struct cri *);
short cri_events(const struct cri *);
/* When cri_on_time() is to be called; 0 at first. */
uint64_t cri_deadline(const struct cri *);
void cri_on_ready(struct cri *, short revents, uint64_t now);
void cri_on_time(struct cri *, uint64_t now);
/* Ask soon: as soon as 50 ms have passed since the last time. */
void cri_refresh(struct cri *);

#endif
