// SPDX-License-Identifier: Apache-2.0
/* toEndpoints and fromEndpoints: other workloads, by their labels; and the labels that are reserved
 * for what is no workload, each of which is an entity. */
#include "policy.h"
#include "read_policy.h"

/* With which Cilium writes the labels of a namespace itself. */
#define NAMESPACE_LABELS "io.cilium.k8s.namespace.labels."

static bool is_reserved(const struct requirement *q)
{
	return span_eq(q->source, SPAN_LITERAL("reserved"));
}

/* Then it is not only about the policy's own namespace. */
static bool names_namespace(const struct selector *s)
{
	const size_t len = sizeof(NAMESPACE_LABELS) - 1;

	for (size_t i = 0; i < s->n; i++) {
		const struct requirement *q = &s->all[i];

		if (!is_reserved(q) &&
		    (span_eq(q->key, SPAN_LITERAL(NAMESPACE_LABEL)) ||
		     (q->key.len >= len && memcmp(q->key.ptr, NAMESPACE_LABELS, len) == 0)))
			return true;
	}
	return false;
}

static const struct requirement *find_reserved(const struct selector *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_reserved(&s->all[i]))
			return &s->all[i];
	return NULL;
}

/* The label is there, which is all that can be said of it: it has no value. */
static bool is_presence(const struct requirement *q)
{
	return q->op == OP_EXISTS || (q->op == OP_IN && q->n_values == 1 && q->values[0].len == 0);
}

static void read_reserved(struct reader *r, const struct selector *s, const struct requirement *q,
			  enum l4_direction direction, struct peers *peers)
{
	const struct node at = { .line = q->line, .column = q->column };
	struct diag_item *item;
	unsigned entity;

	if (!read_find_entity(q->key, &entity)) {
		item = reader_error(r, &at, "the label \"reserved:%.*s\" is not supported",
				    (int)q->key.len, q->key.ptr);
		diag_hint(r->diag, item,
			  "those that mean something here are reserved:host, reserved:world and "
			  "reserved:remote-node");
	} else if (s->n > 1) {
		item = reader_error(r, &at, "nothing has \"reserved:%.*s\" and other labels",
				    (int)q->key.len, q->key.ptr);
		diag_hint(r->diag, item, "make two selectors of it: either is then allowed");
	} else if (!is_presence(q)) {
		item = reader_error(r, &at, "\"reserved:%.*s\" can only be asked for, with \"\"",
				    (int)q->key.len, q->key.ptr);
		diag_hint(r->diag, item, "or use %sEntities", direction_peer(direction));
	} else {
		peers->entities |= entity;
	}
}

static bool selects_any(const struct selector *s, const struct policy_options *o)
{
	for (size_t i = 0; i < o->n_endpoints; i++)
		if (selector_matches(s, o->endpoints[i].labels, o->endpoints[i].n_labels))
			return true;
	return false;
}

static void add_selector(struct reader *r, const struct node *node, enum l4_direction direction,
			 struct peers *peers, const struct selector *s)
{
	const char *peer = direction_peer(direction);
	struct diag_item *item;

	if (!r->options->endpoints_known) {
		item = reader_error(r, node,
				    "sluice does not know which addresses other workloads have");
		diag_hint(r->diag, item, "use %sCIDR or %sEntities", peer, peer);
		return;
	}
	if (r->options->lint && !selects_any(s, r->options))
		reader_warn(r, node, "this selects no endpoint that is known");
	peers->endpoints = reader_extend(r, peers->endpoints, peers->n_endpoints, sizeof(*s));
	if (peers->endpoints)
		peers->endpoints[peers->n_endpoints++] = *s;
}

static void read_endpoint(struct reader *r, const struct node *node, enum l4_direction direction,
			  const struct document *doc, struct peers *peers)
{
	const char *what = direction == L4_INGRESS ? "an entry of fromEndpoints"
						   : "an entry of toEndpoints";
	size_t errors = diag_count(r->diag);
	struct selector s = { .all = NULL };
	const struct requirement *q;

	if (!read_selector(r, node, what, &s) || diag_count(r->diag) != errors)
		return;
	s.anywhere = doc->cluster_wide || names_namespace(&s);
	q = find_reserved(&s);
	if (q)
		read_reserved(r, &s, q, direction, peers);
	else
		add_selector(r, node, direction, peers, &s);
}

void read_endpoints(struct reader *r, const struct node *value, enum l4_direction direction,
		    const struct document *doc, struct peers *peers)
{
	const char *what = direction == L4_INGRESS ? "\"fromEndpoints\"" : "\"toEndpoints\"";

	if (!reader_is_list(r, value, what))
		return;
	peers->namespace_ = doc->namespace_;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_endpoint(r, value->items[i], direction, doc, peers);
}
