/* SPDX-License-Identifier: Apache-2.0 */
#include "rule_counts.h"
#include <stdlib.h>
#include <string.h>
#include "sluice/fnv.h"

#define FIRST_ROOM 8

static uint64_t hash_of(const char *policy, const char *namespace_, const char *path)
{
	uint64_t hash = hash_bytes(HASH_START, policy, strlen(policy) + 1);

	hash = hash_bytes(hash, namespace_, strlen(namespace_) + 1);
	return hash_bytes(hash, path, strlen(path));
}

static bool make_room(struct rule_counts *c)
{
	unsigned room = c->room ? 2 * c->room : FIRST_ROOM;
	struct rule_count *entries;

	if (c->n < c->room)
		return true;
	if (c->n >= RULE_COUNTS_MAX)
		return false;
	entries = realloc(c->entries, room * sizeof(*entries));
	if (!entries)
		return false;
	c->entries = entries;
	c->room = room;
	return true;
}

/* One block, so that it is there or is not. */
static bool copy_names(struct rule_count *e, const struct rule_ref *rule)
{
	size_t policy = strlen(rule->policy) + 1, namespace_ = strlen(rule->namespace_) + 1;
	size_t path = strlen(rule->path) + 1;
	char *names = malloc(policy + namespace_ + path);

	if (!names)
		return false;
	memcpy(names, rule->policy, policy);
	memcpy(names + policy, rule->namespace_, namespace_);
	memcpy(names + policy + namespace_, rule->path, path);
	e->policy = names;
	e->namespace_ = names + policy;
	e->path = names + policy + namespace_;
	return true;
}

static struct rule_count *find(struct rule_counts *c, const struct rule_ref *rule)
{
	uint64_t hash = hash_of(rule->policy, rule->namespace_, rule->path);
	struct rule_count *e;

	for (unsigned i = 0; i < c->n; i++) {
		e = &c->entries[i];
		if (e->hash == hash && strcmp(e->policy, rule->policy) == 0 &&
		    strcmp(e->namespace_, rule->namespace_) == 0 &&
		    strcmp(e->path, rule->path) == 0)
			return e;
	}
	if (!make_room(c))
		return NULL;
	e = &c->entries[c->n];
	*e = (struct rule_count){ .hash = hash };
	if (!copy_names(e, rule))
		return NULL;
	c->n++;
	return e;
}

void rule_counts_add(struct rule_counts *c, const struct rule_ref *rule, uint64_t denied)
{
	struct rule_count *e = rule ? find(c, rule) : NULL;

	if (e)
		e->denied += denied;
	else
		c->others += denied;
}

void rule_counts_merge(struct rule_counts *into, const struct rule_counts *from)
{
	for (unsigned i = 0; i < from->n; i++) {
		const struct rule_count *e = &from->entries[i];
		struct rule_ref rule = { .policy = e->policy,
					 .namespace_ = e->namespace_,
					 .path = e->path };

		rule_counts_add(into, &rule, e->denied);
	}
	into->others += from->others;
}

void rule_counts_done(struct rule_counts *c)
{
	for (unsigned i = 0; i < c->n; i++)
		free(c->entries[i].policy);
	free(c->entries);
	*c = (struct rule_counts){ 0 };
}
