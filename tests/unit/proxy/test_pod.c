/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a pod that a runtime tells of: labels, ports, cgroups; the list of them; and the
 * plan that is made for them. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent_config.h"
#include "fail_alloc.h"
#include "pod.h"
#include "sluice/array.h"

#define UID    "11111111-2222-3333-4444-555555555555"
#define PARENT "/kubepods/burstable/pod" UID

static struct cri_pair labels[] = {
	{ "app", "web" },
	{ "io.cilium.k8s.namespace.labels.team", "mine" },
	{ "io.kubernetes.pod.namespace", "other" },
	{ "tier", "" },
};

static struct cri_pod told(void)
{
	static struct cri_container containers[] = {
		{ .id = "c1", .name = "main", .state = CRI_RUNNING },
		{ .id = "c2", .name = "side", .state = CRI_CREATED },
	};
	struct cri_pod pod = {
		.id = "s1",
		.name = "web-1",
		.namespace = "shop",
		.uid = UID,
		.ready = true,
		.labels = labels,
		.n_labels = ARRAY_SIZE(labels),
		.containers = containers,
		.n_containers = ARRAY_SIZE(containers),
		.status = { .known = true, .n_addresses = 1, .cgroup_parent = PARENT },
	};

	pod.status.addresses[0] = (struct address){ .family = AF_INET, .ip = { 10, 0, 0, 7 } };
	return pod;
}

static struct pod *must_make(const struct cri_pod *from, const struct pod *old)
{
	struct pod *p = NULL;

	assert_int_equal(pod_new(from, old, &p), 0);
	return p;
}

/* What only the cluster may say is not taken from a pod's own labels. */
static void test_labels(void **state)
{
	const struct cri_pod from = told();
	struct pod *p = must_make(&from, NULL);

	assert_int_equal(p->n_labels, 3);
	assert_string_equal(p->labels[0].key, "k8s:app");
	assert_string_equal(p->labels[0].value, "web");
	assert_string_equal(p->labels[1].key, "k8s:tier");
	assert_string_equal(p->labels[1].value, "");
	assert_string_equal(p->labels[2].key, AGENT_NAMESPACE_LABEL);
	assert_string_equal(p->labels[2].value, "shop");
	assert_int_equal(p->n_addresses, 1);
	assert_int_equal(p->n_cgroups, 1);
	assert_string_equal(p->cgroups[0], PARENT);
	assert_int_equal(p->how, POD_CGROUP_TOLD);
	assert_null(p->problem);
	pod_unref(p);
}

static const struct {
	const char *text;
	const char *names; /* "name=number/protocol ..." */
} ports[] = {
	{ NULL, "" },
	{ "", "" },
	{ "[]", "" },
	{ "{}", "" },
	{ "[1, null, {}]", "" },
	{ "[{\"name\":\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}]", "http=8080/6 " },
	{ "[{\"name\":\"http\",\"containerPort\":8080}]", "http=8080/6 " },
	{ "[{\"name\":\"dns\",\"containerPort\":53,\"protocol\":\"UDP\"},"
	  "{\"name\":\"dns-tcp\",\"containerPort\":53,\"protocol\":\"TCP\"}]",
	  "dns=53/17 dns-tcp=53/6 " },
	{ "[{\"name\":\"x\",\"containerPort\":1,\"protocol\":\"SCTP\"}]", "" },
	{ "[{\"name\":\"x\",\"containerPort\":1,\"protocol\":\"VERYLONGNAME\"}]", "" },
	{ "[{\"name\":\"\",\"containerPort\":8080}]", "" },
	{ "[{\"name\":\"80\",\"containerPort\":8080}]", "" },
	{ "[{\"name\":\"sixteencharsname\",\"containerPort\":8080}]", "" },
	{ "[{\"name\":\"x\",\"containerPort\":0},{\"name\":\"y\",\"containerPort\":65536},"
	  "{\"name\":\"z\",\"containerPort\":1.5},{\"name\":\"w\",\"containerPort\":\"80\"},"
	  "{\"name\":\"ok\",\"containerPort\":65535}]",
	  "ok=65535/6 " },
	{ "[{\"name\":\"cut\",\"containerPort\":80", "" },
};

static void test_ports(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct cri_pod from = told();
		char text[256] = "";
		struct pod *p;

		from.containers[1].ports = ports[i].text;
		p = must_make(&from, NULL);
		from.containers[1].ports = NULL;
		for (size_t j = 0; j < p->n_ports; j++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s=%u/%u ",
				 p->ports[j].name, p->ports[j].port, p->ports[j].protocol);
		assert_string_equal(text, ports[i].names);
		pod_unref(p);
	}
}

static const struct {
	const char *parent;
	const char *cgroup, *problem; /* NULL: none */
} parents[] = {
	{ PARENT, PARENT, NULL },
	{ "kubepods-burstable-pod11111111_2222_3333_4444_555555555555.slice",
	  "/kubepods.slice/kubepods-burstable.slice/"
	  "kubepods-burstable-pod11111111_2222_3333_4444_555555555555.slice",
	  NULL },
	{ "/odd*/pod" UID, "/odd[*]/pod" UID, NULL },
	{ "/shared", NULL, "the runtime does not tell of a process yet" },
	{ "", NULL, "the runtime does not tell of a process yet" },
	{ "/../x", NULL, "its cgroup cannot be told" },
};

static void test_cgroups(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		struct cri_pod from = told();
		struct pod *p;

		strcpy(from.status.cgroup_parent, parents[i].parent);
		p = must_make(&from, NULL);
		assert_int_equal(p->n_cgroups, parents[i].cgroup != NULL);
		if (parents[i].cgroup)
			assert_string_equal(p->cgroups[0], parents[i].cgroup);
		assert_int_equal(!p->problem, !parents[i].problem);
		if (p->problem)
			assert_string_equal(p->problem, parents[i].problem);
		pod_unref(p);
	}
}

/* A process that is not named after the pod is not taken for its: this one is ours. */
static void test_not_its_process(void **state)
{
	struct cri_pod from = told();
	struct pod *p;

	from.status.pid = getpid();
	from.status.cgroup_parent[0] = '\0';
	p = must_make(&from, NULL);
	assert_int_equal(p->n_cgroups, 0);
	assert_non_null(p->problem);
	pod_unref(p);
}

/* What is told no more of its cgroups is as it was; addresses are given to others. */
static void test_not_ready(void **state)
{
	struct cri_pod from = told();
	struct pod *p = must_make(&from, NULL), *later;

	from.ready = false;
	memset(&from.status, 0, sizeof(from.status));
	later = must_make(&from, p);
	assert_int_equal(later->n_cgroups, 1);
	assert_string_equal(later->cgroups[0], PARENT);
	assert_int_equal(later->n_addresses, 0);
	assert_false(pod_same(p, later));
	assert_true(pod_has_cgroup(later, PARENT));
	assert_false(pod_has_cgroup(later, PARENT "/x"));
	pod_unref(p);
	pod_unref(later);
}

static void test_same(void **state)
{
	struct cri_pod from = told();
	struct pod *one = must_make(&from, NULL), *other = must_make(&from, NULL);

	assert_true(pod_same(one, other));
	pod_unref(other);
	from.status.addresses[0].ip[3]++;
	other = must_make(&from, NULL);
	assert_false(pod_same(one, other));
	pod_unref(other);
	pod_unref(one);
}

/* Of two sandboxes of one pod the one that is ready counts, and then the later one. */
static void test_list(void **state)
{
	struct cri_pod from[4] = { told(), told(), told(), told() };
	struct pod *pods[4];
	struct pod_list *list;

	from[0].id = "old", from[0].attempt = 0;
	from[1].id = "new", from[1].attempt = 2;
	from[2].id = "dead", from[2].attempt = 3, from[2].ready = false;
	from[3].uid = "another0", from[3].name = "a";
	for (size_t i = 0; i < 4; i++)
		pods[i] = must_make(&from[i], NULL);
	assert_int_equal(pod_list_new(pods, 4, &list), 0);
	for (size_t i = 0; i < 4; i++)
		pod_unref(pods[i]);
	assert_int_equal(list->n, 2);
	assert_string_equal(list->items[0]->name, "a");
	assert_string_equal(list->items[1]->id, "new");
	pod_list_unref(pod_list_ref(list));
	pod_list_unref(list);
	assert_int_equal(pod_list_new(NULL, 0, &list), 0); /* nobody */
	assert_int_equal(list->n, 0);
	pod_list_unref(list);
}

static void test_without_memory(void **state)
{
	struct cri_pod from = told();
	struct pod *p = NULL;
	unsigned n = 0;
	int r;

	from.containers[0].ports = ports[7].text;
	do {
		fail_alloc_at(++n);
		r = pod_new(&from, NULL, &p);
		assert_int_equal(r, fail_alloc_happened() ? -ENOMEM : 0);
	} while (fail_alloc_happened());
	fail_alloc_at(0);
	from.containers[0].ports = NULL;
	assert_true(n >= 4);
	pod_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),	  cmocka_unit_test(test_ports),
		cmocka_unit_test(test_cgroups),	  cmocka_unit_test(test_not_its_process),
		cmocka_unit_test(test_not_ready), cmocka_unit_test(test_same),
		cmocka_unit_test(test_list),	  cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
