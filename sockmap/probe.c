/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "sluice/array.h"
#include "probe.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

static const struct {
	unsigned number;
	const char *name;
} needed[] = {
	{ CAP_BPF, "CAP_BPF" },		    /* maps and programs */
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN" }, /* programs on cgroups that see packets */
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" }, /* attaching to a cgroup, mounting bpffs */
};

static int probe_capabilities(struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	memset(data, 0, sizeof(data));
	if (syscall(SYS_capget, &header, data) < 0) {
		int r = -errno;

		error_set(err, "cannot read this process's capabilities: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		unsigned word = needed[i].number / 32, bit = needed[i].number % 32;

		if (data[word].effective & (1u << bit))
			continue;
		if (geteuid() != 0)
			error_set(err,
				  "sluice needs root to load BPF programs: start it with sudo");
		else
			error_set(
				err,
				"sluice lacks the capability %s: start it outside of a container, "
				"or give the container that capability",
				needed[i].name);
		return -EPERM;
	}
	return 0;
}

static int probe_btf(struct error *err)
{
	if (access(KERNEL_BTF, R_OK) == 0)
		return 0;
	error_set(err,
		  "this kernel does not describe its types (%s is missing): use a kernel with "
		  "CONFIG_DEBUG_INFO_BTF, and mount sysfs on /sys",
		  KERNEL_BTF);
	return -ENOTSUP;
}

/* The smallest program of the kind that needs the most: two instructions, "pass". */
static int probe_bpf(struct error *err)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET_EGRESS);
	int fd, r;

	fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "sluice_probe", "Dual BSD/GPL", pass,
			   ARRAY_SIZE(pass), &options);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	r = -errno;
	if (r == -ENOSYS)
		error_set(err, "this kernel has no BPF: use one with CONFIG_BPF_SYSCALL");
	else if (r == -EINVAL)
		error_set(err, "this kernel cannot attach BPF to cgroups: use one with "
			       "CONFIG_CGROUP_BPF");
	else if (r == -EPERM)
		error_set(err, "the kernel forbids BPF, though this is root: a user namespace, a "
			       "seccomp filter or kernel lockdown is in the way; start sluice on "
			       "the host itself");
	else
		error_set(err, "the kernel refuses BPF programs: %s", strerror(-r));
	return r;
}

int probe_requirements(struct error *err)
{
	int r;

	r = probe_capabilities(err);
	if (r == 0)
		r = probe_btf(err);
	if (r == 0)
		r = probe_bpf(err);
	return r;
}
