// SPDX-License-Identifier: Apache-2.0
/* Any argument of --allow: what is accepted makes a document that loads, without a warning of the
 * kind that says that nothing can match. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "allow.h"
#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(const char *text)
{
	struct diag diag = { .items = NULL };
	struct policy *p = NULL;

	if (policy_load_text("--allow", text, strlen(text), NULL, 0, &p, &diag) != 0) {
		/* The only limit that the argument does not know: an expression may be too long. */
		if (diag.n != 1 || !strstr(diag.items[0].message, "character"))
			abort();
	} else if (policy_n_selected(p) != 1) {
		abort();
	}
	policy_unref(p);
	diag_done(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct allow_target t = { .addresses = NULL };
	struct diag diag = { .items = NULL };
	char *text = malloc(size + 1), *document;
	int r;

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	r = allow_parse("--allow", text, &t.allow, &diag);
	if ((r == 0) != (diag.n == 0))
		abort();
	diag_done(&diag);
	if (r == 0) {
		document = allow_document(&t, 1, NULL, 0);
		if (!document)
			abort();
		load(document);
		free(document);
	}
	free(text);
	return 0;
}
