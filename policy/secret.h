/* SPDX-License-Identifier: Apache-2.0 */
/* secret.h - the values that policies name but do not contain, read from a directory of files. */
#ifndef SLUICE_SECRET_H
#define SLUICE_SECRET_H

#include <stdbool.h>
#include "arena.h"
#include "sluice/span.h"

#define SECRET_LENGTH_MAX 8192

struct secret_name {
	const char *namespace_, *name; /* NAMESPACE_ may be NULL or "" */
};

/* Lower-case letters, digits, "-" and ".", not in first place: no way out of the directory. */
bool secret_name_valid(struct span text);

/* The secret is the file DIR/namespace/name, or DIR/name without a namespace, without a newline at
 * its end; or, where that is a directory, the only file in it, as Kubernetes mounts a secret with
 * one key. Returns 1 and stores it in *RET, in MEM; 0 and a reason in *WHY if there is none;
 * -EINVAL and *WHY if it cannot be used; -ENOMEM. DIR may be NULL. */
int secret_read(const char *dir, const struct secret_name *name, struct arena *mem,
		struct span *ret, const char **why);

/* Whether A and B are the same, in a time that does not depend on where they differ. */
bool secret_equal(struct span a, struct span b);

#endif
