// SPDX-License-Identifier: Apache-2.0
/* Writing the document. Patterns stand in single quotes, in which only the quote itself is special.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "allow.h"

static void put_byte(char c, FILE *to)
{
	if (c && strchr("\\.+*?()|[]{}^$", c))
		fputc('\\', to);
	if (c == '\'')
		fputc('\'', to);
	fputc(c, to);
}

static void put_path(struct span path, FILE *to)
{
	for (size_t i = 0; i < path.len; i++) {
		if (path.ptr[i] != '*') {
			put_byte(path.ptr[i], to);
		} else if (i + 1 < path.len && path.ptr[i + 1] == '*') {
			fputs(".*", to);
			i++;
		} else {
			fputs("[^/?]*", to);
		}
	}
}

static void put_methods(struct span methods, FILE *to)
{
	for (size_t i = 0; i < methods.len; i++)
		if (methods.ptr[i] == ',')
			fputc('|', to);
		else
			put_byte(methods.ptr[i], to);
}

/* A name is compared without case. Clients leave port 80 out, and only that one. */
static void put_host(const struct allow *a, FILE *to)
{
	fputs("(?i:", to);
	for (size_t i = 0; i < a->host.len; i++)
		put_byte(a->host.ptr[i], to);
	fprintf(to, a->port == 80 ? ")(:%u)?" : "):%u", a->port);
}

static void put_address(const struct address *a, FILE *to)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(a->family, a->ip, text, sizeof(text));
	fprintf(to, "%s/%d", text, a->family == AF_INET ? 32 : 128);
}

static void put_addresses(const struct address *list, size_t n, FILE *to)
{
	fputs("  - toCIDR: [", to);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", '" : "'", to);
		put_address(&list[i], to);
		fputs("'", to);
	}
	fputs("]\n    toPorts:\n", to);
}

static void put_target(const struct allow_target *t, FILE *to)
{
	const struct allow *a = &t->allow;

	if (a->is_name)
		put_addresses(t->addresses, t->n_addresses, to);
	else
		put_addresses(&a->address, 1, to);
	fprintf(to,
		"    - ports:\n      - {port: '%u', protocol: TCP}\n"
		"      rules:\n        http:\n        - path: '",
		a->port);
	put_path(a->path, to);
	fputs("'\n", to);
	if (!span_eq(a->methods, SPAN_LITERAL("*"))) {
		fputs("          method: '", to);
		put_methods(a->methods, to);
		fputs("'\n", to);
	}
	if (a->is_name) {
		fputs("          host: '", to);
		put_host(a, to);
		fputs("'\n", to);
	}
}

char *allow_document(const struct allow_target *targets, size_t n, const struct address *resolvers,
		     size_t n_resolvers)
{
	char *ret = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&ret, &size);
	bool failed;

	if (!to)
		return NULL;
	fputs("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: allow\n"
	      "spec:\n  endpointSelector: {}\n  egress:\n",
	      to);
	for (size_t i = 0; i < n; i++)
		put_target(&targets[i], to);
	if (n_resolvers) {
		put_addresses(resolvers, n_resolvers, to);
		fputs("    - ports:\n      - {port: '53', protocol: ANY}\n", to);
	}
	if (n == 0 && n_resolvers == 0)
		fputs("  []\n", to);
	failed = ferror(to) != 0;
	if (fclose(to) != 0 || failed) {
		free(ret);
		return NULL;
	}
	return ret;
}
