/* SPDX-License-Identifier: Apache-2.0 */
#include "label_option.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int label_option_parse(char *value, struct label *ret)
{
	char *equals = strchr(value, '=');

	if (!equals || equals == value) {
		fprintf(stderr, "sluice: --label %s: a label is KEY=VALUE\n", value);
		return -EINVAL;
	}
	*equals = '\0';
	*ret = (struct label){ .key = value, .value = equals + 1 };
	return 0;
}
