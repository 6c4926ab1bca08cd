/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the pods, held against the two lists: all of them sorted, and gone through
 * side by side. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cri_private.h"

/* Makes one entry of the other: for what is there already, and for what is listed. */
struct lists {
	Cri__PodSandbox **pods;
	size_t n_pods;
	Cri__Container **containers; /* by pod, then by id */
	size_t n_containers, at;
	size_t orphans; /* containers of no pod */
};

void cri_entry_free(struct cri *c, struct entry *e)
{
	if (e->call && c->client)
		grpc_client_cancel(c->client, e->call);
	pool_done(&e->pool);
	free(e);
}

void cri_tell(struct cri *c, struct entry *e, enum cri_news news)
{
	e->told = true;
	if (c->watcher.on_pod)
		c->watcher.on_pod(c->ctx, news, &e->pod);
}

/* ---- order ---- */

static int by_id(const void *one, const void *two)
{
	const Cri__PodSandbox *const *a = one, *const *b = two;

	return strcmp((*a)->id, (*b)->id);
}

static int by_pod(const void *one, const void *two)
{
	const Cri__Container *const *a = one, *const *b = two;
	int order = strcmp((*a)->pod_sandbox_id, (*b)->pod_sandbox_id);

	return order ? order : strcmp((*a)->id, (*b)->id);
}

static int by_key(const void *one, const void *two)
{
	const Cri__Pair *const *a = one, *const *b = two;
	int order = strcmp((*a)->key, (*b)->key);

	return order ? order : strcmp((*a)->value, (*b)->value);
}

static void sort(void *at, size_t n, int (*order)(const void *, const void *))
{
	if (n > 0)
		qsort(at, n, sizeof(void *), order);
}

/* ---- is it still the same ---- */

static bool same_pairs(const struct cri_pair *have, size_t n_have, Cri__Pair *const *told,
		       size_t n_told)
{
	if (n_have != n_told)
		return false;
	for (size_t i = 0; i < n_have; i++)
		if (strcmp(have[i].key, told[i]->key) != 0 ||
		    strcmp(have[i].value, told[i]->value) != 0)
			return false;
	return true;
}

static enum cri_container_state state_of(const Cri__Container *told)
{
	return told->state >= CRI_CREATED && told->state < CRI_UNKNOWN
		       ? (enum cri_container_state)told->state
		       : CRI_UNKNOWN;
}

static bool same_containers(const struct cri_pod *pod, Cri__Container *const *told, size_t n)
{
	if (pod->n_containers != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(pod->containers[i].id, told[i]->id) != 0 ||
		    pod->containers[i].state != state_of(told[i]))
			return false;
	return true;
}

/* All of it empty if there is none. */
static const Cri__PodSandboxMetadata *metadata_of(const Cri__PodSandbox *told)
{
	static const Cri__PodSandboxMetadata none = CRI__POD_SANDBOX_METADATA__INIT;

	return told->metadata ? told->metadata : &none;
}

static bool same(const struct cri_pod *pod, const Cri__PodSandbox *told)
{
	const Cri__PodSandboxMetadata *m = metadata_of(told);

	return pod->ready == (told->state == 0) && strcmp(pod->name, m->name) == 0 &&
	       strcmp(pod->namespace, m->namespace_) == 0 && strcmp(pod->uid, m->uid) == 0 &&
	       same_pairs(pod->labels, pod->n_labels, told->labels, told->n_labels) &&
	       same_pairs(pod->annotations, pod->n_annotations, told->annotations,
			  told->n_annotations);
}

/* ---- a copy of what was told ---- */

static int copy_pairs(struct pool *p, Cri__Pair *const *told, size_t n, struct cri_pair **ret)
{
	struct cri_pair *pairs = pool_alloc(p, n * sizeof(*pairs));

	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		pairs[i].key = pool_text(p, told[i]->key);
		pairs[i].value = pool_text(p, told[i]->value);
		if (!pairs[i].key || !pairs[i].value)
			return -ENOMEM;
	}
	*ret = pairs;
	return 0;
}

/* NULL in *RET: there is none. */
static int copy_ports(struct pool *p, const Cri__Container *told, const char **ret)
{
	for (size_t i = 0; i < told->n_annotations; i++) {
		if (strcmp(told->annotations[i]->key, "io.kubernetes.container.ports") != 0)
			continue;
		*ret = pool_text(p, told->annotations[i]->value);
		return *ret ? 0 : -ENOMEM;
	}
	return 0;
}

static int copy_containers(struct pool *p, Cri__Container *const *told, size_t n,
			   struct cri_container **ret)
{
	struct cri_container *containers = pool_alloc(p, n * sizeof(*containers));

	if (!containers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const Cri__ContainerMetadata *m = told[i]->metadata;

		containers[i].id = pool_text(p, told[i]->id);
		containers[i].name = pool_text(p, m ? m->name : "");
		containers[i].attempt = m ? m->attempt : 0;
		containers[i].state = state_of(told[i]);
		if (!containers[i].id || !containers[i].name ||
		    copy_ports(p, told[i], &containers[i].ports) < 0)
			return -ENOMEM;
	}
	*ret = containers;
	return 0;
}

/* Into an empty pool; the details are left to the caller. */
static int copy_pod(struct pool *p, const Cri__PodSandbox *told, Cri__Container *const *containers,
		    size_t n_containers, struct cri_pod *pod)
{
	const Cri__PodSandboxMetadata *m = metadata_of(told);

	pod->id = pool_text(p, told->id);
	pod->name = pool_text(p, m->name);
	pod->namespace = pool_text(p, m->namespace_);
	pod->uid = pool_text(p, m->uid);
	pod->attempt = m->attempt;
	pod->ready = told->state == 0;
	pod->n_labels = told->n_labels;
	pod->n_annotations = told->n_annotations;
	pod->n_containers = n_containers;
	if (!pod->id || !pod->name || !pod->namespace || !pod->uid ||
	    copy_pairs(p, told->labels, told->n_labels, &pod->labels) < 0 ||
	    copy_pairs(p, told->annotations, told->n_annotations, &pod->annotations) < 0 ||
	    copy_containers(p, containers, n_containers, &pod->containers) < 0)
		return -ENOMEM;
	return 0;
}

static int add(struct cri *c, const Cri__PodSandbox *told, Cri__Container *const *containers,
	       size_t n, struct entry **ret)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->cri = c;
	e->pool.left = POD_MAX;
	e->ask_at = told->state == 0 ? 0 : CRI_NEVER;
	if (copy_pod(&e->pool, told, containers, n, &e->pod) < 0) {
		cri_entry_free(c, e);
		return -ENOMEM;
	}
	*ret = e;
	if (e->ask_at == CRI_NEVER)
		cri_tell(c, e, CRI_APPEARED);
	return 0;
}

/* What changed is told at once, with the details as they are known. */
static int update(struct cri *c, struct entry *e, const Cri__PodSandbox *told,
		  Cri__Container *const *containers, size_t n)
{
	struct pool pool = { .left = POD_MAX };
	struct cri_pod pod = { .status = e->pod.status };

	if (same(&e->pod, told) && same_containers(&e->pod, containers, n))
		return 0;
	if (copy_pod(&pool, told, containers, n, &pod) < 0) {
		pool_done(&pool);
		return -ENOMEM;
	}
	if (!pod.ready) {
		memset(&pod.status, 0, sizeof(pod.status));
		e->ask_at = CRI_NEVER;
	} else if (!e->pod.ready || !pod.status.pid) {
		e->ask_at = 0;
	}
	pool_done(&e->pool);
	pool_move(&e->pool, &pool);
	e->pod = pod;
	if (e->told)
		cri_tell(c, e, CRI_CHANGED);
	else if (!pod.ready)
		cri_tell(c, e, CRI_APPEARED);
	return 0;
}

/* ---- side by side ---- */

/* The containers of POD, which comes behind those of which this was asked before. */
static size_t containers_of(struct lists *l, const char *pod, Cri__Container ***ret)
{
	size_t n = 0;

	while (l->at < l->n_containers && strcmp(l->containers[l->at]->pod_sandbox_id, pod) < 0) {
		l->orphans++;
		l->at++;
	}
	*ret = l->at < l->n_containers ? &l->containers[l->at] : NULL;
	while (l->at < l->n_containers && strcmp(l->containers[l->at]->pod_sandbox_id, pod) == 0) {
		l->at++;
		n++;
	}
	return n;
}

static void vanish(struct cri *c, struct entry *e)
{
	if (e->told)
		cri_tell(c, e, CRI_VANISHED);
	cri_entry_free(c, e);
}

/* Entries that could not be brought up to date stay as they were, and are tried again. */
static int merge(struct cri *c, struct lists *l, struct entry **merged, size_t *n)
{
	size_t old = 0;
	int result = 0;

	for (size_t i = 0; i < l->n_pods; i++) {
		Cri__PodSandbox *told = l->pods[i];
		Cri__Container **containers;
		size_t n_containers;
		int r;

		if (i > 0 && strcmp(l->pods[i - 1]->id, told->id) == 0)
			continue;
		while (old < c->n_entries && strcmp(c->entries[old]->pod.id, told->id) < 0)
			vanish(c, c->entries[old++]);
		n_containers = containers_of(l, told->id, &containers);
		sort(told->labels, told->n_labels, by_key);
		sort(told->annotations, told->n_annotations, by_key);
		if (old < c->n_entries && strcmp(c->entries[old]->pod.id, told->id) == 0) {
			merged[(*n)++] = c->entries[old];
			r = update(c, c->entries[old++], told, containers, n_containers);
		} else {
			r = add(c, told, containers, n_containers, &merged[*n]);
			*n += r == 0;
		}
		if (r < 0)
			result = r;
	}
	while (old < c->n_entries)
		vanish(c, c->entries[old++]);
	l->orphans += l->n_containers - l->at;
	return result;
}

int cri_merge(struct cri *c, const Cri__ListContainersResponse *containers)
{
	struct lists l = { c->list->items,
			   c->list->n_items,
			   containers->containers,
			   containers->n_containers,
			   0,
			   0 };
	struct entry **merged;
	size_t n = 0;
	int r;

	if (l.n_pods > CRI_PODS_MAX)
		return -E2BIG;
	merged = calloc(l.n_pods + 1, sizeof(struct entry *));
	if (!merged)
		return -ENOMEM;
	sort(l.pods, l.n_pods, by_id);
	sort(l.containers, l.n_containers, by_pod);
	r = merge(c, &l, merged, &n);
	free(c->entries);
	c->entries = merged;
	c->n_entries = n;
	if (l.orphans > c->orphans) /* a pod is younger than the list of pods */
		cri_refresh(c);
	c->orphans = l.orphans;
	return r;
}
