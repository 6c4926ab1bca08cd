/* SPDX-License-Identifier: Apache-2.0 */
/* The program for what comes to a network namespace: it cannot ask in which one it runs, so each
 * gets a copy of its own, which shares the maps with the others and knows. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "lookup.skel.h"
#include "steer_private.h"

/* The link holds the program, which holds what it needs. */
static int attach(struct steer *s, struct netns_slot *n, struct lookup_bpf *copy)
{
	uint32_t number = (uint32_t)(n - s->namespaces);
	char name[64];
	int r;

	copy->rodata->audit_mode = s->skel->rodata->audit_mode;
	copy->rodata->one_netns = s->skel->rodata->one_netns;
	copy->rodata->lookup_netns = n->config.cookie;
	copy->rodata->lookup_number = number;
	r = steer_share_maps(s, copy->obj);
	if (r == 0)
		r = lookup_bpf__load(copy);
	if (r < 0)
		return r;
	n->lookup = bpf_program__attach_netns(copy->progs.steer_lookup, n->fd);
	if (!n->lookup)
		return errno == E2BIG ? -EUSERS : -errno; /* loading may be E2BIG as well */
	snprintf(name, sizeof(name), "netns%u_steer_lookup", number);
	return steer_pin_link(s, &n->lookup, name);
}

/* Where it is not done. */
static int attach_to(struct steer *s, struct netns_slot *n)
{
	struct lookup_bpf *copy;
	int r;

	if (!n->config.cookie || n->lookup)
		return 0;
	copy = lookup_bpf__open();
	r = copy ? attach(s, n, copy) : -errno;
	lookup_bpf__destroy(copy);
	return r;
}

/* One that is full of others' programs takes nothing from the rest. Returns the first error. */
static int attach_to_all(struct steer *s)
{
	int first = 0;

	for (uint32_t i = 0; i < s->n_namespaces; i++) {
		int r = attach_to(s, &s->namespaces[i]);

		if (first == 0)
			first = r;
	}
	return first;
}

static bool is_wanted(const struct steer *s)
{
	return s->attached && s->config.ingress;
}

void steer_attach_lookup(struct steer *s)
{
	if (is_wanted(s))
		attach_to_all(s);
}

void steer_attach_lookup_to(struct steer *s, struct netns_slot *n)
{
	if (is_wanted(s))
		attach_to(s, n);
}

int steer_prepare_ingress(struct steer *s, struct error *err)
{
	int r = s->attached ? attach_to_all(s) : 0;

	if (r < 0)
		error_set(err,
			  "cannot attach the BPF program for ingress to a network namespace: %s",
			  r == -EUSERS ? "others have all 64 places for sk_lookup programs"
				       : strerror(-r));
	return r;
}

void steer_detach_lookup(struct netns_slot *n)
{
	steer_detach_link(&n->lookup);
}
