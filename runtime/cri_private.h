/* SPDX-License-Identifier: Apache-2.0 */
/* cri_private.h - cri.c has the connection and the order of things, cri_calls.c requests and
 * answers, cri_pod.c what is known of the pods, cri_status.c a sandbox's details. */
#ifndef SLUICE_CRI_PRIVATE_H
#define SLUICE_CRI_PRIVATE_H

#include "cri.h"
#include "cri.pb-c.h"
#include "grpc_client.h"
#include "pool.h"

#define UNPACKED_MAX (64u << 20) /* of one answer */
#define POD_MAX	     (1u << 20)	 /* what is kept of one pod */
#define ASK_AGAIN_MS 30000	 /* for the details, of which nothing is missing or which failed */
#define MIN_POLL_MS  50

struct entry {
	struct cri *cri;
	struct cri_pod pod;
	struct pool pool; /* of what POD points to */
	bool told;
	uint32_t call;		  /* that is about it, or 0 */
	uint64_t ask_at;	  /* when to ask for its details, CRI_NEVER: not at all */
	struct cri_status coming; /* while a container is asked for its process */
};

enum cri_stage { CRI_DOWN, CRI_HELLO, CRI_IDLE, CRI_PODS, CRI_CONTAINERS };

struct cri {
	char *path;
	unsigned poll_ms;
	int (*connect)(void *ctx, const char *path);
	struct cri_watcher watcher;
	void *ctx;

	uint64_t now; /* as we were told last */
	struct grpc_client *client;
	int broken; /* why the connection is to be given up, or 0 */
	enum cri_stage stage;
	int fd;			      /* the client's */
	bool listed, synced, streams; /* on this connection */
	uint64_t next;		      /* when to dial, or to ask */
	uint64_t polled;	      /* when we asked last */
	unsigned back_off;
	char runtime[128];

	struct pool list_pool;
	Cri__ListPodSandboxResponse *list;
	struct entry **entries; /* sorted by id */
	size_t n_entries;
	size_t orphans; /* containers of no pod, the last time */
};

/* cri_calls.c */
int cri_call_version(struct cri *);
int cri_call_pods(struct cri *);
int cri_call_details(struct cri *, struct entry *);
int cri_call_events(struct cri *);
void cri_trouble(struct cri *, const char *what, const struct grpc_result *);

/* cri.c: the answers */
void cri_on_version(struct cri *, const Cri__VersionResponse *);
void cri_on_lists(struct cri *, const Cri__ListContainersResponse *);
void cri_on_details(struct cri *, struct entry *, const struct cri_status *, bool retry_soon);

/* cri_pod.c: entries from the two lists, which are sorted by this. */
int cri_merge(struct cri *, const Cri__ListContainersResponse *);
void cri_entry_free(struct cri *, struct entry *);
void cri_tell(struct cri *, struct entry *, enum cri_news);

/* cri_status.c */
void cri_status_read(const Cri__PodSandboxStatusResponse *, struct cri_status *);
pid_t cri_status_pid(size_t n, Cri__Pair *const *info);

#endif
