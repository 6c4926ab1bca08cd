/* SPDX-License-Identifier: Apache-2.0 */
/* Every layout in which a pod's cgroup has been seen, and what is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "pod_cgroup.h"
#include "sluice/array.h"

#define UID	   "88888888-2222-3333-4444-555555555555"
#define UID_	   "88888888_2222_3333_4444_555555555555"
#define ID	   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SLICE(qos) "/kubepods.slice/kubepods-" qos ".slice/kubepods-" qos "-pod" UID_ ".slice"
#define OWN	   POD_CGROUP_OWN
#define TOLD	   POD_CGROUP_TOLD
#define EACH	   POD_CGROUP_EACH
#define OF	   POD_CGROUP_OF_PROCESS

static const struct {
	const char *name, *uid, *parent, *process;
	int error;
	enum pod_cgroup_how how;
	const char *path;
} cases[] = {
	/* a kubelet with the cgroupfs driver */
	{ "cgroupfs, burstable", UID, "/kubepods/burstable/pod" UID,
	  "0::/kubepods/burstable/pod" UID "/" ID "\n", 0, OWN, "/kubepods/burstable/pod" UID },
	{ "cgroupfs, best effort", UID, "/kubepods/besteffort/pod" UID,
	  "0::/kubepods/besteffort/pod" UID "/" ID "\n", 0, OWN, "/kubepods/besteffort/pod" UID },
	{ "cgroupfs, guaranteed", UID, "/kubepods/pod" UID, "0::/kubepods/pod" UID "/" ID "\n", 0,
	  OWN, "/kubepods/pod" UID },
	{ "cgroupfs, CRI-O", UID, "/kubepods/pod" UID, "0::/kubepods/pod" UID "/crio-" ID "\n", 0,
	  OWN, "/kubepods/pod" UID },
	{ "hybrid hierarchies", UID, "/kubepods/pod" UID,
	  "9:name=systemd:/x\n1:cpu:/kubepods/pod" UID "/a\n0::/kubepods/pod" UID "/b\n", 0, OWN,
	  "/kubepods/pod" UID },
	{ "in the pod's own", UID, "/kubepods/pod" UID, "0::/kubepods/pod" UID "\n", 0, OWN,
	  "/kubepods/pod" UID },
	{ "static pod", "0123456789abcdef0123456789abcdef", NULL,
	  "0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" ID, 0, OWN,
	  "/kubepods/burstable/pod0123456789abcdef0123456789abcdef" },
	/* with the systemd driver */
	{ "systemd, burstable", UID, SLICE("burstable"),
	  "0::" SLICE("burstable") "/cri-containerd-" ID ".scope\n", 0, OWN, SLICE("burstable") },
	{ "systemd, best effort", UID, SLICE("besteffort"),
	  "0::" SLICE("besteffort") "/cri-containerd-" ID ".scope\n", 0, OWN, SLICE("besteffort") },
	{ "systemd, guaranteed", UID, "kubepods-pod" UID_ ".slice",
	  "0::/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope\n", 0, OWN,
	  "/kubepods.slice/kubepods-pod" UID_ ".slice" },
	{ "systemd, CRI-O", UID, SLICE("burstable"),
	  "0::" SLICE("burstable") "/crio-" ID ".scope\n", 0, OWN, SLICE("burstable") },
	{ "systemd in the container", UID, SLICE("burstable"),
	  "0::" SLICE("burstable") "/crio-" ID ".scope/container/init.scope\n", 0, OWN,
	  SLICE("burstable") },
	/* a kubelet in a cgroup of its own */
	{ "nested", UID, "/kubelet/kubepods/pod" UID,
	  "0::/docker/" ID "/kubelet/kubepods/pod" UID "/" ID "\n", 0, OWN,
	  "/docker/" ID "/kubelet/kubepods/pod" UID },
	/* a pod makes cgroups below its own */
	{ "the highest counts", UID, "/kubepods/pod" UID,
	  "0::/kubepods/pod" UID "/" ID "/kubepods/pod" UID "/x\n", 0, OWN, "/kubepods/pod" UID },
	/* kubelet: systemd, runtime: cgroupfs */
	{ "misconfigured", UID, SLICE("burstable"),
	  "0::/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID "\n", 0, EACH,
	  "/kubepods-burstable-pod" UID_ ".slice:" },
	{ "misconfigured, CRI-O, below its service", UID, SLICE("burstable"),
	  "0::/system.slice/crio.service/kubepods-burstable-pod" UID ".slice:crio:" ID "/x\n", 0,
	  EACH, "/system.slice/crio.service/kubepods-burstable-pod" UID ".slice:" },
	/* podman */
	{ "podman, a pod", ID, NULL, "0::/libpod_parent/" ID "/libpod-fedcba98\n", 0, OWN,
	  "/libpod_parent/" ID },
	{ "podman, a pod with systemd", ID, NULL,
	  "0::/machine.slice/machine-libpod_pod_" ID ".slice/libpod-fedcba98.scope/container\n", 0,
	  OWN, "/machine.slice/machine-libpod_pod_" ID ".slice" },
	{ "podman, a container", ID, NULL, "0::/machine.slice/libpod-" ID ".scope/container\n", 0,
	  OWN, "/machine.slice/libpod-" ID ".scope" },
	/* unknown layouts */
	{ "no parent", UID, "", "0::/k8s.io/" ID "\n", 0, OF, "/k8s.io/" ID },
	{ "another pod's name", UID, NULL,
	  "0::/kubepods/pod99999999-2222-3333-4444-555555555555/x\n", 0, OF,
	  "/kubepods/pod99999999-2222-3333-4444-555555555555/x" },
	{ "only part of a name", UID, NULL, "0::/kubepods/podx" UID "/x\n", 0, OF,
	  "/kubepods/podx" UID "/x" },
	{ "only the beginning of a name", UID, NULL, "0::/kubepods/pod" UID "0/x\n", 0, OF,
	  "/kubepods/pod" UID "0/x" },
	{ "the parent of others too", UID, "/shared", "0::/shared/" ID "\n", 0, OF, "/shared/" ID },
	/* no process */
	{ "told, cgroupfs", UID, "/kubepods/burstable/pod" UID, NULL, 0, TOLD,
	  "/kubepods/burstable/pod" UID },
	{ "told, systemd", UID, SLICE("burstable"), NULL, 0, TOLD, SLICE("burstable") },
	{ "told, a slice", UID, "kubepods-burstable-pod" UID_ ".slice", NULL, 0, TOLD,
	  SLICE("burstable") },
	{ "told, the parent of others too", UID, "/shared", NULL, -ENOENT, 0, NULL },
	{ "told, nothing", UID, "", NULL, -ENOENT, 0, NULL },
	{ "told, nothing at all", UID, NULL, NULL, -ENOENT, 0, NULL },
	{ "told, to climb", UID, "/kubepods/../pod" UID, NULL, -EINVAL, 0, NULL },
	{ "told, no path and no slice", UID, "kubepods/pod" UID, NULL, -EINVAL, 0, NULL },
	{ "told, a slice of no name", UID, ".slice", NULL, -EINVAL, 0, NULL },
	/* what is no answer */
	{ "the root", UID, NULL, "0::/\n", -ENOENT, 0, NULL },
	{ "no cgroup2", UID, NULL, "1:cpu:/kubepods/pod" UID "\n", -ENOENT, 0, NULL },
	{ "the process has ended", UID, NULL, "0::/kubepods/pod" UID "/x (deleted)\n", -ENOENT, 0,
	  NULL },
	{ "outside of this namespace", UID, NULL, "0::/../../kubepods/pod" UID "\n", -EXDEV, 0,
	  NULL },
	{ "just outside", UID, NULL, "0::/..\n", -EXDEV, 0, NULL },
	{ "empty", UID, NULL, "", -ENOENT, 0, NULL },
	{ "no path", UID, NULL, "0::\n", -EINVAL, 0, NULL },
	{ "no uid", "", "/kubepods/pod", NULL, -EINVAL, 0, NULL },
	{ "a short uid", "abc", "/kubepods/podabc", NULL, -EINVAL, 0, NULL },
	{ "a uid with a slash", "abcdefgh/x", "/podabcdefgh/x", NULL, -EINVAL, 0, NULL },
};

static void test_layouts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pod_cgroup found = { .path = "untouched" };
		int r = pod_cgroup_find(cases[i].uid, cases[i].parent, cases[i].process, &found);

		if (r != cases[i].error || (r == 0 && (found.how != cases[i].how ||
						       strcmp(found.path, cases[i].path) != 0)))
			fail_msg("%s: %d %s %s", cases[i].name, r, pod_cgroup_how_name(found.how),
				 found.path);
		if (r < 0)
			assert_string_equal(found.path, "untouched");
	}
}

static void test_too_long(void **state)
{
	static char path[PATH_MAX + 16], text[PATH_MAX + 32];
	struct pod_cgroup found;

	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	assert_int_equal(pod_cgroup_find(UID, path, NULL, &found), -EINVAL);
	snprintf(text, sizeof(text), "0::%s\n", path);
	assert_int_equal(pod_cgroup_find(UID, NULL, text, &found), -EINVAL);
	memset(path, '-', sizeof(path) - 1);
	strcpy(path + 3000, "pod" UID ".slice");
	assert_int_equal(pod_cgroup_find(UID, path, NULL, &found), -EINVAL);
}

static void test_reading(void **state)
{
	char text[POD_CGROUP_TEXT_MAX];

	assert_int_equal(pod_cgroup_read(getpid(), text, sizeof(text)), 0);
	assert_non_null(strstr(text, "0::/"));
	assert_int_equal(pod_cgroup_read(getpid(), text, 4), -EMSGSIZE);
	assert_int_equal(pod_cgroup_read(-1, text, sizeof(text)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
