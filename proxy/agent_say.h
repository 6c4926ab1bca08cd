/* SPDX-License-Identifier: Apache-2.0 */
/* agent_say.h - what standard error and the log are told of changes of what the agent enforces. */
#ifndef SLUICE_AGENT_SAY_H
#define SLUICE_AGENT_SAY_H

struct agent;
struct agent_workload;

/* It is ready. */
void agent_say_ready(const struct agent *a);
/* Sockets of workloads were found that are older than the agent. */
void agent_say_older(struct agent *a);
/* Nothing is enforced where somebody may expect it. */
void agent_say_nothing(const struct agent *a);
/* What is in the files could not be loaded, for the reason WHY or (NULL) for what the diag says.
 * Once for the same errors: a file that is touched is no news. */
void agent_say_failed(struct agent *a, const char *why);
/* The new plan is in force. */
void agent_say_changed(struct agent *a);
/* SETTING has changed, which takes effect only when the agent is started; NULL: none has. */
void agent_say_fixed(const char *setting);
/* The kernel's table of W, which may be NULL, could not be switched. */
void agent_say_behind(const struct agent_workload *w, const char *why);

#endif
