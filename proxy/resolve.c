/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "sluice/span.h"
#include "sockaddr.h"

static const struct address loopback[] = {
	{ .family = AF_INET, .ip = { 127, 0, 0, 1 } },
	{ .family = AF_INET6, .ip = { [15] = 1 } },
};

static bool is_any(const struct address *a)
{
	static const uint8_t any[sizeof(a->ip)];

	return memcmp(a->ip, any, sizeof(any)) == 0;
}

static int add(struct addresses *list, struct address a)
{
	struct address *longer;

	/* As the kernel takes them when somebody connects there. */
	if (is_any(&a))
		a = loopback[a.family == AF_INET6];
	a.port = 0;
	a.scope = 0; /* A policy knows no links: the address is meant on each of them. */
	for (size_t i = 0; i < list->n; i++)
		if (memcmp(&list->items[i], &a, sizeof(a)) == 0)
			return 0;
	longer = realloc(list->items, (list->n + 1) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	list->items = longer;
	list->items[list->n++] = a;
	return 0;
}

static int add_loopback(struct addresses *list)
{
	int r = add(list, loopback[0]);

	return r < 0 ? r : add(list, loopback[1]);
}

static bool is_localhost(const char *name)
{
	static const char below[] = ".localhost";
	size_t len = strlen(name), n = sizeof(below) - 1;

	return strcasecmp(name, below + 1) == 0 ||
	       (len > n && strcasecmp(name + len - n, below) == 0);
}

static int add_found(struct addresses *list, const struct addrinfo *found)
{
	int r = 0;

	for (const struct addrinfo *i = found; i && r == 0; i = i->ai_next) {
		struct sockaddr_storage ss = { 0 };
		struct address a;

		if (i->ai_addrlen > sizeof(ss))
			continue;
		memcpy(&ss, i->ai_addr, i->ai_addrlen);
		if (sockaddr_to(&ss, &a) == 0)
			r = add(list, a);
	}
	return r;
}

int resolve_name(const char *name, struct addresses *ret, struct error *err)
{
	/* One type of socket, or each address comes three times. */
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	bool local = is_localhost(name);
	size_t before = ret->n;
	int code, r = local ? add_loopback(ret) : 0;

	if (r < 0)
		return r;
	code = getaddrinfo(name, NULL, &hints, &found);
	if (code == EAI_MEMORY)
		return -ENOMEM;
	if (code != 0 && !local) {
		error_set(err, "%s", code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
		return -ENOENT;
	}
	if (code == 0) {
		r = add_found(ret, found);
		freeaddrinfo(found);
	}
	if (r == 0 && ret->n == before && !local) {
		error_set(err, "it has no address");
		return -ENOENT;
	}
	return r;
}

/* The address of a line "nameserver ADDRESS", without a zone; libc reads no further either. False
 * for other lines, and for what is no address. */
static bool read_server(char *line, struct sockaddr_storage *ret)
{
	static const char blanks[] = " \t\r\n";
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	char *save = NULL, *word = strtok_r(line, blanks, &save);

	if (!word || strcmp(word, "nameserver") != 0)
		return false;
	word = strtok_r(NULL, blanks, &save);
	if (!word)
		return false;
	word[strcspn(word, "%")] = 0;
	*ret = (struct sockaddr_storage){ .ss_family = AF_INET };
	if (inet_aton(word, &four->sin_addr))
		return true;
	ret->ss_family = AF_INET6;
	return inet_pton(AF_INET6, word, &six->sin6_addr) == 1;
}

static int read_servers(FILE *from, struct addresses *ret)
{
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	errno = 0;
	while (r == 0 && getline(&line, &size, from) >= 0) {
		struct sockaddr_storage ss;
		struct address a;

		if (read_server(line, &ss) && sockaddr_to(&ss, &a) == 0)
			r = add(ret, a);
		errno = 0;
	}
	if (r == 0 && !feof(from))
		r = errno ? -errno : -EIO;
	free(line);
	return r;
}

int resolve_servers(const char *path, struct addresses *ret, struct error *err)
{
	FILE *from = fopen(path, "re");
	size_t before = ret->n;
	int r = from ? read_servers(from, ret) : -errno;

	if (from)
		fclose(from);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && ret->n == before)
		r = add_loopback(ret);
	if (r < 0)
		error_set(err, "%s cannot be read: %s", path, strerror(-r));
	return r;
}

void addresses_done(struct addresses *a)
{
	free(a->items);
	*a = (struct addresses){ 0 };
}
