/* SPDX-License-Identifier: Apache-2.0 */
/* netns_stage.h - network namespaces beside that of the scene, each joined to it by a wire. */
#ifndef SLUICE_TEST_NETNS_STAGE_H
#define SLUICE_TEST_NETNS_STAGE_H

#include "scene.h"

/* Number N has the addresses 10.78.N.2 and fd78:N::2, and the scene those that end with 1; N from 1
 * to 9. */
struct elsewhere {
	struct scene *s;
	int n;
	pid_t holder; /* a process that lives there */
	int fd;
	uint32_t number; /* 0: it is not registered */
	struct routes *routes;
	int four, six;		       /* listeners, as the scene has them */
	int inbound_four, inbound_six; /* to which clients are handed */
	char here4[32], here6[32];     /* the scene's end */
	char there4[32], there6[32];
};

struct elsewhere elsewhere_make(struct scene *s, int n);
void elsewhere_end(struct elsewhere *e);
/* For fixtures: a scene with room for namespaces, of which *RET is registered; and its end. */
int elsewhere_setup(void **state, struct elsewhere *ret);
int elsewhere_teardown(void **state, struct elsewhere *e);
/* With routes and listeners, and without. */
void elsewhere_register(struct elsewhere *e);
void elsewhere_unregister(struct elsewhere *e);
/* For the calling thread, and for a moment; HOME is what comes back takes. */
int elsewhere_visit(const struct elsewhere *e);
void elsewhere_come_back(int home);
/* A command in there. */
bool elsewhere_shell(const struct elsewhere *e, const char *command);
int elsewhere_listen(const struct elsewhere *e, int family, const char *ip, uint16_t port);

/* Make the workload another one, with these flags, held to TABLE. */
void elsewhere_hold(struct scene *s, unsigned flags, const struct l4_table *table);
/* It stays the same, with other flags. */
void elsewhere_set_flags(struct scene *s, unsigned flags);

#endif
