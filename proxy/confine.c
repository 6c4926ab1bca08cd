/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "confine_private.h"
#include "sluice/array.h"

#define CAPABILITY_MAX 63 /* how many the kernel's sets have room for */

/* Each would let the command out, or let it undo what holds it. The others stay: they give power
 * over files, users and processes, none over the cgroup. */
static const uint8_t dropped[] = {
	CAP_SYS_ADMIN,	     /* mounts, namespaces, BPF objects by their id */
	CAP_SYS_PTRACE,	     /* other processes' memory, sockets and view of the files */
	CAP_SYS_MODULE,	     /* code in the kernel */
	CAP_SYS_RAWIO,	     /* memory of the kernel, ports */
	CAP_SYS_BOOT,	     /* another kernel (kexec) */
	CAP_SYS_CHROOT,	     /* out of a chroot, to mounts that nobody could make read-only */
	CAP_DAC_READ_SEARCH, /* open_by_handle_at(): files by number, past every mount */
	CAP_MKNOD,	     /* devices that the machine's /dev does not show */
	CAP_NET_ADMIN,	     /* routes, tunnels, packet filters */
	CAP_NET_RAW,	     /* packets made by hand */
	CAP_BPF,
	CAP_PERFMON,
};

int confine_prepare(bool root, struct confine **ret, struct error *err)
{
	struct confine *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	c->domain_fd = -1;
	r = confine_passed_prepare(&c->passed, err);
	if (r == 0)
		r = confine_view_prepare(&c->view, root, err);
	if (r < 0) {
		confine_free(c);
		return r;
	}
	c->domain_fd = confine_domain_prepare(root);
	*ret = c;
	return 0;
}

void confine_free(struct confine *c)
{
	if (!c)
		return;
	confine_passed_done(&c->passed);
	confine_view_done(&c->view);
	if (c->domain_fd >= 0)
		close(c->domain_fd);
	free(c);
}

void confine_self(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* ---- in the child ---- */

static struct confine_failure failed(const char *what)
{
	return (struct confine_failure){ errno, what };
}

static bool is_dropped(unsigned capability)
{
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		if (dropped[i] == capability)
			return true;
	return false;
}

/* The bounding set first: it needs CAP_SETPCAP, which another user does not have. */
struct confine_failure confine_view(const struct confine *c)
{
	struct confine_failure f = confine_view_enter(&c->view);

	if (f.code)
		return f;
	confine_passed_reopen(&c->passed);
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		if (prctl(PR_CAPBSET_DROP, dropped[i], 0, 0, 0) < 0 && errno != EINVAL)
			return failed("bounding capabilities");
	return (struct confine_failure){ 0 };
}

/* What leaves the permitted or the inheritable set leaves the ambient one with it. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	for (unsigned n = 0; n <= CAPABILITY_MAX; n++) {
		struct __user_cap_data_struct *set = &data[CAP_TO_INDEX(n)];

		if (!is_dropped(n))
			continue;
		set->effective &= ~CAP_TO_MASK(n);
		set->permitted &= ~CAP_TO_MASK(n);
		set->inheritable &= ~CAP_TO_MASK(n);
	}
	return (int)syscall(SYS_capset, &header, data);
}

struct confine_failure confine_powers(const struct confine *c)
{
	if (drop_capabilities() < 0)
		return failed("dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed("no_new_privs");
	if (c->domain_fd >= 0 && syscall(SYS_landlock_restrict_self, c->domain_fd, 0) < 0)
		return failed("a Landlock domain");
	/* Without the flag a kernel before 5.16 would slow the command down for a threat that is
	 * not ours. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		    &confine_filter) < 0)
		return failed("a seccomp filter");
	return (struct confine_failure){ 0 };
}
