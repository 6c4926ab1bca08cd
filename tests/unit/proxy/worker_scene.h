/* SPDX-License-Identifier: Apache-2.0 */
/* worker_scene.h - a worker, its clients and their server in one thread, over real sockets on
 * loopback.
 *
 * Whoever waits lets the worker's loop run meanwhile; nobody waits for ever, see scene_may_wait().
 * In the end every connection, handle, buffer and descriptor must be gone. */
#ifndef SLUICE_TEST_WORKER_SCENE_H
#define SLUICE_TEST_WORKER_SCENE_H

#include "fake_policy.h"
#include "fake_steer.h"
#include "worker.h"
#include "worker_changes.h"

#define SCENE_TURNS_MAX	  4000
#define SCENE_PATIENCE_NS 20000000000ULL
#define SCENE_WORKLOADS	  4 /* at a time */
#define SCENE_NETNS	  2
/* The workload of all connections that do not say another one. */
#define SCENE_WORKLOAD (1ULL << 32)
#define SCENE_TURN_MS  10 /* a turn in which nothing happens takes so long */

struct scene {
	struct worker *worker;
	struct worker_shared shared; /* its limits may be changed at any time */
	struct steer steer;
	uint16_t ports[2];
	struct address server;
	int listener; /* the server's */
	unsigned n_handles, n_descriptors;
	uint64_t waits_since;
};

void scene_begin(struct scene *s, struct policy *policy); /* takes over the reference */
/* Closes nothing of the caller's: it has closed its sockets before. */
void scene_end(struct scene *s);

/* TURN counts from 0: may it be waited further? Turns in which something happens can be many in a
 * moment in which the kernel, on a busy machine, does not come to deliver what is waited for: so
 * SCENE_PATIENCE_NS have to be over, too. */
bool scene_may_wait(struct scene *s, unsigned turn);
/* One turn of the loop. FD, if not negative, is something else to wait for. */
void scene_turn(struct scene *s, int fd, short events);

/* A client's socket, connected to the worker on behalf of the server's address; steered or not. */
int scene_connect(struct scene *s, bool steered);
/* The same, for another destination. */
int scene_connect_to(struct scene *s, const struct flow *flow);
int scene_accept(struct scene *s);

void scene_send(struct scene *s, int fd, const char *buf, size_t len);
void scene_say(struct scene *s, int fd, const char *text);
/* Exactly these bytes come next. */
void scene_hear(struct scene *s, int fd, const char *text);
/* Up to LEN bytes; 0 at the end, a negative errno when reset. Waits for something. */
ssize_t scene_read(struct scene *s, int fd, char *buf, size_t len);
void scene_hear_end(struct scene *s, int fd);
void scene_hear_reset(struct scene *s, int fd);
/* As the worker knows it. */
struct workload *scene_workload(const struct scene *s);
/* What judges SCENE_WORKLOAD by POLICY, whose reference is taken over. */
struct worker_changes *scene_changes(struct policy *policy);
void scene_wait_swept(struct scene *s, uint32_t serial);
/* Hand it to the worker, and wait until it has been carried out. */
void scene_post(struct scene *s, struct worker_changes *changes);
/* SCENE_WORKLOAD is judged by POLICY from now on, whose reference is taken over. */
void scene_change(struct scene *s, struct policy *policy);
/* The worker has no connection any more. */
void scene_wait_idle(struct scene *s);

/* So that little is enough for them to be full. */
void scene_shrink_buffers(int fd);

#endif
