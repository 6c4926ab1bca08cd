/* SPDX-License-Identifier: Apache-2.0 */
/* What is said where sluice cannot work, and that these tests do not pass there unseen. */
#include "scene.h"
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "probe.h"

static void expect(int code, const char *hint)
{
	struct error err = { "" };
	int r = probe_requirements(&err);

	if (r != code || !strstr(err.text, hint))
		fprintf(stderr, "%d: %s\n", r, err.text);
	CHECK(r == code && strstr(err.text, hint));
}

static void test_all_is_there(void **state)
{
	struct error err = { "" };

	assert_int_equal(probe_requirements(&err), 0);
	assert_string_equal(err.text, "");
}

/* ---- capabilities ---- */

static const struct capability {
	unsigned number;
	const char *name;
} capabilities[] = {
	{ CAP_BPF, "CAP_BPF" },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN" },
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
};

static void drop_capability(unsigned number)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	memset(data, 0, sizeof(data));
	CHECK(syscall(SYS_capget, &header, data) == 0);
	data[number / 32].effective &= ~(1u << number % 32);
	CHECK(syscall(SYS_capset, &header, data) == 0);
}

static void without_capability(int fd, void *arg)
{
	const struct capability *capability = arg;

	drop_capability(capability->number);
	expect(-EPERM, capability->name);
}

static void test_capabilities(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		worker_run(NULL, without_capability, (void *)&capabilities[i]);
}

static void as_nobody(int fd, void *arg)
{
	CHECK(setresuid(65534, 65534, 65534) == 0);
	expect(-EPERM, "sudo");
}

static void test_nobody(void **state)
{
	worker_run(NULL, as_nobody, NULL);
}

/* ---- the kernel ---- */

static void without_btf(int fd, void *arg)
{
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL) == 0);
	expect(-ENOTSUP, "CONFIG_DEBUG_INFO_BTF");
}

static void test_no_btf(void **state)
{
	worker_run(NULL, without_btf, NULL);
}

struct answer {
	int code; /* of bpf(2) */
	const char *hint;
};

/* As a kernel without it would answer, or somebody who forbids it. */
static void with_bpf_answering(int fd, void *arg)
{
	const struct answer *answer = arg;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)answer->code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	expect(-answer->code, answer->hint);
}

static void test_no_bpf(void **state)
{
	static struct answer answers[] = {
		{ ENOSYS, "CONFIG_BPF_SYSCALL" },
		{ EINVAL, "CONFIG_CGROUP_BPF" },
		{ EPERM, "lockdown" },
		{ E2BIG, "refuses BPF programs" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		worker_run(NULL, with_bpf_answering, &answers[i]);
}

/* ---- these tests themselves ---- */

static void run_again_without_bpf(int fd, void *arg)
{
	const char *ci = arg;

	if (ci)
		setenv("CI", ci, 1);
	else
		unsetenv("CI");
	/* Root that executes something gets its capabilities back; nobody does not. */
	CHECK(setresuid(65534, 65534, 65534) == 0);
	dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
	dup2(STDOUT_FILENO, STDERR_FILENO);
	execl("/proc/self/exe", "test_probe", (char *)NULL);
	CHECK(false);
}

static int code_without_bpf(const char *ci)
{
	struct worker w = worker_start(NULL, run_again_without_bpf, (void *)ci);
	int status = 0;

	close(w.fd);
	assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_skips(void **state)
{
	assert_int_equal(code_without_bpf(NULL), SCENE_SKIP);
	assert_int_equal(code_without_bpf("false"), SCENE_SKIP);
	assert_int_equal(code_without_bpf("true"), 1);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_there), cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_nobody),	     cmocka_unit_test(test_no_btf),
		cmocka_unit_test(test_no_bpf),	     cmocka_unit_test(test_skips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
