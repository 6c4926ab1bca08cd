/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "cmd.h"
#include "status_server.h"
#include "status_show.h"

#define DEFAULT_SOCKET "/run/sluice/agent/" STATUS_FILE
#define READ_SIZE      65536

static const char help[] =
	"Usage: sluice status [OPTION...]\n\n"
	"Tell what the running `sluice agent` holds, and what it has refused.\n\n"
	"  -j, --json          print the whole of it, as one JSON document\n"
	"  -S, --socket PATH   the agent's socket (" DEFAULT_SOCKET ")\n"
	"  -h, --help          print this\n";

static int connect_to(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	return fd;
}

/* Everything until the other side ends, with a NUL behind it. */
static int read_all(int fd, char **ret, size_t *ret_len)
{
	char *buf = NULL, *larger;
	size_t len = 0;
	ssize_t n;
	int r = 0;

	do {
		larger = len <= STATUS_BYTES_MAX ? realloc(buf, len + READ_SIZE + 1) : NULL;
		if (!larger) {
			r = len <= STATUS_BYTES_MAX ? -ENOMEM : -EFBIG;
			break;
		}
		buf = larger;
		n = read(fd, buf + len, READ_SIZE);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (r == 0 && n < 0)
		r = -errno;
	if (r < 0) {
		free(buf);
		return r;
	}
	buf[len] = '\0';
	*ret = buf;
	*ret_len = len;
	return 0;
}

static int fetch(const char *path, char **text, size_t *len)
{
	int fd = connect_to(path), r;

	if (fd < 0) {
		fprintf(stderr, "sluice: cannot ask %s: %s%s\n", path, strerror(-fd),
			fd == -ENOENT || fd == -ECONNREFUSED ? "; is `sluice agent` running?"
			: fd == -EACCES			     ? "; only root may"
							     : "");
		return fd;
	}
	r = read_all(fd, text, len);
	close(fd);
	if (r == 0 && *len == 0) {
		free(*text);
		r = -ENODATA;
	}
	if (r < 0)
		fprintf(stderr, "sluice: %s did not answer: %s\n", path, strerror(-r));
	return r;
}

static int print(const char *text, size_t len, bool json)
{
	int r;

	if (json)
		r = fwrite(text, 1, len, stdout) == len && fflush(stdout) == 0 ? 0 : -EIO;
	else
		r = status_show(text, len, stdout);
	if (r == -EINVAL)
		fprintf(stderr, "sluice: the answer is not one of this version's agent; try "
				"--json\n");
	else if (r < 0)
		fprintf(stderr, "sluice: cannot print the answer: %s\n", strerror(-r));
	return r;
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *path = DEFAULT_SOCKET;
	bool json = false;
	char *text = NULL;
	size_t len = 0;
	int c, r;

	while ((c = getopt_long(argc, argv, "jS:h", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'S':
			path = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	r = fetch(path, &text, &len);
	if (r == 0) {
		r = print(text, len, json);
		free(text);
	}
	return r < 0;
}
