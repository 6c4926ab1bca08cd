/* SPDX-License-Identifier: Apache-2.0 */
/* A Landlock domain, for one of its effects: who is in it cannot trace processes that are not, so
 * it cannot borrow their memory, their sockets or their view of the file system, whoever they
 * belong to. Processes inside trace each other as always.
 *
 * A domain has to restrict something. From version 6 on that is signals to processes outside.
 * Before, it has to be something about files: it is allowed everywhere, but in such a domain nobody
 * mounts anything, also in a user namespace of its own. For a command that runs as root that is
 * little lost; other users need it for their sandboxes, and the processes that they could trace are
 * their own. */
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "confine_private.h"

#define VERSION_OF_SIGNALS	 6
#define VERSION_OF_RENAMES	 2 /* before, no file could be moved between directories */
#define ACCESS_FS_REFER		 (1ULL << 13)
#define SCOPE_SIGNAL		 (1ULL << 1)
#define CREATE_RULESET_VERSION	 (1U << 0)
#define ACCESS_FS_OF_THE_OLD_WAY (ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

/* As the kernel has it: the build's headers may be older. */
struct ruleset {
	uint64_t access_fs, access_net, scoped;
};

static int create(const struct ruleset *ruleset, size_t size)
{
	return (int)syscall(SYS_landlock_create_ruleset, ruleset, size, 0);
}

static int allow_everywhere(int domain, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	int r;

	rule.parent_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return -1;
	r = (int)syscall(SYS_landlock_add_rule, domain, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return r;
}

int confine_domain_prepare(bool root)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	struct ruleset ruleset = { 0 };
	int fd;

	if (version >= VERSION_OF_SIGNALS) {
		ruleset.scoped = SCOPE_SIGNAL;
		return create(&ruleset, sizeof(ruleset));
	}
	if (version < VERSION_OF_RENAMES || !root)
		return -1;
	ruleset.access_fs = ACCESS_FS_OF_THE_OLD_WAY;
	fd = create(&ruleset, sizeof(ruleset.access_fs));
	if (fd >= 0 && allow_everywhere(fd, ACCESS_FS_OF_THE_OLD_WAY) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}
