// SPDX-License-Identifier: Apache-2.0
/* Any text as a pattern: strings and prefixes that it was lowered to must match what libhs matches,
 * and an alternative that was not meant must not open. The first line is the pattern, the rest the
 * value. */
#include <hs/hs.h>
#include <stdint.h>
#include <stdlib.h>
#include "matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find(struct arena *mem, const struct pattern *pat, struct span value, bool *ret)
{
	struct automata automata = { .keep = mem };
	struct matcher m = { .patterns = NULL };
	struct hits hits = { .ids = NULL };
	hs_scratch_t *scratch = NULL;
	const char *why;
	bool ok = matcher_add(&m, mem, pat) == 1 && matcher_build(&m, mem, &automata, &why) == 0;

	if (ok && hits_init(&hits, 1) < 0)
		abort();
	if (ok && matcher_scratch(&m, &scratch) < 0)
		abort();
	if (ok) {
		matcher_find(&m, value, scratch, &hits);
		*ret = hits_has(&hits, 1);
	}
	hits_done(&hits);
	hs_free_scratch(scratch);
	automata_done(&automata);
	return ok;
}

static bool begins_with(struct span text, struct span prefix)
{
	return text.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0);
}

static void compare(struct arena *mem, struct span text, struct span value)
{
	struct regex_error err = { .message = NULL };
	struct regex_literals list;
	struct pattern lowered = { .text = text }, expression = { .text = text };
	bool a = false, b = false;
	struct regex *re;

	if (regex_parse(text, mem, &re, &err) < 0) {
		if (!err.message || err.at > text.len)
			abort();
		return;
	}
	expression.expression = regex_print(re, mem);
	if (!expression.expression || regex_prefix(re, mem, &expression.prefix) < 0)
		abort();
	if (regex_literals(re, mem, &list) != 1) {
		/* What is sorted by its prefix is found by it only. */
		if (find(mem, &expression, value, &b) && b &&
		    !begins_with(value, expression.prefix))
			abort();
		return;
	}
	lowered.literals = list.items;
	lowered.n_literals = list.n;
	if (!find(mem, &lowered, value, &a))
		abort();
	if (find(mem, &expression, value, &b) && a != b)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	struct span text = { (const char *)data, end ? (size_t)(end - data) : size };
	struct span value = { end ? (const char *)end + 1 : "", end ? size - text.len - 1 : 0 };
	struct arena mem = { .blocks = NULL };

	/* A pattern comes from a file without NULs. */
	if (text.len && memchr(text.ptr, 0, text.len))
		return 0;
	compare(&mem, text, value);
	arena_done(&mem);
	return 0;
}
