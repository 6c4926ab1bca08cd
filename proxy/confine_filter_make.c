/* SPDX-License-Identifier: Apache-2.0 */
/* confine_filter_make.c - the system calls that a confined command does not have, as a program of
 * the kernel's.
 *
 * Runs while sluice is built and prints what confine_filter.c contains: libseccomp, when it runs
 * out of memory, may leave a rule out without a word, or crash. */
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "sluice/array.h"

/* Of all families only these pass: the hooks see IP; Unix sockets, netlink and the kernel's
 * cryptography carry nothing to another machine by themselves. In ascending order. */
static const unsigned families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_ALG };

/* CALL fails with ERROR where its argument is as in COMPARE. */
static int refuse(scmp_filter_ctx ctx, int call, uint16_t error, struct scmp_arg_cmp compare)
{
	return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(error), call, 1, &compare);
}

/* The kernel takes an int, the filter sees 64 bits: whoever sets a bit above makes it greater than
 * the last family that passes, and is refused. A C library calls with what it was given, which is
 * below. In the 32-bit system calls of x86 the family of socketcall() is in memory, where no filter
 * can look: libseccomp then refuses every socket that is made that way, which is what we want. */
static int refuse_families(scmp_filter_ctx ctx, int call)
{
	const unsigned last = families[ARRAY_SIZE(families) - 1];
	size_t next = 0;
	int r;

	for (unsigned family = 0; family < last; family++) {
		if (family == families[next]) {
			next++;
			continue;
		}
		r = refuse(ctx, call, EAFNOSUPPORT,
			   (struct scmp_arg_cmp){ .op = SCMP_CMP_EQ, .datum_a = family });
		if (r < 0)
			return r;
	}
	return refuse(ctx, call, EAFNOSUPPORT,
		      (struct scmp_arg_cmp){ .op = SCMP_CMP_GT, .datum_a = last });
}

/* A ring makes sockets without socket(); programs that use it know how to go without. A ring that
 * was passed in cannot be used either. */
static int refuse_rings(scmp_filter_ctx ctx)
{
	const int calls[] = { SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
			      SCMP_SYS(io_uring_register) };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), calls[i], 0);
	return r;
}

/* Words typed into our terminal are read by the shell, which is not confined. The kernel looks at
 * the lower 32 bits only. */
static int refuse_typing(scmp_filter_ctx ctx)
{
	const unsigned requests[] = { TIOCSTI, TIOCLINUX };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(requests); i++)
		r = refuse(ctx, SCMP_SYS(ioctl), EPERM,
			   (struct scmp_arg_cmp){ .arg = 1,
						  .op = SCMP_CMP_MASKED_EQ,
						  .datum_a = 0xffffffff,
						  .datum_b = requests[i] });
	return r;
}

/* The other system call tables that the same processor offers to a program. */
static int add_architectures(scmp_filter_ctx ctx)
{
	static const uint32_t others[][2] = {
		{ SCMP_ARCH_X86_64, SCMP_ARCH_X86 },
		{ SCMP_ARCH_X86_64, SCMP_ARCH_X32 },
		{ SCMP_ARCH_AARCH64, SCMP_ARCH_ARM },
	};
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(others); i++)
		if (others[i][0] == seccomp_arch_native())
			r = seccomp_arch_add(ctx, others[i][1]);
	return r;
}

/* libseccomp writes its program to a file only. */
static int print(scmp_filter_ctx ctx)
{
	FILE *file = tmpfile();
	struct sock_filter code;
	int r = file ? seccomp_export_bpf(ctx, fileno(file)) : -errno;

	if (r == 0)
		rewind(file);
	while (r == 0 && fread(&code, sizeof(code), 1, file) == 1)
		if (printf("{ 0x%x, %u, %u, 0x%x },\n", code.code, code.jt, code.jf, code.k) < 0)
			r = -errno;
	if (r == 0 && ferror(file)) /* half a filter would be built in */
		r = -EIO;
	if (file)
		fclose(file);
	return r;
}

static int make(scmp_filter_ctx ctx)
{
	int r = add_architectures(ctx);

	if (r == 0)
		r = refuse_families(ctx, SCMP_SYS(socket));
	if (r == 0)
		r = refuse_families(ctx, SCMP_SYS(socketpair));
	if (r == 0)
		r = refuse_rings(ctx);
	if (r == 0)
		r = refuse_typing(ctx);
	return r == 0 ? print(ctx) : r;
}

int main(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = ctx ? make(ctx) : -ENOMEM;

	if (ctx)
		seccomp_release(ctx);
	if (r == 0 && fflush(stdout) == 0)
		return 0;
	fprintf(stderr, "cannot make the seccomp filter: %s\n", strerror(-r));
	return 1;
}
