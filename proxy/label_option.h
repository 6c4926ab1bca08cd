/* SPDX-License-Identifier: Apache-2.0 */
/* label_option.h - the value of --label: KEY=VALUE. */
#ifndef SLUICE_LABEL_OPTION_H
#define SLUICE_LABEL_OPTION_H

#include "policy.h"

/* Cuts VALUE, into which RET points. Prints what is wrong and returns -EINVAL, or 0. */
int label_option_parse(char *value, struct label *ret);

#endif
