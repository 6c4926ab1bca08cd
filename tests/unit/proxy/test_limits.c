/* SPDX-License-Identifier: Apache-2.0 */
/* What a limit may be, as an option and in a file, and what is said of one that is wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "config.h"
#include "fail_alloc.h"
#include "limit.h"
#include "settings.h"
#include "sluice/array.h"

static const struct {
	const char *name, *value;
	uint64_t want;	   /* if it is right */
	const char *wrong; /* else a part of what is said */
} values[] = {
	{ "head-size", "256", 256, NULL },
	{ "head-size", "64k", 65536, NULL },
	{ "head-size", "65536", 65536, NULL },
	{ "head-size", "65k", 0, "head-size must be a size such as 64k or 16M, from 256 to 64k" },
	{ "head-size", "255", 0, "not \"255\"" },
	{ "head-size", "64K", 0, "not \"64K\"" },
	{ "head-size", "64 k", 0, "not" },
	{ "head-size", "1s", 0, "not" },
	{ "head-size", "", 0, "not \"\"" },
	{ "head-size", "-1", 0, "not" },
	{ "head-size", "k", 0, "not" },
	{ "head-size", "1e3", 0, "not" },
	{ "head-size", "99999999999999999999999", 0, "not" },
	{ "buffers", "16M", 16 << 20, NULL },
	{ "buffers", "1024G", (uint64_t)1024 << 30, NULL },
	{ "buffers", "18014398509481985G", 0, "from 1M to 1024G" }, /* 2^64 and a bit more */
	{ "head-time", "500ms", 500, NULL },
	{ "head-time", "30s", 30000, NULL },
	{ "head-time", "5m", 300000, NULL },
	{ "head-time", "24h", 86400000, NULL },
	{ "head-time", "25h", 0, "a time such as 500ms, 30s or 5m, from 100ms to 24h" },
	{ "head-time", "60", 0, "not \"60\"" }, /* of what? */
	{ "connections", "10", 10, NULL },
	{ "connections", "0", 0, "connections must be a number, from 1 to 1048576" },
	{ "connections", "1k", 0, "not \"1k\"" },
	{ "denied-body", "0", 0, NULL },
	{ "wind-up", "0s", 0, NULL },
	{ "conections", "1", 0, "there is no limit \"conections\"; did you mean \"connections\"?" },
	{ "nonsense", "1", 0, "there is no limit \"nonsense\"; see --help-limits" },
	{ "", "1", 0, "there is no limit \"\"" },
};

static uint64_t value_of(const struct limits *l, const char *name)
{
#define X(field, text, unit, preset, least, most, help) \
	if (strcmp(name, text) == 0)                    \
		return l->field;
	LIMITS(X)
#undef X
	fail();
	return 0;
}

static void test_values(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		const struct limits before = LIMITS_DEFAULT;
		struct limits l = before;
		struct error err = { "" };
		int r = limits_set(&l, values[i].name, values[i].value, &err);

		if (!values[i].wrong) {
			assert_int_equal(r, 0);
			assert_int_equal(value_of(&l, values[i].name), values[i].want);
			continue;
		}
		assert_true(r < 0);
		assert_memory_equal(&l, &before, sizeof(l));
		if (!strstr(err.text, values[i].wrong))
			fail_msg("%s=%s: %s", values[i].name, values[i].value, err.text);
	}
}

/* The default of each is written so that it is understood, and lies within its bounds. */
static void test_defaults(void **state)
{
	const struct limits defaults = LIMITS_DEFAULT;
	struct error err = { "" };
	char *text = NULL;
	size_t size, n;
	FILE *to = open_memstream(&text, &size);

	limits_print(to);
	fclose(to);
	assert_int_equal(limits_check(&defaults, &err), 0);
	limits_names(&n);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n--) {
		struct limits l = defaults;
		char name[32], value[32];

		assert_int_equal(sscanf(line, "%31s %31s", name, value), 2);
		assert_int_equal(limits_set(&l, name, value, &err), 0);
		assert_memory_equal(&l, &defaults, sizeof(l));
	}
	assert_int_equal(n, 0);
	free(text);
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 17);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
	fclose(f);
	return text;
}

/* The manual and the page say of each limit what the table says. */
static void test_documents(void **state)
{
	char *page = read_file("docs/data-path.md"), *manual = read_file("packaging/sluice.1");
	char *text = NULL, *rest;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	limits_print(to);
	fclose(to);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char name[32], value[32], row[512], *at = row;
		const char *help = line + 22;

		assert_int_equal(sscanf(line, "%31s %31s", name, value), 2);
		snprintf(row, sizeof(row), "| `%s` | %s | %s |\n", name, value, help);
		if (!strstr(page, row))
			fail_msg("docs/data-path.md lacks %s", row);
		at += sprintf(at, ".TP\n.B ");
		for (const char *c = name; *c; c++)
			at += sprintf(at, *c == '-' ? "\\%c" : "%c", *c);
		sprintf(at, " (%s)\n%s\n", value, help);
		if (!strstr(manual, row))
			fail_msg("packaging/sluice.1 lacks %s", row);
	}
	free(text);
	free(page);
	free(manual);
}

static const struct {
	const char *text;
	int result;
	uint64_t head_size, connections;
	const char *said; /* NULL: nothing */
} files[] = {
	{ "", 0, 65536, 65536, NULL },
	{ "limits: {}\n", 0, 65536, 65536, NULL },
	{ "limits:\n  head-size: 1k\n  connections: 7\n", 0, 1024, 7, NULL },
	{ "{\"limits\": {\"head-size\": \"1k\", \"connections\": 7}}", 0, 1024, 7, NULL },
	{ "limits:\n  head-size: 1t\n  conections: 1\n  head-time: 60\n", -EINVAL, 0, 0,
	  "F:2:14: head-size must be a size such as 64k or 16M, from 256 to 64k, not \"1t\"\n"
	  "F:3:3: unknown key \"conections\" in limits; did you mean \"connections\"?\n"
	  "F:4:14: head-time must be a time such as 500ms, 30s or 5m, from 100ms to 24h, not "
	  "\"60\"\n" },
	{ "limits: {head-size: [1k]}\n", -EINVAL, 0, 0,
	  "F:1:21: \"head-size\" must have a single value, not a list\n" },
	{ "limits: {head-size: }\n", -EINVAL, 0, 0,
	  "F:1:10: \"head-size\" must have a single value, not null\n" },
	{ "limits: {head-size: 1k, head-size: 2k}\n", -EINVAL, 0, 0,
	  "F:1:25: \"head-size\" appears twice in one mapping; the first one is in line 1\n" },
	{ "limits: 5\n", -EINVAL, 0, 0, "F:1:9: limits must be a mapping, not a number\n" },
	{ "limits:\n", -EINVAL, 0, 0, "F:1:1: limits must be a mapping, not null\n" },
	{ "- limits\n", -EINVAL, 0, 0, "F:1:1: the configuration must be a mapping, not a list\n" },
	{ "limts: {}\n", -EINVAL, 0, 0,
	  "F:1:1: unknown key \"limts\" in the configuration; did you mean \"limits\"?\n" },
	{ "workers: 3\n", -EINVAL, 0, 0,
	  "F:1:1: \"workers\" in the configuration is not supported: it is an option: "
	  "--workers\n" },
	{ "limits: {}\n---\nlimits: {}\n", -EINVAL, 0, 0,
	  "F:3:1: a second document: all settings belong into one\n" },
	{ "limits: {\n", -EINVAL, 0, 0, "not YAML" },
	{ "limits: {head-size: \"1\001k\"}\n", -EINVAL, 0, 0, "F:1:" },
};

struct file {
	char path[40];
};

static void file_make(struct file *f, const char *text)
{
	int fd;

	strcpy(f->path, "/tmp/test_limits.XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Reads the file, and what is said of it; the file's name in there becomes "F". */
static int read_config(const char *text, struct limits *l, struct config_peers *peers, char *said,
		       size_t size)
{
	int saved = dup(STDERR_FILENO), out, r;
	char got[4096], *at = got;
	FILE *to = tmpfile();
	struct file f;
	ssize_t n;

	file_make(&f, text);
	assert_non_null(to);
	out = fileno(to);
	dup2(out, STDERR_FILENO);
	r = config_read(f.path, l, peers);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(out, got, sizeof(got) - 1, 0);
	got[n > 0 ? n : 0] = '\0';
	fclose(to);
	unlink(f.path);
	*said = '\0';
	for (char *found; (found = strstr(at, f.path)); at = found + strlen(f.path))
		strncat(strncat(said, at, (size_t)(found - at)), "F", size - strlen(said) - 2);
	strncat(said, at, size - strlen(said) - 1);
	return r;
}

static void test_files(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct limits l = LIMITS_DEFAULT;
		struct config_peers peers = { .n = 0 };
		char said[8192];
		int r = read_config(files[i].text, &l, &peers, said, sizeof(said));

		config_peers_done(&peers);
		if (r != files[i].result || (files[i].said && !strstr(said, files[i].said)))
			fail_msg("%s: %d\n%s", files[i].text, r, said);
		if (r < 0) {
			assert_non_null(strstr(said, "sluice: F has errors; nothing was started"));
			continue;
		}
		assert_string_equal(said, "");
		assert_int_equal(l.head_size, files[i].head_size);
		assert_int_equal(l.connections, files[i].connections);
	}
}

static void test_no_file(void **state)
{
	struct config_peers peers = { .n = 0 };
	struct limits l = LIMITS_DEFAULT;

	assert_int_equal(config_read("/dev/null/x", &l, &peers), -ENOTDIR);
	config_peers_done(&peers);
	assert_int_equal(config_read("/", &l, &peers), -EISDIR);
	config_peers_done(&peers);
}

/* Whom toEndpoints can mean: written as in the configuration of an agent. */
static void test_peers(void **state)
{
	static const struct {
		const char *text, *said;
		bool known;
		size_t n;
	} cases[] = {
		{ "limits: {}\n", "", false, 0 },
		{ "peers: []\n", "", true, 0 },
		{ "peers:\n- {labels: {app: db, a: b}, namespace: n, addresses: [10.0.0.7, "
		  "'fd00::7']}\n"
		  "- {labels: {}, addresses: []}\n",
		  "", true, 2 },
		{ "limits: {x: 1}\npeers: [{labels: {}, addresses: [10.0.0.0/8]}, {addresses: "
		  "[]}]\n",
		  "F:2:34: a peer's address must be a single one, not \"10.0.0.0/8\"; ranges are "
		  "for "
		  "toCIDR and fromCIDR in a policy\nF:2:48: a peer needs \"labels\"; {} is one "
		  "without "
		  "any\n",
		  true, 2 },
		{ "peers: {a: b}\n", "F:1:8: \"peers\" must be a list, not a mapping", true, 0 },
		{ "peers:\n- {labels: {k8s:io.kubernetes.pod.namespace: a}, namespace: b, "
		  "addresses: []}\n",
		  "F:2:12: the label k8s:io.kubernetes.pod.namespace names another namespace", true,
		  1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_peers peers = { .n = 0 };
		struct limits l = LIMITS_DEFAULT;
		char said[8192];
		int r = read_config(cases[i].text, &l, &peers, said, sizeof(said));

		if (!strstr(said, cases[i].said) || (r == 0) != !cases[i].said[0])
			fail_msg("%s: %d\n%s", cases[i].text, r, said);
		assert_int_equal(peers.known, cases[i].known);
		assert_int_equal(peers.n, cases[i].n);
		if (i == 2) {
			assert_int_equal(peers.items[0].n_labels, 3);
			assert_string_equal(peers.items[0].labels[2].value, "n");
			assert_int_equal(peers.items[0].n_addresses, 2);
			assert_int_equal(peers.items[0].addresses[1].family, AF_INET6);
			assert_int_equal(peers.items[1].n_labels, 0);
		}
		config_peers_done(&peers);
	}
}

/* Whatever allocation fails, the file is read, or it is said that there is no memory. */
static void test_no_memory(void **state)
{
	bool happened = true;

	for (unsigned n = 1; happened; n++) {
		struct config_peers peers = { .n = 0 };
		struct limits l = LIMITS_DEFAULT;
		struct file f;
		int r;

		file_make(&f, "limits: {head-size: 1k, conections: 1, connections: 7}\n"
			      "peers: [{labels: {a: b}, addresses: [10.0.0.1]}]\n");
		fail_alloc_at(n);
		r = config_read(f.path, &l, &peers);
		config_peers_done(&peers);
		happened = fail_alloc_happened();
		fail_alloc_at(0);
		unlink(f.path);
		assert_true(r == (happened ? -ENOMEM : -EINVAL));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	  cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_documents), cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_file),	  cmocka_unit_test(test_peers),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
