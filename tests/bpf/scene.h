/* SPDX-License-Identifier: Apache-2.0 */
/* scene.h - a small world for one test program: its own mount and network namespaces, a cgroup with
 * the steering programs attached, our listeners, and processes inside and outside of the cgroup.
 *
 * Whatever it makes is gone when the program ends, however it ends: the namespaces take mounts,
 * pins, interfaces and sockets with them, and a supervisor outside removes the cgroups. */
#ifndef SLUICE_TEST_SCENE_H
#define SLUICE_TEST_SCENE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cgroup.h"
#include "routes.h"
#include "sluice/array.h"
#include "steer.h"

#define SCENE_SKIP 77 /* exit code: the kernel lacks something */

/* Say that WHAT cannot be tested here. With CI=true the program fails, unless WHAT is OPTIONAL:
 * something that the kernels of CI need not have. */
void scene_skip(const char *what, const char *why, bool optional);

/* Addresses of the test's network namespace: one interface with a default IPv4 route and, for
 * IPv6, a route to FAR6 but none to NOWHERE6. */
#define HERE4	 "10.77.0.1"
#define HERE6	 "fd77::1"
#define LINK6	 "fe80::7"
#define FAR4	 "192.0.2.77"
#define FAR6	 "2001:db8:77::1"
#define NOWHERE6 "2001:db8:99::1"

/* What the table of scene_begin() says of a port, to every address. */
#define PORT_STEERED  8001
#define PORT_ALLOWED  8002
#define PORT_REFUSED  8003
#define PORT_STEERED2 8004

struct scene {
	struct cgroup cgroup;
	struct steer *steer;
	uint64_t workload; /* the cgroup */
	struct routes *routes;
	char pin_dir[128];
	int listener4, listener6;
	struct steer_event last_event;
	unsigned n_events[STEER_KIND_MAX];
	unsigned n_audited; /* of all of them */
};

/* Run the cmocka group RUN in the world described above; returns main()'s exit code. */
int scene_main(int (*run)(void));

/* Fixtures for each test: *STATE becomes a struct scene with everything attached. */
int scene_setup(void **state);
int scene_setup_audit(void **state);
int scene_setup_with(void **state, const struct steer_options *options);
int scene_teardown(void **state);

/* Pieces of it, for tests that need other ones. */
/* A cgroup of that name, with programs that are not attached, and routes. */
void scene_open(struct scene *s, const char *name, const struct steer_options *options);
void scene_add_workload(struct scene *s, const struct cgroup *cg);
void scene_set_table(struct scene *s, bool enforced);
/* The same table, enforced, but for PORT_ALLOWED. */
void scene_set_allowed(struct scene *s, enum l4_action action);
/* The same with ingress enforced: there PORT_STEERED and PORT_ALLOWED mean what they do in egress.
 */
void scene_set_ingress(struct scene *s, bool egress, enum l4_action action);
void scene_add_listeners(struct scene *s);
bool scene_shell(const char *command); /* true: it ended with 0 */
int scene_listen(int family, const char *ip, uint16_t port);
int scene_udp_server(int family, const char *ip, uint16_t port);
unsigned scene_datagrams(int fd); /* takes all that wait; returns how many there were */
/* Read events into last_event and n_events. */
void scene_read_events(struct scene *s);

/* A process in the cgroup (or outside of it, with S NULL). FN gets one end of a socket pair and
 * ARG; it fails by CHECK(). */
struct worker {
	pid_t pid;
	int fd;
};
struct worker worker_start(struct scene *s, void (*fn)(int fd, void *arg), void *arg);
void worker_end(struct worker *w); /* closes FD, waits, asserts that it ended well */
/* All at once, for a process that needs nobody else. */
void worker_run(struct scene *s, void (*fn)(int fd, void *arg), void *arg);

/* Both sides: wait until the other one has said the same. */
void meet(int fd);

/* For workers: print and exit(1) unless OK. */
#define CHECK(ok) check((ok), #ok, __FILE__, __LINE__)
void check(bool ok, const char *text, const char *file, int line);

/* Addresses. FAMILY AF_INET6 with an IPv4 text gives the mapped address. */
struct sockaddr_storage place(int family, const char *ip, uint16_t port);
socklen_t place_len(const struct sockaddr_storage *ss);
bool same_place(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
struct address address_of(const struct sockaddr_storage *ss);
struct address address_ip(const char *ip, uint16_t port);
bool address_is(const struct address *a, const char *ip, uint16_t port);

int dial(int fd, int family, const char *ip, uint16_t port); /* connect(): 0 or a negative errno */
int dial_tcp(int family, const char *ip, uint16_t port);     /* a descriptor or a negative errno */
int accept_flow(struct scene *s, int listener, struct flow *ret); /* the descriptor */

#endif
