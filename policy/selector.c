// SPDX-License-Identifier: Apache-2.0
#include "model.h"

/* A label that was given without a source may be anybody's, but never reserved: those are given by
 * the system, so that they have to be written in full. */
static bool is_about(const struct requirement *q, const struct label *label)
{
	const char *colon = strchr(label->key, ':');
	struct span key = span_of(colon ? colon + 1 : label->key);
	struct span source = { label->key, colon ? (size_t)(colon - label->key) : 0 };

	if (!span_eq(q->key, key))
		return false;
	if (span_eq(q->source, SPAN_LITERAL("any")) || span_eq(q->source, source))
		return true;
	return span_eq(q->source, SPAN_LITERAL("k8s")) &&
	       (!colon || span_eq(source, SPAN_LITERAL("any")));
}

static bool has_value(const struct requirement *q, const struct label *label)
{
	for (size_t i = 0; i < q->n_values; i++)
		if (span_eq(q->values[i], span_of(label->value)))
			return true;
	return false;
}

static bool requirement_holds(const struct requirement *q, const struct label *labels, size_t n)
{
	bool exists = false, in = false;

	for (size_t i = 0; i < n; i++)
		if (is_about(q, &labels[i])) {
			exists = true;
			in |= has_value(q, &labels[i]);
		}
	switch (q->op) {
	case OP_IN:
		return in;
	case OP_NOT_IN:
		return !in;
	case OP_EXISTS:
		return exists;
	case OP_DOES_NOT_EXIST:
		return !exists;
	}
	return false;
}

const char *labels_namespace(const struct label *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *key = labels[i].key;

		if (strncmp(key, "k8s:", 4) == 0 || strncmp(key, "any:", 4) == 0)
			key += 4;
		if (strcmp(key, NAMESPACE_LABEL) == 0)
			return labels[i].value;
	}
	return NULL;
}

bool labels_in_namespace(const char *name, const struct label *labels, size_t n)
{
	const char *here = *name ? labels_namespace(labels, n) : NULL;

	return !here || strcmp(here, name) == 0;
}

bool selector_matches(const struct selector *s, const struct label *labels, size_t n)
{
	for (size_t i = 0; i < s->n; i++)
		if (!requirement_holds(&s->all[i], labels, n))
			return false;
	return true;
}
