/* SPDX-License-Identifier: Apache-2.0 */
/* loader.h - from files to the model; between policy_set.c and the readers. */
#ifndef SLUICE_LOADER_H
#define SLUICE_LOADER_H

#include "model.h"
#include "reader.h"

struct loader {
	struct reader reader;
	struct model model;
	int error; /* the first errno of a file that cannot be read, negative */
};

/* Read one text, or all files that PATH, a file or a directory, stands for. What is wrong goes to
 * the reader's diag, memory shortage to reader.oom. */
void loader_text(struct loader *l, const char *name, const char *text, size_t len);
void loader_path(struct loader *l, const char *path);

/* Read everything up to the end of FD, or one byte more than YAML_BYTES_MAX, into *RET, which the
 * caller frees. 0 or an errno. */
int loader_read_all(int fd, char **ret, size_t *len);

#endif
