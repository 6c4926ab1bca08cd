/* SPDX-License-Identifier: Apache-2.0 */
/* From the options of a run to its policy: names, resolvers, documents, and what is shown. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "policy_source.h"
#include "resolve.h"
#include "sluice/array.h"
#include "text.h"

/* --- the system's resolver, which this machine does not decide --- */

#define FOUND_MAX 4

static const struct {
	const char *name;
	int code;
	const char *found[FOUND_MAX]; /* in the order of the resolver */
} known[] = {
	{ "four", 0, { "10.0.0.4" } },
	{ "six", 0, { "2001:db8::6" } },
	{ "both", 0, { "2001:db8::1", "10.0.0.1", "2001:db8::2" } },
	{ "twice", 0, { "10.0.0.1", "10.0.0.1" } },
	{ "mapped", 0, { "::ffff:10.0.0.1", "10.0.0.1" } },
	{ "link", 0, { "fe80::1" } },
	{ "blocked", 0, { "0.0.0.0", "::" } },
	{ "localhost", 0, { "127.0.0.1", "127.0.0.9" } },
	{ "busy", EAI_AGAIN, { NULL } },
	{ "memory", EAI_MEMORY, { NULL } },
	{ "system", EAI_SYSTEM, { NULL } },
	{ "empty", 0, { NULL } },
};

static unsigned n_asked;

/* One answer at a time; allocations are counted, so that it takes none. */
static struct found {
	struct addrinfo info[FOUND_MAX];
	struct sockaddr_in6 six[FOUND_MAX];
	bool lent;
} last;

static struct addrinfo *answer(const char *const *texts)
{
	struct found *f = &last;

	assert_false(f->lent);
	*f = (struct found){ .lent = true };
	for (size_t i = 0; i < FOUND_MAX && texts[i]; i++) {
		struct sockaddr_in *four = (struct sockaddr_in *)&f->six[i];
		struct addrinfo *info = &f->info[i];

		if (inet_pton(AF_INET, texts[i], &four->sin_addr) == 1) {
			info->ai_family = AF_INET;
			info->ai_addrlen = sizeof(*four);
		} else {
			assert_int_equal(inet_pton(AF_INET6, texts[i], &f->six[i].sin6_addr), 1);
			info->ai_family = AF_INET6;
			info->ai_addrlen = sizeof(f->six[i]);
			f->six[i].sin6_scope_id = strncmp(texts[i], "fe80", 4) == 0 ? 7 : 0;
		}
		four->sin_family = (sa_family_t)info->ai_family;
		info->ai_addr = (struct sockaddr *)four;
		if (i > 0)
			f->info[i - 1].ai_next = info;
	}
	if (!texts[0]) { /* an address of a family that is not ours */
		f->info[0].ai_addr = (struct sockaddr *)&f->six[0];
		f->six[0].sin6_family = AF_UNIX;
		f->info[0].ai_addrlen = sizeof(f->six[0]);
	}
	return &f->info[0];
}

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret);
void __wrap_freeaddrinfo(struct addrinfo *info);

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		       struct addrinfo **ret)
{
	n_asked++;
	assert_null(service);
	assert_int_equal(hints->ai_family, AF_UNSPEC);
	assert_int_equal(hints->ai_flags, 0);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].name, name) != 0)
			continue;
		errno = EIO; /* for EAI_SYSTEM */
		if (known[i].code == 0)
			*ret = answer(known[i].found);
		return known[i].code;
	}
	return EAI_NONAME;
}

void __wrap_freeaddrinfo(struct addrinfo *info)
{
	assert_ptr_equal(info, last.info);
	last.lent = false;
}

static void describe(const struct addresses *list, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size - 1 };

	for (size_t i = 0; i < list->n; i++) {
		assert_int_equal(list->items[i].port, 0);
		text_add(&t, i ? " " : "");
		text_add_ip(&t, &list->items[i]);
	}
	assert_false(t.cut);
	buf[t.len] = '\0';
}

static const struct {
	const char *name;
	int code;
	const char *want; /* addresses, or the reason */
} names[] = {
	{ "four", 0, "10.0.0.4" },
	{ "six", 0, "2001:db8::6" },
	{ "both", 0, "2001:db8::1 10.0.0.1 2001:db8::2" },
	{ "twice", 0, "10.0.0.1" },
	{ "mapped", 0, "10.0.0.1" },
	{ "link", 0, "fe80::1" },
	{ "blocked", 0, "127.0.0.1 ::1" },
	{ "localhost", 0, "127.0.0.1 ::1 127.0.0.9" },
	{ "LocalHost", 0, "127.0.0.1 ::1" },
	{ "a.b.LOCALHOST", 0, "127.0.0.1 ::1" },
	{ "notlocalhost", -ENOENT, "Name or service not known" },
	{ ".localhost", -ENOENT, "Name or service not known" },
	{ "busy", -ENOENT, "Temporary failure in name resolution" },
	{ "system", -ENOENT, "Input/output error" },
	{ "empty", -ENOENT, "it has no address" },
	{ "memory", -ENOMEM, "" },
};

static void test_names(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct addresses list = { 0 };
		struct error err = { 0 };
		char got[256];

		if (resolve_name(names[i].name, &list, &err) != names[i].code)
			fail_msg("%s: %s", names[i].name, err.text);
		describe(&list, got, sizeof(got));
		assert_string_equal(names[i].code ? err.text : got, names[i].want);
		addresses_done(&list);
	}
}

static const struct {
	const char *text, *want;
} servers[] = {
	{ "nameserver 10.0.0.53\n", "10.0.0.53" },
	{ "# none\nsearch example.com\noptions edns0\n", "127.0.0.1 ::1" },
	{ "", "127.0.0.1 ::1" },
	{ "nameserver\tfe80::1%eth0\nnameserver 2001:db8::53 # x\r\nnameserver ::ffff:10.0.0.53",
	  "fe80::1 2001:db8::53 10.0.0.53" },
	{ "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.1\n  nameserver 10.0.0.3\n"
	  "nameserver 10.0.0.4\n",
	  "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4" },
	{ "nameserver 0.0.0.0\nnameserver ::\n", "127.0.0.1 ::1" },
	{ "#nameserver 10.0.0.1\n;nameserver 10.0.0.1\nnameservers 10.0.0.1\nnameserver\n"
	  "nameserver dns.example\nnameserver 10.0.0.256\nnameserver 10.0.0.1:53\n",
	  "127.0.0.1 ::1" },
};

static char folder[] = "/tmp/test_policy_source.XXXXXX";

static void path_in_folder(const char *name, char *buf, size_t size)
{
	assert_true((size_t)snprintf(buf, size, "%s/%s", folder, name) < size);
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *to;

	path_in_folder(name, path, sizeof(path));
	to = fopen(path, "we");
	assert_non_null(to);
	assert_true(fputs(text, to) >= 0);
	assert_int_equal(fclose(to), 0);
}

static void test_servers(void **state)
{
	struct addresses list = { 0 };
	struct error err;
	char path[128], got[256];

	path_in_folder("resolv.conf", path, sizeof(path));
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		write_file("resolv.conf", servers[i].text);
		assert_int_equal(resolve_servers(path, &list, &err), 0);
		describe(&list, got, sizeof(got));
		assert_string_equal(got, servers[i].want);
		addresses_done(&list);
	}
	unlink(path);
	assert_int_equal(resolve_servers(path, &list, &err), 0);
	describe(&list, got, sizeof(got));
	assert_string_equal(got, "127.0.0.1 ::1");
	addresses_done(&list);
	assert_int_equal(resolve_servers(folder, &list, &err), -EISDIR);
	assert_non_null(strstr(err.text, "cannot be read: Is a directory"));
	assert_int_equal(list.n, 0);
}

/* --- the arguments --- */

static char *printed(struct diag *diag)
{
	char *ret = NULL;
	size_t size;
	FILE *to = open_memstream(&ret, &size);

	assert_non_null(to);
	diag_print(diag, to);
	diag_done(diag);
	fclose(to);
	return ret;
}

static void test_wrong_arguments(void **state)
{
	static const char *allows[] = { "get http://a/", "GET http://both/", "GET  http://gone/",
					"GET http://busy/" };
	const struct run_options o = { .allows = allows, .n_allows = ARRAY_SIZE(allows) };
	struct policy_source s;
	struct diag diag = { 0 };
	char *said;

	assert_int_equal(policy_source_open(&o, &s, &diag), -EINVAL);
	said = printed(&diag);
	assert_string_equal(
		said,
		"--allow 'get http://a/':1:1: a method in small letters; methods are compared with "
		"case: write GET, not get\n"
		"--allow 'GET  http://gone/':1:13: the name \"gone\" cannot be resolved: Name or "
		"service not known; write it as clients do, or write the server's address\n"
		"--allow 'GET http://busy/':1:12: the name \"busy\" cannot be resolved: Temporary "
		"failure in name resolution; write it as clients do, or write the server's "
		"address\n");
	free(said);
}

static enum l4_action action(const struct policy *p, const char *ip, uint16_t port,
			     uint8_t protocol)
{
	struct address a = { .family = strchr(ip, ':') ? AF_INET6 : AF_INET, .port = port };
	const struct ruleset *rules;

	assert_int_equal(inet_pton(a.family, ip, a.ip), 1);
	return policy_l4(p, &a, false, protocol, &rules);
}

static const char *allows[] = { "GET http://both:81/a", "* http://10.0.0.9/**" };
static struct named_port ports[] = { { "web", IPPROTO_TCP, 8080 }, { "web", 0, 8081 } };

#define HEAD                                                                                \
	"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: x}\nspec:\n" \
	"  endpointSelector: {}\n  egress:\n"
#define JSON(cidr)                                                                    \
	"{\n\t\"apiVersion\": \"cilium.io/v2\", \"kind\": \"CiliumNetworkPolicy\",\n" \
	"\t\"metadata\": {\"name\": \"j\"}, \"spec\": {\"endpointSelector\": {},\n"   \
	"\t\t\"egress\": [{\"toCIDR\": [\"" cidr "\"], \"toPorts\": [{\"ports\": "    \
	"[{\"port\": \"7\", \"protocol\": \"UDP\"}]}]}]}}"

/* In the order of their names; each of them ends or begins in another way. */
static const struct {
	const char *name, *text;
} files[] = {
	{ "a.json", JSON("10.0.1.0/24") },
	{ "b.yaml", "%YAML 1.2\n---\n" HEAD "  - toCIDR: [10.0.2.1]" },
	{ "c.yaml", "---\n---\n# nothing\n---\n" HEAD "  - toCIDR: [10.0.3.1]\n...\n" },
	{ "d.json", JSON("10.0.4.0/24") },
	{ "e.yaml", HEAD "  - toPorts: [{ports: [{port: Web, protocol: TCP}]}]\r\n---\r\n" HEAD
			 "  - toCIDR: [10.0.5.1]\n  description: |\n    %no\n\n    ---\n" },
	{ "f\n- g\xff.yaml", HEAD "  - toCIDR: [10.0.6.1]\n" },
};

static void check_policy(const struct policy *p)
{
	assert_int_equal(action(p, "10.0.0.1", 81, IPPROTO_TCP), L4_STEER);
	assert_int_equal(action(p, "2001:db8::1", 81, IPPROTO_TCP), L4_STEER);
	assert_int_equal(action(p, "2001:db8::2", 81, IPPROTO_TCP), L4_STEER);
	assert_int_equal(action(p, "2001:db8::2", 80, IPPROTO_TCP), L4_REFUSE);
	assert_int_equal(action(p, "10.0.0.9", 80, IPPROTO_TCP), L4_STEER);
	assert_int_equal(action(p, "10.0.1.9", 7, IPPROTO_UDP), L4_ALLOW);
	assert_int_equal(action(p, "10.0.1.9", 7, IPPROTO_TCP), L4_REFUSE);
	for (int c = '2'; c <= '6'; c++) {
		char ip[] = { '1', '0', '.', '0', '.', (char)c, '.', '1', '\0' };

		assert_int_equal(action(p, ip, 7, IPPROTO_UDP), L4_ALLOW);
	}
	assert_int_equal(action(p, "10.9.9.9", 8080, IPPROTO_TCP), L4_ALLOW);
	assert_int_equal(action(p, "10.9.9.9", 8081, IPPROTO_TCP), L4_ALLOW);
	assert_int_equal(action(p, "10.9.9.9", 8080, IPPROTO_UDP), L4_REFUSE);
	assert_int_equal(policy_n_selected(p), ARRAY_SIZE(files) + 2);
}

static void load_must_work(const struct policy_source *s, struct policy **ret)
{
	struct diag diag = { 0 };
	int r = policy_source_load(s, *ret, ret, &diag);
	char *said = printed(&diag);

	if (r != 0)
		fail_msg("%s", said);
	free(said);
}

/* What is shown, put into a file, is the same policy. */
static void test_shown(void **state)
{
	const char *paths[] = { folder };
	const struct run_options o = { .policies = paths,
				       .n_policies = 1,
				       .allows = allows,
				       .n_allows = ARRAY_SIZE(allows),
				       .ports = ports,
				       .n_ports = ARRAY_SIZE(ports) };
	struct run_options again = {
		.policies = paths, .n_policies = 1, .ports = ports, .n_ports = ARRAY_SIZE(ports)
	};
	struct policy_source s;
	struct policy *p = NULL;
	struct diag diag = { 0 };
	char *text, path[128];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		write_file(files[i].name, files[i].text);
	assert_int_equal(policy_source_open(&o, &s, &diag), 0);
	assert_int_equal(policy_source_show(&s, &p, &text, &diag), 0);
	check_policy(p);
	policy_unref(p);
	policy_source_done(&s);
	assert_non_null(strstr(text, "/f\\x0a- g\\xff.yaml\n"));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		path_in_folder(files[i].name, path, sizeof(path));
		unlink(path);
	}
	write_file("shown.yaml", text);
	free(text);
	p = NULL;
	assert_int_equal(policy_source_open(&again, &s, &diag), 0);
	load_must_work(&s, &p);
	check_policy(p);
	policy_unref(p);
	policy_source_done(&s);
	path_in_folder("shown.yaml", path, sizeof(path));
	unlink(path);
}

/* A reload reads the files again, and asks for no name. */
static void test_loaded_again(void **state)
{
	char path[128];
	const char *paths[] = { path };
	const struct run_options o = {
		.policies = paths, .n_policies = 1, .allows = allows, .n_allows = ARRAY_SIZE(allows)
	};
	struct policy_source s;
	struct policy *p = NULL, *first;
	struct policy_stats stats;
	struct diag diag = { 0 };
	char *said;

	path_in_folder("x.yaml", path, sizeof(path));
	write_file("x.yaml", HEAD "  - toPorts:\n    - ports: [{port: 1, protocol: TCP}]\n"
				  "      rules: {http: [{path: '/x(yz)*/[0-9]+x*'}]}\n");
	n_asked = 0;
	assert_int_equal(policy_source_open(&o, &s, &diag), 0);
	assert_int_equal(n_asked, 1);
	load_must_work(&s, &p);
	assert_int_equal(action(p, "10.9.9.9", 1, IPPROTO_TCP), L4_STEER);
	first = policy_ref(p);
	policy_unref(p);
	write_file("x.yaml", HEAD "  - toPorts:\n    - ports: [{port: 2, protocol: TCP}]\n"
				  "      rules: {http: [{path: '/x(yz)*/[0-9]+x*'}]}\n");
	load_must_work(&s, &p);
	policy_unref(first);
	assert_int_equal(action(p, "10.9.9.9", 1, IPPROTO_TCP), L4_REFUSE);
	assert_int_equal(action(p, "10.9.9.9", 2, IPPROTO_TCP), L4_STEER);
	assert_int_equal(action(p, "10.0.0.1", 81, IPPROTO_TCP), L4_STEER);
	policy_stats(p, &stats);
	assert_true(stats.reused > 0);
	assert_int_equal(stats.compiled, 0);
	write_file("x.yaml", HEAD "  - toCIDR: 10.0.0.1\n");
	first = p;
	assert_int_equal(policy_source_load(&s, p, &p, &diag), -EINVAL);
	assert_ptr_equal(p, first);
	said = printed(&diag);
	assert_non_null(strstr(said, "/x.yaml:7:13: \"toCIDR\" must be a list"));
	free(said);
	assert_int_equal(n_asked, 1);
	policy_unref(p);
	policy_source_done(&s);
	unlink(path);
}

static void test_no_memory(void **state)
{
	const struct run_options o = { .allows = allows, .n_allows = ARRAY_SIZE(allows) };
	bool happened = true;

	for (unsigned n = 1; happened; n++) {
		struct policy_source s = { 0 };
		struct policy *p = NULL;
		struct diag diag = { 0 };
		char *text = NULL;
		int r;

		fail_alloc_at(n);
		r = policy_source_open(&o, &s, &diag);
		if (r == 0)
			r = policy_source_show(&s, &p, &text, &diag);
		happened = fail_alloc_happened();
		fail_alloc_at(0);
		if (r != (happened ? -ENOMEM : 0))
			fail_msg("allocation %u: %d", n, r);
		assert_true((r == 0) == (p && text));
		assert_int_equal(diag.oom, r != 0);
		policy_unref(p);
		policy_source_done(&s);
		free(text);
		diag_done(&diag);
		assert_true(happened || n > 10);
	}
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_wrong_arguments), cmocka_unit_test(test_shown),
		cmocka_unit_test(test_loaded_again),	cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
