// SPDX-License-Identifier: Apache-2.0
#include "loader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "read_policy.h"
#include "sluice/array.h"

#define READ_STEP (64 * 1024)

void loader_text(struct loader *l, const char *name, const char *text, size_t len)
{
	struct reader *r = &l->reader;
	size_t before = r->diag->n;
	struct node_list docs = { NULL, 0 };
	struct arena tree = { .blocks = NULL };
	char *copy = arena_copy(&tree, text, len);
	int error;

	reader_depends(r, name, strlen(name));
	reader_depends(r, text, len);
	if (r->options->on_text)
		r->options->on_text(r->options->on_text_ctx, &(struct policy_text){ .name = name,
										    .text = text,
										    .len = len });
	r->file = arena_copy(r->keep, name, strlen(name));
	error = copy && r->file ? yaml_read(&tree, r->file, copy, len, &docs, r->diag) : -ENOMEM;
	r->oom |= error == -ENOMEM;
	/* Of a file that is cut short by a syntax error the rest is still worth a look. */
	for (size_t i = 0; i < docs.n && !r->oom; i++)
		read_document(r, docs.items[i], &l->model);
	if (error == 0 && docs.n == 0)
		diag_hint(r->diag, diag_add(r->diag, r->file, 0, 0, "there is no policy in it"),
			  "without one nothing would be held");
	arena_done(&tree);
	diag_sort(r->diag, before);
}

static void cannot_read(struct loader *l, const char *path, int error)
{
	diag_add(l->reader.diag, path, 0, 0, "cannot be read: %s", strerror(error));
	if (l->error == 0)
		l->error = -error;
}

int loader_read_all(int fd, char **ret, size_t *len)
{
	size_t size = 0;
	char *buf = NULL;
	int error;

	for (*len = 0; *len <= YAML_BYTES_MAX;) {
		ssize_t n;

		if (size - *len < READ_STEP) {
			size_t wanted = size ? size * 2 : READ_STEP * 2;
			char *longer = realloc(buf, wanted);

			if (!longer)
				goto fail;
			buf = longer;
			size = wanted;
		}
		n = read(fd, buf + *len, size - *len);
		if (n < 0 && errno != EINTR)
			goto fail;
		if (n == 0)
			break;
		if (n > 0)
			*len += (size_t)n;
	}
	*ret = buf;
	return 0;
fail:
	error = errno;
	free(buf);
	return error;
}

static void load_file(struct loader *l, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	char *text = NULL;
	size_t len = 0;

	if (fd < 0) {
		cannot_read(l, path, errno);
		return;
	}
	error = loader_read_all(fd, &text, &len);
	close(fd);
	if (error == ENOMEM) {
		l->reader.oom = true;
	} else if (error) {
		cannot_read(l, path, error);
	} else {
		loader_text(l, path, text, len);
		free(text);
	}
}

static int is_policy_file(const struct dirent *entry)
{
	static const char *const endings[] = { ".yaml", ".yml", ".json" };
	size_t len = strlen(entry->d_name);

	if (entry->d_name[0] == '.')
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		size_t n = strlen(endings[i]);

		if (len > n && strcmp(entry->d_name + len - n, endings[i]) == 0)
			return 1;
	}
	return 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_directory(struct loader *l, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_policy_file, compare_names);

	if (n < 0) {
		if (errno == ENOMEM)
			l->reader.oom = true;
		else
			cannot_read(l, path, errno);
		return;
	}
	if (n == 0)
		diag_hint(l->reader.diag,
			  diag_add(l->reader.diag, path, 0, 0, "there is no policy in it"),
			  "files that end in .yaml, .yml or .json are read");
	for (int i = 0; i < n; i++) {
		char *file = arena_printf(l->reader.mem, "%s/%s", path, entries[i]->d_name);

		if (file)
			load_file(l, file);
		else
			l->reader.oom = true;
		free(entries[i]);
	}
	free(entries);
}

void loader_path(struct loader *l, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		cannot_read(l, path, errno);
	else if (S_ISDIR(st.st_mode))
		load_directory(l, path);
	else
		load_file(l, path);
}
