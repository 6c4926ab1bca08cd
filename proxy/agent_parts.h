/* SPDX-License-Identifier: Apache-2.0 */
/* agent_parts.h - what the parts of the agent ask of each other. Private to agent*.c. */
#ifndef SLUICE_AGENT_PARTS_H
#define SLUICE_AGENT_PARTS_H

#include "agent.h"

/* ---- agent.c ---- */

/* All that the agent itself has on its loop. */
void agent_each_timer(struct agent *a, void (*fn)(struct agent *a, uv_timer_t *timer));
/* Something could not be done: it is tried again in a while. */
void agent_retry(struct agent *a);
void agent_on_event(void *ctx, const struct steer_event *e);

/* ---- agent_descriptors.c ---- */

/* Raise the limit as far as it goes. A flood of connections must not take the descriptors without
 * which nobody can be made a workload: each connection has two, so LIMITS, those of C, may allow
 * fewer of them. Returns 0, or -EMFILE and what to do. */
int agent_keep_descriptors(const struct agent_config *c, struct limits *limits, struct error *err);

/* ---- agent_end.c ---- */

/* Before any thread exists. */
int agent_take_signals(struct agent *a, struct error *err);
void agent_on_signals(uv_poll_t *handle, int status, int events);
/* Workers have got on, while the agent ends. */
void agent_end_progress(struct agent *a);

/* ---- agent_points.c: where the programs are attached ---- */

/* The directory of the cgroup PATH, opened, or a negative errno. */
int agent_open_cgroup(const struct agent *a, const char *path);
/* Attach to what the plan needs. */
int agent_points_attach(struct agent *a, struct error *err);
/* The same while the agent goes on: what fails is said and tried again. */
void agent_points_attach_again(struct agent *a);
/* The cgroup PATH, for which PATTERN stands, is below one of them, or becomes so. */
int agent_points_cover(struct agent *a, const char *pattern, const char *path, struct error *err);
/* Detach from what the plan does not need, and from what is gone. */
void agent_points_tidy(struct agent *a);
void agent_points_close(struct agent *a);

/* ---- agent_workloads.c ---- */

/* Find the cgroups that the plan is about, and follow them. */
int agent_workloads_open(struct agent *a, struct error *err);
/* The plan in force has taken the place of BEFORE. */
void agent_workloads_follow(struct agent *a, const struct agent_plan *before);
/* Do what could not be done before: remove those that are gone, add what there was no room for. */
void agent_workloads_settle(struct agent *a);
/* Look at every cgroup and every process, whatever was told. */
void agent_workloads_scan(struct agent *a);
/* Free all; the steering is closed afterwards. */
void agent_workloads_close(struct agent *a);
/* What PLAN says of W: its entry, or -1. */
long agent_workload_entry(const struct agent *a, const struct agent_plan *plan,
			  const struct agent_workload *w);
unsigned agent_entry_flags(const struct agent_entry *e);

/* ---- agent_held.c ---- */

/* Workers have got on. */
void agent_workloads_progress(struct agent *a);
/* The plan in force says perhaps others. */
void agent_workloads_take_flags(struct agent *a);
/* Has this turn of the loop had its slice? Then agent_workloads_settle() goes on in another one. */
bool agent_workloads_late(struct agent *a);
/* Say once that the cgroup PATH, for which ENTRY stands, cannot be held, and try again. */
void agent_workload_unheld(struct agent *a, size_t entry, const char *path, const char *why);
/* Once they do not come any more. */
void agent_workloads_drop_table(struct agent *a);

/* ---- agent_sweep.c ---- */

/* Make known the sockets that are older than the programs, in all network namespaces: when the
 * programs were attached. For namespaces that come later the sweep does it. */
void agent_adopt(struct agent *a);
/* Connections may be older than what they are held to now. */
void agent_sweep_soon(struct agent *a);

/* ---- agent_foreign.c ---- */

/* Look for listening sockets that workloads have from elsewhere, and say which are new. */
void agent_foreign_look(struct agent *a);

/* ---- agent_netns.c ---- */

int agent_netns_open(struct agent *a, struct error *err);
/* See in which namespaces the processes of W are. TIDY: those in which none is are left. */
void agent_netns_visit(struct agent *a, struct agent_workload *w, bool tidy);
/* Again, a few times, since processes may be on their way. */
void agent_netns_visit_soon(struct agent *a, struct agent_workload *w);
/* W has no processes any more, or is no workload. */
void agent_netns_leave(struct agent *a, struct agent_workload *w);
/* A process of W has a socket, or wants one, in a namespace that is not known. */
void agent_netns_unknown(struct agent *a, const struct steer_event *e);
/* Workers have got on: those that nobody uses can be closed. */
void agent_netns_progress(struct agent *a);
/* If PLAN asks for ingress, attach what that needs, as steer_prepare_ingress(). */
int agent_netns_prepare_ingress(struct agent *a, const struct agent_plan *plan, struct error *err);
/* The same for the plan in force: where it cannot be that is said, and tried again. Nothing else
 * waits for it. */
void agent_netns_let_in(struct agent *a);
/* What could not be done before. */
void agent_netns_retry(struct agent *a);
void agent_netns_close(struct agent *a);

/* ---- agent_reload.c: the configuration and the policies, as they change ---- */

/* Before anything is made. */
int agent_reload_init(struct agent *a, struct error *err);
void agent_reload_begin(struct agent *a);
/* Somebody asks for it. */
void agent_reload_now(struct agent *a);
void agent_reload_end(struct agent *a);
void agent_reload_done(struct agent *a);
/* May workloads be removed? Not while policies are being put in force for them. */
bool agent_reload_is_taking(const struct agent *a);
void agent_on_swept(void *ctx, const struct swept *e);
void agent_on_unlisted(void *ctx, int error);

/* Tell the workers how others are called. */
void agent_reload_names(struct agent *a);
/* The pods are others. */
void agent_reload_pods(struct agent *a);

/* ---- agent_pods.c ---- */

/* Ask the container runtime, if pods are wanted, and wait for its first answer for a while. On
 * success the plan knows of them. That the runtime does not answer is no error. */
int agent_pods_open(struct agent *a, struct error *err);
void agent_pods_begin(struct agent *a);
/* A cgroup has come that may be a pod's: ask now. */
void agent_pods_hurry(struct agent *a);
/* Close the handles; the loop has to be run afterwards. */
void agent_pods_end(struct agent *a);
void agent_pods_done(struct agent *a);

/* ---- agent_window.c: how long it takes until a pod is held ---- */

/* There are processes in it. */
void agent_window_seen(struct agent *a, struct agent_workload *w);
/* It is held, by its own policy or because it is not known. */
void agent_window_held(struct agent *a, struct agent_workload *w);

/* ---- agent_status.c ---- */

/* Answer `sluice status`, from a socket in the state directory. */
int agent_status_open(struct agent *a, struct error *err);
void agent_status_close(struct agent *a);

/* ---- agent_status_pods.c ---- */

struct json_out;
/* The member "pod" of W: null if POD is NULL. */
void agent_status_pod(struct json_out *j, const struct agent_workload *w, const struct pod *pod);
/* The member "pods" of the whole. */
void agent_status_pods(struct json_out *j, const struct agent *a);

#endif
