// SPDX-License-Identifier: Apache-2.0
/* The outer parts of a document: apiVersion, kind, metadata, spec and specs. */
#include "read_policy.h"

#include <stdio.h>

#include "lint.h"
#include "sluice/array.h"

struct document_reader {
	struct document *doc;
	struct place place;
	bool foreign; /* of another kind altogether: nothing more can be said of its parts */
};

struct spec_reader {
	struct spec *spec;
	struct place *place;
};

/* Both are taken by keep_names() already. */
static void check_name(struct reader *r, const struct node *value, void *into)
{
	if (reader_is_string(r, value, "\"name\"") && value->text.len == 0)
		reader_error(r, value, "\"name\" is empty");
}

static void check_namespace(struct reader *r, const struct node *value, void *into)
{
	reader_is_string(r, value, "\"namespace\"");
}

static void read_metadata(struct reader *r, const struct node *value, void *into)
{
	static const struct field fields[] = {
		{ "name", check_name, NULL, NULL },
		{ "namespace", check_namespace, NULL, NULL },
		{ "annotations", NULL, NULL, NULL },
		{ "creationTimestamp", NULL, NULL, NULL },
		{ "deletionGracePeriodSeconds", NULL, NULL, NULL },
		{ "deletionTimestamp", NULL, NULL, NULL },
		{ "finalizers", NULL, NULL, NULL },
		{ "generateName", NULL, NULL, NULL },
		{ "generation", NULL, NULL, NULL },
		{ "labels", NULL, NULL, NULL },
		{ "managedFields", NULL, NULL, NULL },
		{ "ownerReferences", NULL, NULL, NULL },
		{ "resourceVersion", NULL, NULL, NULL },
		{ "selfLink", NULL, NULL, NULL },
		{ "uid", NULL, NULL, NULL },
	};
	struct document_reader *d = into;

	if (!reader_fields(r, value, "metadata", fields, ARRAY_SIZE(fields), d->doc))
		return;
	if (!node_get(value, "name"))
		reader_error(r, value, "metadata has no \"name\"");
	if (d->doc->cluster_wide && node_get(value, "namespace"))
		reader_error(r, node_get(value, "namespace"),
			     "a CiliumClusterwideNetworkPolicy has no namespace");
}

/* To deny by default is to say something of the direction, also without any rule. */
static void set_default_deny(struct section *section, bool enabled)
{
	section->default_allow = !enabled;
	section->present |= enabled;
}

static void read_default_deny_egress(struct reader *r, const struct node *value, void *into)
{
	struct spec *spec = into;
	bool enabled;

	if (reader_is_bool(r, value, "\"egress\" in enableDefaultDeny", &enabled))
		set_default_deny(&spec->sections[L4_EGRESS], enabled);
}

static void read_default_deny_ingress(struct reader *r, const struct node *value, void *into)
{
	struct spec *spec = into;
	bool enabled;

	if (reader_is_bool(r, value, "\"ingress\" in enableDefaultDeny", &enabled))
		set_default_deny(&spec->sections[L4_INGRESS], enabled);
}

static void read_default_deny(struct reader *r, const struct node *value, void *into)
{
	static const struct field fields[] = {
		{ "egress", read_default_deny_egress, NULL, NULL },
		{ "ingress", read_default_deny_ingress, NULL, NULL },
	};
	struct spec_reader *s = into;

	reader_fields(r, value, "enableDefaultDeny", fields, ARRAY_SIZE(fields), s->spec);
}

static void read_endpoint_selector(struct reader *r, const struct node *value, void *into)
{
	struct spec_reader *s = into;

	read_selector(r, value, "endpointSelector", &s->spec->selector);
}

static void read_egress(struct reader *r, const struct node *value, void *into)
{
	struct spec_reader *s = into;

	read_rules(r, value, s->spec, L4_EGRESS, s->place, "egress");
}

static void read_egress_deny(struct reader *r, const struct node *value, void *into)
{
	struct spec_reader *s = into;

	read_rules(r, value, s->spec, L4_EGRESS, s->place, "egressDeny");
}

static void read_ingress(struct reader *r, const struct node *value, void *into)
{
	struct spec_reader *s = into;

	read_rules(r, value, s->spec, L4_INGRESS, s->place, "ingress");
}

static void read_ingress_deny(struct reader *r, const struct node *value, void *into)
{
	struct spec_reader *s = into;

	read_rules(r, value, s->spec, L4_INGRESS, s->place, "ingressDeny");
}

static const struct field spec_fields[] = {
	{ "endpointSelector", read_endpoint_selector, NULL, NULL },
	{ "egress", read_egress, NULL, NULL },
	{ "egressDeny", read_egress_deny, NULL, NULL },
	{ "ingress", read_ingress, NULL, NULL },
	{ "ingressDeny", read_ingress_deny, NULL, NULL },
	{ "enableDefaultDeny", read_default_deny, NULL, NULL },
	{ "description", NULL, NULL, NULL },
	{ "labels", NULL, NULL, NULL },
	{ "nodeSelector", NULL, "a policy is about workloads, not nodes", "use endpointSelector" },
	{ "log", NULL, "sluice writes one record for each request anyway", "leave it out" },
};

/* A policy that denies nothing by default must not restrict by its L7 part. */
static void open_l7(struct section *section)
{
	for (size_t i = 0; section->default_allow && i < section->n_rules; i++)
		for (size_t j = 0; j < section->rules[i]->n_ports; j++)
			section->rules[i]->ports[j].l7 = false;
}

static bool splits_world(const struct section *section)
{
	const unsigned world = ENTITY_WORLD4 | ENTITY_WORLD6;

	for (size_t i = 0; i < section->n_rules; i++) {
		const struct peers *p = &section->rules[i]->peers;
		unsigned either = p->entities & (world | ENTITY_ENDPOINTS);

		if (either && either != (world | ENTITY_ENDPOINTS))
			return true;
	}
	return false;
}

static void finish_spec(struct spec *spec)
{
	for (size_t i = 0; i < L4_DIRECTIONS; i++) {
		open_l7(&spec->sections[i]);
		spec->splits_world |= splits_world(&spec->sections[i]);
	}
}

static void read_one_spec(struct reader *r, const struct node *value, struct document_reader *d,
			  const char *path)
{
	struct spec *spec = reader_alloc(r, sizeof(*spec));
	struct place place = { .doc = d->doc };
	struct spec_reader s = { .spec = spec, .place = &place };
	struct document *doc = d->doc;

	if (!spec)
		return;
	snprintf(place.path, sizeof(place.path), "%s", path);
	if (!reader_fields(r, value, "a spec", spec_fields, ARRAY_SIZE(spec_fields), &s))
		return;
	if (!node_get(value, "nodeSelector") && !node_get(value, "endpointSelector"))
		diag_hint(r->diag, reader_error(r, value, "a spec has no \"endpointSelector\""),
			  "write endpointSelector: {} to select every workload");
	if (!node_get(value, "egress") && !node_get(value, "egressDeny") &&
	    !node_get(value, "ingress") && !node_get(value, "ingressDeny"))
		diag_hint(r->diag,
			  reader_error(r, value, "a spec has no \"egress\" and no \"ingress\""),
			  "write egress: [] to allow nothing to go out");
	if (r->oom)
		return; /* a list may have lost its items */
	lint_spec(r, spec);
	finish_spec(spec);
	doc->specs = reader_extend(r, doc->specs, doc->n_specs, sizeof(struct spec *));
	if (doc->specs)
		doc->specs[doc->n_specs++] = spec;
}

static void read_spec(struct reader *r, const struct node *value, void *into)
{
	struct document_reader *d = into;

	if (!d->foreign)
		read_one_spec(r, value, d, "");
}

static void read_specs(struct reader *r, const struct node *value, void *into)
{
	struct document_reader *d = into;
	char path[32];

	if (d->foreign || !reader_is_list(r, value, "\"specs\""))
		return;
	if (value->n == 0)
		diag_hint(r->diag,
			  reader_error(r, value, "\"specs\" is empty: nothing would be held"),
			  "write spec, or list what is to hold");
	for (size_t i = 0; i < value->n && !r->oom; i++) {
		snprintf(path, sizeof(path), "specs[%zu].", i);
		read_one_spec(r, value->items[i], d, path);
	}
}

static void read_version(struct reader *r, const struct node *value, void *into)
{
	struct diag_item *item;

	if (!reader_is_string(r, value, "\"apiVersion\"") ||
	    span_eq(value->text, SPAN_LITERAL("cilium.io/v2")))
		return;
	item = reader_error(r, value, "apiVersion \"%s\" is not known", value->text.ptr);
	diag_hint(r->diag, item, "it must be cilium.io/v2");
}

static const char *const kinds[] = { "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy" };

/* Of another API, and its kind not only misspelt. */
static bool is_foreign(const struct node *root)
{
	const struct node *version = node_get(root, "apiVersion"), *kind = node_get(root, "kind");
	const char *text = kind && kind->kind == NODE_SCALAR ? kind->text.ptr : kinds[0];

	if (strcmp(text, kinds[0]) == 0 || strcmp(text, kinds[1]) == 0)
		return false;
	return !reader_nearest(text, kinds, ARRAY_SIZE(kinds)) ||
	       (version && version->kind == NODE_SCALAR &&
		strncmp(version->text.ptr, "cilium.io/", 10) != 0);
}

static void read_kind(struct reader *r, const struct node *value, void *into)
{
	struct diag_item *item;
	const char *near;

	if (!reader_is_string(r, value, "\"kind\""))
		return;
	if (span_eq(value->text, span_of(kinds[0])) || span_eq(value->text, span_of(kinds[1])))
		return;
	item = reader_error(r, value, "kind \"%s\" is not supported", value->text.ptr);
	near = reader_nearest(value->text.ptr, kinds, ARRAY_SIZE(kinds));
	if (near)
		diag_hint(r->diag, item, "did you mean %s?", near);
	else
		diag_hint(r->diag, item, "it must be %s or %s", kinds[0], kinds[1]);
}

static void require(struct reader *r, const struct node *root, const char *key, const char *hint)
{
	if (!node_get(root, key))
		diag_hint(r->diag, reader_error(r, root, "the document has no \"%s\"", key), "%s",
			  hint);
}

static const char *keep_text(struct reader *r, const struct node *map, const char *key)
{
	const struct node *value = map ? node_get(map, key) : NULL;
	const char *ret;

	if (!value || value->kind != NODE_SCALAR)
		return "";
	ret = arena_copy(r->keep, value->text.ptr, value->text.len);
	r->oom |= !ret;
	return ret;
}

void read_document(struct reader *r, const struct node *root, struct model *model)
{
	static const struct field fields[] = {
		{ "apiVersion", read_version, NULL, NULL }, { "kind", read_kind, NULL, NULL },
		{ "metadata", read_metadata, NULL, NULL },  { "spec", read_spec, NULL, NULL },
		{ "specs", read_specs, NULL, NULL },	    { "status", NULL, NULL, NULL },
	};
	struct document *doc = reader_alloc(r, sizeof(*doc));
	struct document_reader d = { .doc = doc, .foreign = is_foreign(root) };
	const struct node *kind = node_get(root, "kind");

	if (!doc)
		return;
	if (root->kind == NODE_LIST) {
		diag_hint(r->diag,
			  reader_error(r, root, "a policy document must be a mapping, not a list"),
			  "make the list the specs of a CiliumNetworkPolicy");
		return;
	}
	/* Rules refer to these, wherever in the document the metadata stands. */
	doc->name = keep_text(r, node_get(root, "metadata"), "name");
	doc->namespace_ = keep_text(r, node_get(root, "metadata"), "namespace");
	doc->file = r->file;
	r->namespace_ = doc->namespace_;
	doc->cluster_wide = kind && kind->kind == NODE_SCALAR &&
			    span_eq(kind->text, SPAN_LITERAL("CiliumClusterwideNetworkPolicy"));
	if (r->oom || !reader_fields(r, root, "a policy document", fields, ARRAY_SIZE(fields), &d))
		return;
	require(r, root, "apiVersion", "it must be cilium.io/v2");
	require(r, root, "kind",
		"it must be CiliumNetworkPolicy or "
		"CiliumClusterwideNetworkPolicy");
	require(r, root, "metadata", "it needs a name");
	if (!node_get(root, "spec") && !node_get(root, "specs"))
		reader_error(r, root, "the document has neither \"spec\" nor \"specs\"");
	model->documents = reader_extend(r, model->documents, model->n, sizeof(struct document *));
	if (r->oom)
		return;
	model->documents[model->n++] = doc;
	for (size_t i = 0; i < doc->n_specs; i++)
		doc->specs[i]->number = model->n_specs++;
}
