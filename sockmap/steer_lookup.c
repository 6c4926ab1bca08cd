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

static int attach_to_all(struct steer *s)
{
	int r = 0;

	for (uint32_t i = 0; i < s->n_namespaces && r == 0; i++) {
		struct netns_slot *n = &s->namespaces[i];
		struct lookup_bpf *copy;

		if (!n->config.cookie || n->lookup)
			continue;
		copy = lookup_bpf__open();
		r = copy ? attach(s, n, copy) : -errno;
		lookup_bpf__destroy(copy);
	}
	return r;
}

int steer_attach_lookup(struct steer *s)
{
	return s->config.ingress ? attach_to_all(s) : 0;
}

int steer_prepare_ingress(struct steer *s, struct error *err)
{
	int r = s->attached ? attach_to_all(s) : 0;

	if (r < 0)
		steer_explain_lookup(err, r);
	return r;
}

void steer_explain_lookup(struct error *err, int r)
{
	error_set(err, "cannot attach the BPF program for ingress to a network namespace: %s",
		  r == -EUSERS ? "others have as many sk_lookup programs there as there can be"
			       : strerror(-r));
}

void steer_detach_lookup(struct netns_slot *n)
{
	steer_detach_link(&n->lookup);
}
