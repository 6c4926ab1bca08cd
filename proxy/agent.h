/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h - one `sluice agent`: many workloads in one process, by one set of programs and maps.
 *
 * agent_open() makes, in this order: the event loops, the state directory with its lock, the
 * programs, the workers' listeners, the mirror of the routes, a workload for each cgroup that the
 * configuration stands for, each with its policy in the workers and in the kernel; then it attaches
 * to the cgroups in which workloads can appear, makes older sockets known, and only then removes
 * what a killed agent of the same state directory left, so that at no time nothing is attached.
 * agent_loop() follows cgroups, processes and files until it is told to end. agent_close() undoes
 * all in reverse, whatever was reached.
 *
 * Everything here is the main thread's. */
#ifndef SLUICE_AGENT_H
#define SLUICE_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>
#include "access_log.h"
#include "agent_plan.h"
#include "agent_pods.h"
#include "agent_state.h"
#include "cgroup.h"
#include "cgroup_watch.h"
#include "crew.h"
#include "follow.h"
#include "netns.h"
#include "report.h"
#include "rollout.h"
#include "routes.h"
#include "status_server.h"
#include "steer.h"
#include "sluice/error.h"

#define AGENT_WORKLOADS_MAX	4096
#define AGENT_NETNS_MAX		1024
#define AGENT_DESCRIPTORS_MAX	1048576 /* of those that the main thread watches, the highest */
#define AGENT_DESCRIPTORS_KEPT	2048	/* that connections may not take, where there are enough */
#define AGENT_CONNECTIONS_LEAST 64	/* with fewer it does not start */
#define AGENT_RETRY_MS		1000	/* what could not be done */
#define AGENT_SWEEP_MS		20	/* between two sweeps for workloads that come */
#define AGENT_SLICE_MS		20	/* of one turn of the loop for workloads that come and go */
#define AGENT_SCAN_MS		10000	/* everything is looked at, whatever inotify has told */

struct agent;

/* A network namespace in which workloads have processes, other than sluice's own. */
struct agent_netns {
	struct agent_netns *next;
	struct agent *agent;
	ino_t inode;
	struct netns *netns; /* with its number */
	uint64_t cookie;     /* by which the kernel's events name it */
	struct routes *routes;
	uv_poll_t changes; /* of the routes */
	bool routed;	   /* CHANGES is open */
	bool resting;	   /* and not looked at, for a moment */
	unsigned users;	   /* workloads */
	bool leaving;	   /* the workers are told that it goes */
	bool adopted;	   /* its sockets that are older than the programs are known */
	uint32_t serial;   /* of that */
};

struct agent_stay {
	struct agent_netns *netns;
	bool seen; /* while its processes are looked at */
};

/* A listening socket that a process of the workload has from elsewhere. */
struct agent_foreign {
	struct steer_foreign found;
	bool seen; /* while they are looked for */
};

/* What was older than what it is held to, since the agent was started. */
struct agent_older {
	struct steer_adopted found;
	uint64_t ended; /* connections */
	bool said;
};

enum agent_workload_state {
	AGENT_WORKLOAD_TOLD, /* the workers get its policy; in the kernel nothing is enforced yet */
	AGENT_WORKLOAD_HELD,
	AGENT_WORKLOAD_GONE, /* its cgroup, or no entry stands for it; it is about to be removed */
	AGENT_WORKLOAD_FORGOTTEN, /* by the kernel, and about to be by the workers */
};

/* A cgroup that is held to a policy. */
struct agent_workload {
	struct agent_workload *next;
	enum agent_workload_state state;
	char *path; /* of the cgroup, from the root of the tree */
	uint64_t cgroup_id;
	uint64_t id;		       /* of steering */
	bool stuck;		       /* it could not be removed */
	unsigned flags;		       /* in force */
	size_t entry;		       /* of the configuration in force */
	struct agent_rule rule;	       /* what it is, or is about to be, held to */
	uint32_t serial;	       /* of what the workers were told first */
	struct cgroup_found *found;    /* NULL while another pattern is looked for */
	bool populated, was_populated; /* the latter: when all were looked at */
	struct agent_stay *stays;      /* where its processes are */
	size_t n_stays;
	struct agent_foreign *foreign;
	size_t n_foreign;
	unsigned visits; /* for how many rounds more its processes are looked at */
	/* Of a pod that has come while the agent runs. */
	bool fresh, is_held, is_known; /* the latter: by its own policy */
	uint64_t first_ms;	       /* when its first process began; 0: none was seen */
	uint64_t held_ms, known_ms;    /* so long afterwards */
};

/* A cgroup to which the programs are attached. */
struct agent_point {
	struct agent_point *next;
	char *path;
	uint64_t id;
	int fd;
	bool wanted; /* by the last plan of which all points could be had, or by one since */
	bool needed; /* while the points of a plan are gone through */
};

/* What is being loaded is the loading thread's. */
struct agent_reload {
	struct follow files;
	bool unrolled; /* what is in force is not so for every workload */
	bool said_unlisted, said_helpless;
	int result;
	struct agent_plan *next; /* loaded, or being rolled out */
	struct diag diag;
	char *last_errors; /* printed for what is in the files now; NULL: nothing is wrong */
	struct rollout rollout;
	unsigned ended; /* connections, by the last change */
	/* What goes on now is a load of the files, or only for other pods. */
	bool whole;
	struct pod_list *pods; /* for which it is */
};

struct agent {
	const char *config_path;
	struct agent_plan *plan; /* in force */
	struct agent_state state;
	bool state_made, attached;
	char tree[CGROUP_PATH_MAX]; /* where cgroups are mounted */
	char own[CGROUP_PATH_MAX];  /* the agent's own cgroup in it */
	struct steer *steer;
	struct crew crew;
	struct access_log *log;
	struct reporter reporter;     /* for what the kernel refused */
	struct endpoint_names *names; /* of the plan in force */
	bool unnamed;		      /* the workers have others */
	struct routes *routes;	      /* of the host's namespace */
	struct netns *home;
	ino_t home_inode;
	struct agent_netns *netns;
	struct agent_workload *workloads;
	size_t n_workloads;
	struct cgroup_watch *cgroups;
	struct agent_point *points;
	int table; /* of TABLE_POLICY, which the workload has that came last */
	struct policy *table_policy;
	bool unfollowed; /* CGROUPS has the patterns of another plan than the one in force */
	bool unheld;	 /* not every cgroup that was found could be made a workload */
	bool unrenewed;	 /* not everything is judged by the flags of the plan in force */
	bool unadopted;	 /* there may be sockets that are older than the programs */
	bool adopted;	 /* not in the agent's own namespace */
	bool unattached; /* the plan in force needs points that could not be had */
	bool shut;	 /* a namespace in which what comes in cannot be handed to us */
	bool said_unheld, said_own, said_blind, said_netns, said_unattached;
	bool said_unadopted, said_unlooked;
	struct agent_older older;
	struct agent_reload reload;
	struct agent_pods pods;
	struct agent_window held, known;  /* in whichever way; by their own policies */
	uint64_t known_before_containers; /* of KNOWN: there was no other process yet */
	uv_loop_t loop;
	bool loop_made, looping, ending;
	bool stays; /* when it has ended, everything is to stay as closed as if it was killed */
	int signal_fd;
	uv_poll_t signals, events, route_changes, cgroup_news;
	uv_timer_t retry; /* what could not be done */
	uv_timer_t scan;
	uv_timer_t visit;   /* processes of workloads that have just come */
	uv_timer_t rest;    /* of changes of routes in other namespaces */
	uv_timer_t sweep;   /* connections that are older than their workload */
	uv_timer_t more;    /* workloads for which there was no time in this turn */
	unsigned sweeps;    /* still to come */
	uint64_t swept_ms;  /* when the last one was */
	uint64_t looked_ms; /* the same of listeners from elsewhere */
	struct crew_watch progress;
	struct status_server status;
	unsigned revision;	 /* how many plans have been in force */
	struct timespec started; /* CLOCK_REALTIME */
};

/* PLAN is taken over. */
int agent_open(struct agent *a, const char *config_path, struct agent_plan *plan,
	       struct error *err);
/* Returns when SIGTERM, SIGINT or SIGUSR2 has come and what was in flight is delivered. */
void agent_loop(struct agent *a);
/* Accepts what a failed agent_open() left. After SIGUSR2 it ends the process. */
void agent_close(struct agent *a);

/* By the id of steering; NULL: there is none any more. */
struct agent_workload *agent_find(const struct agent *a, uint64_t workload);

#endif
