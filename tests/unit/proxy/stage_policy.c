/* SPDX-License-Identifier: Apache-2.0 */
#include "stage_policy.h"
#include <string.h>
#include "sluice/array.h"

bool stage_begins(struct span text, const char *prefix)
{
	return text.len >= strlen(prefix) && memcmp(text.ptr, prefix, strlen(prefix)) == 0;
}

enum judged stage_verdict(const struct request *req, bool connect)
{
	if (connect)
		return stage_begins(req->authority, "deny") ? JUDGED_DENY : JUDGED_ALLOW;
	if (stage_begins(req->path, "/deny"))
		return JUDGED_DENY;
	if (stage_begins(req->path, "/bad"))
		return JUDGED_MALFORMED;
	if (stage_begins(req->path, "/close"))
		return JUDGED_CLOSE;
	return JUDGED_ALLOW;
}

#define ACTION(k, n, v)                                                                         \
	{                                                                                       \
		.kind = HEADER_##k, .name = { n, sizeof(n) - 1 }, .value = { v, sizeof(v) - 1 } \
	}

static const struct header_action add = ACTION(ADD, "X-A", "one"),
				  set = ACTION(REPLACE, "X-A", "one"),
				  delete = ACTION(DELETE, "X-A", "one"),
				  watch = ACTION(LOG, "X-A", "one"),
				  add_other = ACTION(ADD, "X-B", "two"),
				  delete_other = ACTION(DELETE, "x-b", "x"),
				  add_late = ACTION(ADD, "x-a", "three");
static char large_value[8192];
static const struct header_action add_large = { .kind = HEADER_ADD,
						.name = { "x-l", 3 },
						.value = { large_value, sizeof(large_value) } };

#define ACTIONS(...)                          \
	(const struct header_action *const[]) \
	{                                     \
		__VA_ARGS__                   \
	}
#define LARGE &add_large, &add_large
static const struct {
	const char *path;
	const struct header_action *const *actions;
	size_t n;
} edits[] = {
	{ "/add", ACTIONS(&add), 1 },
	{ "/set", ACTIONS(&set), 1 },
	{ "/del", ACTIONS(&delete), 1 },
	{ "/log", ACTIONS(&watch), 1 },
	{ "/mix", ACTIONS(&watch, &add_other, &set, &delete_other, &add_late), 5 },
	{ "/twice", ACTIONS(&add, &set, &add_other, &set), 4 },
	{ "/none", ACTIONS(&add, &add_other, &delete, &delete_other), 4 },
	{ "/long", ACTIONS(&add_large), 1 },
	{ "/big", ACTIONS(LARGE, LARGE, LARGE, LARGE), 8 },
};

const struct header_action *const *stage_actions(struct span path, size_t *n)
{
	if (!large_value[0])
		memset(large_value, 'l', sizeof(large_value));
	for (size_t i = 0; i < ARRAY_SIZE(edits); i++)
		if (stage_begins(path, edits[i].path)) {
			*n = edits[i].n;
			return edits[i].actions;
		}
	*n = 0;
	return NULL;
}
