/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration of the agent may say, what it then means, and what is said of one that is
 * wrong. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent_config.h"
#include "cgroup_pattern.h"
#include "fail_alloc.h"
#include "sluice/array.h"

#define FILE_NAME "agent.yaml"

struct place {
	char dir[40], file[64];
};

static void place_make(struct place *p, const char *text)
{
	FILE *f;

	strcpy(p->dir, "/tmp/test_agent_config.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->file, sizeof(p->file), "%s/" FILE_NAME, p->dir);
	f = fopen(p->file, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void place_remove(const struct place *p)
{
	unlink(p->file);
	rmdir(p->dir);
}

/* In what was said the file is called F. */
static void shorten(char *said, const char *file)
{
	size_t len = strlen(file);

	for (char *at; (at = strstr(said, file));) {
		memmove(at + 1, at + len, strlen(at + len) + 1);
		*at = 'F';
	}
}

/* SAID is for the caller to free. */
static int read_config(const char *text, struct agent_config **c, char **said)
{
	struct diag diag = { 0 };
	struct place p;
	size_t size;
	FILE *to = open_memstream(said, &size);
	int r;

	place_make(&p, text);
	r = agent_config_read(p.file, c, &diag);
	diag_print(&diag, to);
	fclose(to);
	shorten(*said, p.file);
	assert_int_equal(r<0, diag.n> 0 || diag.oom);
	diag_done(&diag);
	place_remove(&p);
	return r;
}

static struct agent_config *must_read(const char *text)
{
	struct agent_config *c = NULL;
	char *said;

	if (read_config(text, &c, &said) < 0)
		fail_msg("%s", said);
	assert_string_equal(said, "");
	free(said);
	return c;
}

#define REST "policies: p\nworkloads: []\n"
#define ONE  "policies: p\nworkloads:\n- name: a\n  cgroup: /a\n"

static const struct {
	const char *text, *said;
} wrong[] = {
	{ "", "F: there is nothing in it; it needs \"workloads\" or \"pods\", and "
	      "\"policies\"\n" },
	{ "[]\n", "F:1:1: the configuration must be a mapping, not a list\n" },
	{ "{}\n", "F:1:1: there is no \"policies\"; name a file of policies, or a directory of "
		  "them\nF:1:1: there is no \"workloads\"; [] holds nobody yet; "
		  "\"pods: {}\" those of a container runtime\n" },
	{ REST "---\n" REST, "F:4:1: a second document: all settings belong into one\n" },
	{ REST "polices: x\n",
	  "F:3:1: unknown key \"polices\" in the configuration; did you mean \"policies\"?\n" },
	{ REST "log:\n", "F:3:1: \"log\" has no value; give it one, or leave the key out\n" },
	{ REST "log: [a]\n", "F:3:6: \"log\" must be a string, not a list\n" },
	{ REST "log: ''\n", "F:3:6: \"log\" is empty\n" },
	{ REST "workers: 0\n", "F:3:10: \"workers\" must be a number from 1 to 64, not \"0\"\n" },
	{ REST "workers: 65\n", "F:3:10: \"workers\" must be a number from 1 to 64" },
	{ REST "workers: two\n", "F:3:10: \"workers\" must be a number from 1 to 64" },
	{ REST "audit: yes\n", "F:3:8: \"audit\" must be true or false, not yes\n" },
	{ REST "hold-host: 1\n", "F:3:12: \"hold-host\" must be true or false, not 1\n" },
	{ REST "state: here\n", "F:3:8: \"state\" must be an absolute path, not \"here\"\n" },
	{ REST "limits: {conections: 1}\n",
	  "F:3:10: there is no limit \"conections\"; did you mean \"connections\"?\n" },
	{ REST "limits: {connections: 0}\n",
	  "F:3:23: connections must be a number, from 1 to 1048576, not \"0\"\n" },
	{ REST "limits: [connections]\n", "F:3:9: limits must be a mapping, not a list\n" },
	{ REST "limits: {drain-idle: 2m}\n",
	  "F: drain-idle is longer than drain-time, of which it is a part\n" },
	{ REST "ports: {web: 0}\n", "F:3:14: ports: web: a port is a number from 1 to 65535\n" },
	{ REST "ports: {web: 80/sctp}\n", "F:3:14: ports: web: behind the number only /tcp or" },
	{ REST "ports: {8: 80}\n", "F:3:12: ports: 8: a name is 1 to 15 letters" },
	{ "policies: []\nworkloads: []\n",
	  "F:1:11: \"policies\" is empty: nothing would be held\n" },
	{ "policies: [p, {}]\nworkloads: []\n",
	  "F:1:15: \"policies\" must be a string, not a mapping\n" },
	{ "policies: p\nworkloads: {}\n", "F:2:12: \"workloads\" must be a list, not a mapping; "
					  "put \"- \" before it\n" },
	{ "policies: p\nworkloads:\n- web\n",
	  "F:3:3: a workload must be a mapping, not a string\n" },
	{ "policies: p\nworkloads:\n- labels: {}\n",
	  "F:3:3: a workload needs a \"name\"\nF:3:3: a workload needs a \"cgroup\"; such as "
	  "/system.slice/web.service\n" },
	{ ONE "  group: x\n",
	  "F:5:3: unknown key \"group\" in a workload; did you mean \"cgroup\"?\n" },
	{ ONE "  namespace: a/b\n", "F:5:15: \"namespace\" must be letters, digits, \"-\", \"_\" "
				    "and \".\", not \"a/b\"\n" },
	{ ONE "  labels: [a]\n", "F:5:11: \"labels\" must be a mapping, not a list\n" },
	{ ONE "  labels: {a: 1}\n",
	  "F:5:15: a label's value must be a string, not a number; put it in quotes: \"1\"\n" },
	{ ONE "  labels: {'': b}\n", "F:5:12: a label without a name\n" },
	{ ONE "  namespace: x\n  labels: {io.kubernetes.pod.namespace: y}\n",
	  "F:6:11: the label io.kubernetes.pod.namespace names another namespace than "
	  "\"namespace\"; leave the label out\n" },
	{ ONE "- name: a\n  cgroup: /b\n",
	  "F:5:9: there is a workload \"a\" already; the first one is in line 3\n" },
	{ ONE "- name: b\n  cgroup: /a\n",
	  "F:6:11: \"/a\" is another workload's already; see line 4\n" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: a.slice\n",
	  "F:4:11: \"cgroup\": \"a.slice\" must begin with a slash: did you mean \"/a.slice\"?\n" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: /a/../b\n",
	  "F:4:11: \"cgroup\": \"/a/../b\" leads elsewhere: write the path without \".\" and "
	  "\"..\"\n" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: /\n",
	  "F:4:11: \"cgroup\": \"/\" is every process of the host" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: /a//b\n", "has an empty name in it" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: /a/\n", "has an empty name in it" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: /a/**/b\n", "\"**\" is not supported" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: '/a/[b'\n",
	  "has a \"[\" without a \"]\"" },
	{ "policies: p\nworkloads:\n- name: a\n  cgroup: '/a/[]'\n",
	  "has a \"[\" without a \"]\"" },
	{ REST "peers: {}\n", "F:3:8: \"peers\" must be a list, not a mapping" },
	{ REST "peers: [{}]\n", "F:3:9: a peer needs \"labels\"; {} is one without any\n"
				"F:3:9: a peer needs \"addresses\"\n" },
	{ REST "peers: [{labels: {}, addresses: 10.0.0.1}]\n",
	  "F:3:33: \"addresses\" must be a list, not a string" },
	{ REST "peers: [{labels: {}, addresses: [10.0.0.256, 10.0.0.1/33]}]\n", "F:3:34: " },
	{ REST "peers: [{labels: {}, addresses: [10.0.0.0/24]}]\n",
	  "F:3:34: a peer's address must be a single one, not \"10.0.0.0/24\"; ranges are for" },
	{ "policies: p\npods: []\n", "F:2:7: \"pods\" must be a mapping, not a list\n" },
	{ "policies: p\npods: {runtme: /x}\n",
	  "F:2:8: unknown key \"runtme\" in \"pods\"; did you mean \"runtime\"?\n" },
	{ "policies: p\npods: {runtime: 'unix:///run/crio/crio.sock'}\n",
	  "F:2:17: \"runtime\" must be the absolute path of a socket, not "
	  "\"unix:///run/crio/crio.sock\"; such as /run/crio/crio.sock\n" },
	{ "policies: p\npods: {runtime: containerd}\n",
	  "not \"containerd\"; such as /run/containerd/containerd.sock\n" },
	{ "policies: p\npods: {cgroups: []}\n",
	  "F:2:17: \"cgroups\" is empty: nothing would be held\n" },
	{ "policies: p\npods: {cgroups: [/a, kubepods]}\n",
	  "F:2:22: \"cgroups\": \"kubepods\" must begin with a slash: did you mean "
	  "\"/kubepods\"?\n" },
	{ "policies: p\npods: {hold: 1}\n", "F:2:14: \"hold\" must be true or false, not 1\n" },
	{ "policies: p\nworkloads: [\n", "not YAML" },
};

static void test_wrong(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct agent_config *c = NULL;
		char *said;
		int r = read_config(wrong[i].text, &c, &said);

		if (r != -EINVAL || !strstr(said, wrong[i].said))
			fail_msg("%s\n%d\n%s", wrong[i].text, r, said);
		assert_null(c);
		free(said);
	}
}

/* All that is wrong is said at once, in order. */
static void test_all_errors(void **state)
{
	struct agent_config *c = NULL;
	char *said;

	assert_int_equal(
		read_config("limits: {x: 1}\nworkloads:\n- name: a b\n  cgroup: b\nlogs: x\n"
			    "policies: p\n",
			    &c, &said),
		-EINVAL);
	assert_string_equal(
		said,
		"F:1:10: there is no limit \"x\"; see --help-limits\n"
		"F:3:10: \"name\" must be letters, digits, \"-\", \"_\" and \".\", not \"a b\"\n"
		"F:4:11: \"cgroup\": \"b\" must begin with a slash: did you mean \"/b\"?\n"
		"F:5:1: unknown key \"logs\" in the configuration; did you mean \"log\"?\n");
	free(said);
}

static void test_no_file(void **state)
{
	struct agent_config *c = NULL;
	struct diag diag = { 0 };

	assert_int_equal(agent_config_read("/nonexistent", &c, &diag), -ENOENT);
	assert_int_equal(diag.n, 1);
	assert_string_equal(diag.items[0].message, "cannot be read: No such file or directory");
	diag_done(&diag);
}

static const char full[] = "workloads:\n"
			   "- name: web\n"
			   "  namespace: shop\n"
			   "  labels: {app: web, 'k8s:tier': \"front\"}\n"
			   "  cgroup: /system.slice/web-*.service\n"
			   "  hold-host: false\n"
			   "- name: web\n"
			   "  cgroup: '/a\\x2db/[!x]*'\n"
			   "policies: [policies, /etc/more]\n"
			   "peers:\n"
			   "- labels: {app: db}\n"
			   "  namespace: shop\n"
			   "  addresses: [10.0.0.7, fd00::7]\n"
			   "ports: {http: 8080/tcp, dns: 53}\n"
			   "secrets: secrets\n"
			   "log: ../log\n"
			   "workers: 3\n"
			   "limits: {connections: 7}\n"
			   "hold-host: true\n"
			   "state: /run/sluice/other\n";

static void check_entries(const struct agent_config *c)
{
	const struct agent_entry *web = &c->entries[0], *other = &c->entries[1];

	assert_int_equal(c->n_entries, 2);
	assert_string_equal(web->name, "web");
	assert_string_equal(web->namespace_, "shop");
	assert_int_equal(web->n_labels, 3);
	assert_string_equal(web->labels[2].key, AGENT_NAMESPACE_LABEL);
	assert_string_equal(web->labels[2].value, "shop");
	assert_false(web->hold_host); /* its own word counts */
	assert_false(web->hold_loopback);
	assert_string_equal(other->namespace_, "");
	assert_int_equal(other->n_labels, 0);
	assert_true(other->hold_host);
}

static void test_full(void **state)
{
	struct agent_config *c = must_read(full);

	check_entries(c);
	assert_int_equal(c->n_policies, 2);
	assert_non_null(strstr(c->policies[0], "/policies"));
	assert_int_equal(strncmp(c->policies[0], c->file, strlen(c->file) - strlen(FILE_NAME)), 0);
	assert_string_equal(c->policies[1], "/etc/more");
	assert_int_equal(c->n_peers, 1);
	assert_int_equal(c->peers[0].n_labels, 2);
	assert_int_equal(c->peers[0].n_addresses, 2);
	assert_int_equal(c->peers[0].addresses[0].family, AF_INET);
	assert_int_equal(c->peers[0].addresses[0].ip[3], 7);
	assert_int_equal(c->peers[0].addresses[1].family, AF_INET6);
	assert_int_equal(c->n_ports, 2);
	assert_int_equal(c->ports[0].port, 8080);
	assert_int_equal(c->ports[0].protocol, IPPROTO_TCP);
	assert_int_equal(c->ports[1].protocol, 0);
	assert_non_null(strstr(c->secrets, "/secrets"));
	assert_non_null(strstr(c->log, "/../log"));
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->limits.connections, 7);
	assert_string_equal(c->state_dir, "/run/sluice/other");
	agent_config_unref(c);
}

static void test_least(void **state)
{
	struct agent_config *c = must_read("policies: /p\nworkloads: []\nlog: '-'\n");

	assert_string_equal(c->policies[0], "/p");
	assert_string_equal(c->log, "-");
	assert_null(c->secrets);
	assert_int_equal(c->workers, 1);
	assert_string_equal(c->state_dir, AGENT_STATE_DIR);
	agent_config_unref(c);
}

static void test_pods(void **state)
{
	struct agent_config *c = must_read("policies: /p\npods: {}\nhold-host: true\n");

	assert_int_equal(c->n_entries, 0);
	assert_true(c->pods.wanted && c->pods.hold && c->pods.hold_host && !c->pods.hold_loopback);
	assert_string_equal(c->pods.runtime, AGENT_RUNTIME);
	assert_int_equal(c->pods.n_cgroups, 6);
	assert_string_equal(c->pods.cgroups[0], "/kubepods/pod*");
	agent_config_unref(c);
	c = must_read("policies: /p\npods:\n  runtime: /run/crio/crio.sock\n"
		      "  cgroups: /my/pod*\n  hold: false\n");
	assert_string_equal(c->pods.runtime, "/run/crio/crio.sock");
	assert_int_equal(c->pods.n_cgroups, 1);
	assert_string_equal(c->pods.cgroups[0], "/my/pod*");
	assert_false(c->pods.hold);
	agent_config_unref(c);
	c = must_read(REST);
	assert_false(c->pods.wanted);
	agent_config_unref(c);
}

static const struct {
	const char *more, *fixed;
} changes[] = {
	{ "", NULL },
	{ "secrets: s\n", NULL },
	{ "hold-host: true\npeers: []\nports: {a: 1}\n", NULL },
	{ "workers: 1\nlimits: {}\naudit: false\n", NULL },
	{ "workers: 2\n", "workers" },
	{ "audit: true\n", "audit" },
	{ "log: '-'\n", "log" },
	{ "state: /x\n", "state" },
	{ "pods: {}\n", NULL }, /* an error of the plan's */
	{ "limits: {connections: 7}\n", "limits" },
};

static void test_changes(void **state)
{
	struct agent_config *before = must_read(REST);

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		char text[256];
		struct agent_config *c;
		const char *fixed;

		snprintf(text, sizeof(text), REST "%s", changes[i].more);
		c = must_read(text);
		fixed = agent_config_fixed(before, c);
		assert_int_equal(!fixed, !changes[i].fixed);
		if (fixed)
			assert_string_equal(fixed, changes[i].fixed);
		agent_config_unref(c);
	}
	agent_config_unref(before);
}

static const struct {
	const char *pattern, *literal;
	const char *name; /* of the first level */
	bool matches;
} patterns[] = {
	{ "/a", "/a", "a", true },
	{ "/a", "/a", "ab", false },
	{ "/a/b.slice/c*", "/a/b.slice", "a", true },
	{ "/*", "", "anything", true },
	{ "/*.service", "", ".service", true },
	{ "/a?/b", "", "ab", true },
	{ "/a?/b", "", "a", false },
	{ "/[ab]c", "", "bc", true },
	{ "/[!ab]c", "", "bc", false },
	{ "/[]]c", "", "]c", true },
	{ "/a\\x2db", "/a\\x2db", "a\\x2db", true },
	{ "/a\\*", "", "a\\x", true },
	{ "/a]b/c", "/a]b/c", "a]b", true },
};

static void test_patterns(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		const char *p = patterns[i].pattern;
		struct error err;

		if (!cgroup_pattern_check(p, &err))
			fail_msg("%s", err.text);
		assert_int_equal(cgroup_pattern_literal(p), strlen(patterns[i].literal));
		if (cgroup_pattern_matches_name(p, patterns[i].name) != patterns[i].matches)
			fail_msg("%s %s", p, patterns[i].name);
	}
}

static void test_memory(void **state)
{
	struct place p;
	bool failed = true;

	place_make(&p, full);
	for (unsigned n = 1; failed; n++) {
		struct agent_config *c = NULL;
		struct diag diag = { 0 };
		int r;

		fail_alloc_at(n);
		r = agent_config_read(p.file, &c, &diag);
		failed = fail_alloc_happened();
		fail_alloc_at(0);
		assert_int_equal(r, failed ? -ENOMEM : 0);
		agent_config_unref(c);
		diag_done(&diag);
	}
	place_remove(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),	cmocka_unit_test(test_all_errors),
		cmocka_unit_test(test_no_file), cmocka_unit_test(test_full),
		cmocka_unit_test(test_least),	cmocka_unit_test(test_pods),
		cmocka_unit_test(test_changes), cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
