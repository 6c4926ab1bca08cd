// SPDX-License-Identifier: Apache-2.0
/* Addresses and entities. */
#include "read_policy.h"

#include <arpa/inet.h>

#include "sluice/array.h"

static void mask_bits(struct cidr *c)
{
	for (unsigned bit = c->len; bit < sizeof(c->ip) * 8; bit++)
		c->ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

/* The digits behind the slash; without a slash it is one address. */
static bool parse_length(const char *slash, unsigned most, uint8_t *ret)
{
	unsigned value = 0;

	*ret = (uint8_t)most;
	if (!slash)
		return true;
	if (!slash[1] || (slash[1] == '0' && slash[2]) || strlen(slash) > 4)
		return false;
	for (const char *s = slash + 1; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		value = value * 10 + (unsigned)(*s - '0');
	}
	*ret = (uint8_t)value;
	return value <= most;
}

bool read_cidr(struct reader *r, const struct node *node, struct cidr *ret)
{
	char text[INET6_ADDRSTRLEN];
	const char *slash;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (!reader_is_string(r, node, "an address"))
		return false;
	slash = strchr(node->text.ptr, '/');
	len = slash ? (size_t)(slash - node->text.ptr) : node->text.len;
	if (len >= sizeof(text))
		goto refuse;
	memcpy(text, node->text.ptr, len);
	text[len] = 0;
	if (inet_pton(AF_INET, text, ret->ip) == 1)
		ret->family = 4;
	else if (inet_pton(AF_INET6, text, ret->ip) == 1)
		ret->family = 6;
	else
		goto refuse;
	if (!parse_length(slash, ret->family == 4 ? 32 : 128, &ret->len))
		goto refuse;
	if (ret->family == 6 && ret->len >= 96 && address_ip_is_mapped(ret->ip)) {
		diag_hint(r->diag, reader_error(r, node, "an IPv4-mapped address never matches"),
			  "write it as IPv4");
		return false;
	}
	mask_bits(ret);
	return true;
refuse:
	diag_hint(r->diag, reader_error(r, node, "\"%s\" is no address prefix", node->text.ptr),
		  "write it like 10.1.0.0/16 or 2001:db8::/32");
	return false;
}

static struct cidr_set *add_set(struct reader *r, struct peers *peers)
{
	peers->cidrs = reader_extend(r, peers->cidrs, peers->n_cidrs, sizeof(*peers->cidrs));
	return peers->cidrs ? &peers->cidrs[peers->n_cidrs++] : NULL;
}

void read_cidr_list(struct reader *r, const struct node *value, enum l4_direction direction,
		    struct peers *peers)
{
	const char *what = direction == L4_INGRESS ? "\"fromCIDR\"" : "\"toCIDR\"";
	struct cidr cidr;

	if (!reader_is_list(r, value, what))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++) {
		struct cidr_set *set;

		if (!read_cidr(r, value->items[i], &cidr))
			continue;
		set = add_set(r, peers);
		if (set)
			set->cidr = cidr;
	}
}

static void read_set_cidr(struct reader *r, const struct node *value, void *into)
{
	struct cidr_set *set = into;

	read_cidr(r, value, &set->cidr);
}

static void read_except(struct reader *r, const struct node *value, void *into)
{
	struct cidr_set *set = into;
	struct cidr cidr;

	if (!reader_is_list(r, value, "\"except\""))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++) {
		if (!read_cidr(r, value->items[i], &cidr))
			continue;
		set->except = reader_extend(r, set->except, set->n_except, sizeof(cidr));
		if (set->except)
			set->except[set->n_except++] = cidr;
	}
}

static void check_excepts(struct reader *r, const struct node *node, const struct cidr_set *set)
{
	const struct node *list = node_get(node, "except");

	/* With an error among them the two lists differ in length: that was reported. */
	if (!set->cidr.family || !list || list->kind != NODE_LIST || list->n != set->n_except)
		return;
	for (size_t i = 0; i < list->n; i++)
		if (!cidr_is_within(&set->except[i], &set->cidr))
			reader_error(r, list->items[i], "\"%s\" is not within its cidr",
				     list->items[i]->text.ptr);
}

void read_cidr_sets(struct reader *r, const struct node *value, enum l4_direction direction,
		    struct peers *peers)
{
	static const struct field fields[] = {
		{ "cidr", read_set_cidr, NULL, NULL },
		{ "except", read_except, NULL, NULL },
		{ "cidrGroupRef", NULL, "CiliumCIDRGroup is not known here",
		  "write the addresses" },
		{ "cidrGroupSelector", NULL, "CiliumCIDRGroup is not known here",
		  "write the addresses" },
	};
	const char *what = direction == L4_INGRESS ? "\"fromCIDRSet\"" : "\"toCIDRSet\"";
	const char *entry = direction == L4_INGRESS ? "an entry of fromCIDRSet"
						    : "an entry of toCIDRSet";

	if (!reader_is_list(r, value, what))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++) {
		const struct node *item = value->items[i];
		struct cidr_set *set = add_set(r, peers);

		if (!set || !reader_fields(r, item, entry, fields, ARRAY_SIZE(fields), set))
			continue;
		if (!node_get(item, "cidr") && !node_get(item, "cidrGroupRef") &&
		    !node_get(item, "cidrGroupSelector"))
			reader_error(r, item, "%s has no \"cidr\"", entry);
		check_excepts(r, item, set);
	}
}

static const struct {
	const char *name;
	bool label; /* Cilium also has the label reserved:NAME */
	unsigned means;
	const char *refusal;
	const char *hint; /* behind the refusal and "to" or "from" */
} entities[] = {
	{ "all", false, ENTITY_LOCAL | ENTITY_WORLD4 | ENTITY_WORLD6 | ENTITY_ENDPOINTS, NULL,
	  NULL },
	{ "world", true, ENTITY_WORLD4 | ENTITY_WORLD6, NULL, NULL },
	{ "host", true, ENTITY_LOCAL, NULL, NULL },
	{ "cluster", false, ENTITY_LOCAL | ENTITY_ENDPOINTS, NULL, NULL },
	{ "remote-node", true, 0, NULL, NULL },
	{ "world-ipv4", true, ENTITY_WORLD4, NULL, NULL },
	{ "world-ipv6", true, ENTITY_WORLD6, NULL, NULL },
	{ "kube-apiserver", true, 0, "use ", "CIDR with its address" },
	{ "init", true, 0, "it means nothing here", NULL },
	{ "health", true, 0, "it means nothing here", NULL },
	{ "unmanaged", true, 0, "it means nothing here", NULL },
	{ "ingress", true, 0, "it means nothing here", NULL },
	{ "none", false, 0, "write ", "Entities: [] for nobody" },
};

bool read_find_entity(struct span name, unsigned *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(entities); i++) {
		if (!entities[i].label || entities[i].refusal ||
		    !span_eq(name, span_of(entities[i].name)))
			continue;
		*ret = entities[i].means;
		return true;
	}
	return false;
}

static void read_entity(struct reader *r, const struct node *node, enum l4_direction direction,
			struct peers *peers)
{
	const char *names[ARRAY_SIZE(entities)], *near;
	struct diag_item *item;

	if (!reader_is_string(r, node, "an entity"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(entities); i++) {
		names[i] = entities[i].name;
		if (!span_eq(node->text, span_of(names[i])))
			continue;
		peers->entities |= entities[i].means;
		if (entities[i].refusal)
			diag_hint(r->diag,
				  reader_error(r, node, "the entity \"%s\" is not supported",
					       names[i]),
				  "%s%s%s", entities[i].refusal,
				  entities[i].hint ? direction_peer(direction) : "",
				  entities[i].hint ? entities[i].hint : "");
		return;
	}
	item = reader_error(r, node, "no such entity: \"%s\"", node->text.ptr);
	near = reader_nearest(node->text.ptr, names, ARRAY_SIZE(names));
	if (near)
		diag_hint(r->diag, item, "did you mean %s?", near);
}

void read_entities(struct reader *r, const struct node *value, enum l4_direction direction,
		   struct peers *peers)
{
	const char *what = direction == L4_INGRESS ? "\"fromEntities\"" : "\"toEntities\"";

	if (!reader_is_list(r, value, what))
		return;
	for (size_t i = 0; i < value->n && !r->oom; i++)
		read_entity(r, value->items[i], direction, peers);
}
