/* SPDX-License-Identifier: Apache-2.0 */
#include "iterate.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <bpf/bpf.h>

#define READ_SIZE ((size_t)64 * 1024)

static int make_room(struct records *all, size_t *size)
{
	size_t more = *size ? *size * 2 : READ_SIZE;
	char *bytes;

	if (*size - all->len >= READ_SIZE / 2)
		return 0;
	bytes = realloc(all->bytes, more);
	if (!bytes)
		return -ENOMEM;
	all->bytes = bytes;
	*size = more;
	return 0;
}

static int read_all(int fd, struct records *all)
{
	size_t size = 0;

	all->at_once = true;
	for (;;) {
		int r = make_room(all, &size);
		ssize_t n;

		if (r < 0)
			return r;
		n = read(fd, all->bytes + all->len, size - all->len);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		all->at_once = false; /* or it would have been all */
		if (n > 0)
			all->len += (size_t)n;
	}
}

int iterate(struct bpf_program *program, int map_fd, struct records *ret)
{
	union bpf_iter_link_info info = { .map.map_fd = (uint32_t)map_fd };
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info,
		    .link_info_len = sizeof(info));
	struct bpf_link *link;
	int fd, r;

	*ret = (struct records){ .bytes = NULL };
	link = bpf_program__attach_iter(program, map_fd < 0 ? NULL : &options);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	r = fd < 0 ? -errno : read_all(fd, ret);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return r;
}
