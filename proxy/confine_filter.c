/* SPDX-License-Identifier: Apache-2.0 */
#include "confine_private.h"
#include "sluice/array.h"

static const struct sock_filter code[] = {
#include "confine_filter.inc" /* printed by confine_filter_make.c */
};

const struct sock_fprog confine_filter = {
	.len = ARRAY_SIZE(code),
	.filter = (struct sock_filter *)code, /* the kernel only reads it */
};
