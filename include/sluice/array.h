/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_ARRAY_H
#define SLUICE_ARRAY_H

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
