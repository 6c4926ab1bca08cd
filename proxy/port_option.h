/* SPDX-License-Identifier: Apache-2.0 */
/* port_option.h - the value of --port: NAME=NUMBER, NAME=NUMBER/tcp or NAME=NUMBER/udp. */
#ifndef SLUICE_PORT_OPTION_H
#define SLUICE_PORT_OPTION_H

#include "policy.h"
#include "sluice/error.h"

/* Cuts VALUE, into which RET's name points. Prints what is wrong and returns -EINVAL, or 0. */
int port_option_parse(char *value, struct named_port *ret);

/* The same of a name and what it stands for: NUMBER, NUMBER/tcp or NUMBER/udp. RET keeps NAME; ERR
 * says what is wrong. */
int port_option_set(const char *name, const char *value, struct named_port *ret, struct error *err);

#endif
