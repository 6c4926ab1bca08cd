/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_source.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "allow.h"
#include "resolve.h"
#include "text.h"

/* --- the arguments, as a document --- */

struct targets {
	struct allow_target *items;
	struct addresses *found; /* of each name, which the items refer to */
	size_t n;
};

static int no_memory(struct diag *diag)
{
	diag->oom = 1;
	return -ENOMEM;
}

static int target_resolve(struct allow_target *t, struct addresses *found, const char *name,
			  const char *argument, struct diag *diag)
{
	char *host = strndup(t->allow.host.ptr, t->allow.host.len);
	unsigned column = (unsigned)(t->allow.host.ptr - argument) + 1;
	struct error why = { 0 };
	int r;

	if (!host)
		return no_memory(diag);
	r = resolve_name(host, found, &why);
	if (r == -ENOMEM)
		diag->oom = 1;
	else if (r < 0)
		diag_hint(diag,
			  diag_add(diag, name, 1, column, "the name \"%s\" cannot be resolved: %s",
				   host, why.text),
			  "write it as clients do, or write the server's address");
	free(host);
	t->addresses = found->items;
	t->n_addresses = found->n;
	return r;
}

static int target_read(struct allow_target *t, struct addresses *found, const char *argument,
		       struct diag *diag)
{
	char *name = NULL;
	int r;

	if (asprintf(&name, "--allow '%s'", argument) < 0)
		return no_memory(diag);
	r = allow_parse(name, argument, &t->allow, diag);
	if (r == 0 && t->allow.is_name)
		r = target_resolve(t, found, name, argument, diag);
	free(name);
	return r;
}

static void targets_done(struct targets *t)
{
	for (size_t i = 0; t->found && i < t->n; i++)
		addresses_done(&t->found[i]);
	free(t->found);
	free(t->items);
}

/* All of them are read, so that all errors are found. */
static int targets_read(struct targets *t, const struct run_options *o, struct diag *diag)
{
	int first = 0;

	t->n = o->n_allows;
	t->items = calloc(t->n, sizeof(*t->items));
	t->found = calloc(t->n, sizeof(*t->found));
	if (!t->items || !t->found)
		return no_memory(diag);
	for (size_t i = 0; i < t->n && !diag->oom; i++) {
		int r = target_read(&t->items[i], &t->found[i], o->allows[i], diag);

		if (first == 0)
			first = r;
	}
	return diag->oom ? -ENOMEM : first;
}

static int make_document(const struct run_options *o, char **ret, struct diag *diag)
{
	struct targets targets = { 0 };
	struct addresses servers = { 0 };
	struct error why = { 0 };
	int r = targets_read(&targets, o, diag);

	if (r == 0) {
		r = resolve_servers(POLICY_SOURCE_RESOLV_CONF, &servers, &why);
		if (r < 0 && r != -ENOMEM)
			diag_add(diag, "--allow", 0, 0, "%s", why.text);
	}
	if (r == 0) {
		*ret = allow_document(targets.items, targets.n, servers.items, servers.n);
		r = *ret ? 0 : -ENOMEM;
	}
	if (r == -ENOMEM)
		diag->oom = 1;
	addresses_done(&servers);
	targets_done(&targets);
	return r;
}

int policy_source_open(const struct run_options *o, struct policy_source *ret, struct diag *diag)
{
	struct policy_source s = { .options = o };
	int r = o->n_allows ? make_document(o, &s.allow, diag) : 0;

	if (r == 0)
		*ret = s;
	return r;
}

void policy_source_done(struct policy_source *s)
{
	free(s->allow);
	s->allow = NULL;
}

/* --- loading --- */

/* What the options of the run say, and what MORE says besides. */
static int load(const struct policy_source *s, const struct policy_options *more,
		struct policy **ret, struct diag *diag)
{
	const struct policy_text allow = { "--allow", s->allow, s->allow ? strlen(s->allow) : 0 };
	struct policy_options options = *more;

	options.paths = s->options->policies;
	options.n_paths = s->options->n_policies;
	options.labels = s->options->labels;
	options.n_labels = s->options->n_labels;
	options.secrets = s->options->secrets;
	options.ports = s->options->ports;
	options.n_ports = s->options->n_ports;
	options.texts = &allow;
	options.n_texts = s->allow ? 1 : 0;
	options.endpoints_known = s->options->peers.known;
	options.endpoints = s->options->peers.items;
	options.n_endpoints = s->options->peers.n;
	return policy_load(&options, ret, diag);
}

int policy_source_load(const struct policy_source *s, const struct policy *before,
		       struct policy **ret, struct diag *diag)
{
	struct policy_options options = { .before = before };

	return load(s, &options, ret, diag);
}

/* --- showing --- */

/* Only a document's end may stand before a directive. */
static bool has_directive(const struct policy_text *t)
{
	for (size_t i = 0; i < t->len; i++)
		if (t->text[i] == '%' &&
		    (i == 0 || t->text[i - 1] == '\n' || t->text[i - 1] == '\r'))
			return true;
	return false;
}

/* A path is another's text as well: what ended the comment would be read. */
static void put_name(const char *name, FILE *to)
{
	for (; *name; name++) {
		char piece[8];
		struct text escaped = TEXT_INIT(piece);

		text_add_escaped(&escaped, (struct span){ name, 1 });
		fwrite(piece, 1, escaped.len, to);
	}
}

static void on_text(void *ctx, const struct policy_text *t)
{
	FILE *to = ctx;

	if (ftell(to) > 0)
		fputs(has_directive(t) ? "...\n" : "---\n", to);
	fputs("# ", to);
	put_name(t->name, to);
	fputc('\n', to);
	fwrite(t->text, 1, t->len, to);
	if (t->len && t->text[t->len - 1] != '\n')
		fputc('\n', to);
}

int policy_source_show(const struct policy_source *s, struct policy **ret, char **text,
		       struct diag *diag)
{
	struct policy *policy;
	char *shown = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&shown, &size);
	struct policy_options options = { .on_text = on_text, .on_text_ctx = to };
	int r = to ? load(s, &options, &policy, diag) : no_memory(diag);
	bool failed = to && ferror(to);

	if (to && (fclose(to) != 0 || failed) && r == 0) {
		policy_unref(policy);
		r = no_memory(diag);
	}
	if (r < 0) {
		free(shown);
		return r;
	}
	*ret = policy;
	*text = shown;
	return 0;
}
