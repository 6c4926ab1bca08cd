/* SPDX-License-Identifier: Apache-2.0 */
#include "port_option.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const char *value, const char *why)
{
	fprintf(stderr, "sluice: --port %s: %s\n", value, why);
	return -EINVAL;
}

/* What follows the number: nothing is both protocols. */
static int parse_protocol(const char *text, uint8_t *ret)
{
	if (*text == '\0')
		*ret = 0;
	else if (strcasecmp(text, "/tcp") == 0)
		*ret = IPPROTO_TCP;
	else if (strcasecmp(text, "/udp") == 0)
		*ret = IPPROTO_UDP;
	else
		return -EINVAL;
	return 0;
}

int port_option_parse(char *value, struct named_port *ret)
{
	char *equals = strchr(value, '='), *end;
	struct named_port port = { .name = value };
	unsigned long number;

	if (!equals)
		return refuse(value, "a port is NAME=NUMBER, NAME=NUMBER/tcp or NAME=NUMBER/udp");
	if (!policy_is_port_name((struct span){ value, (size_t)(equals - value) }))
		return refuse(value, "a name is 1 to 15 letters, digits and single dashes within, "
				     "with a letter among them");
	number = strtoul(equals + 1, &end, 10);
	if (equals[1] < '0' || equals[1] > '9' || number < 1 || number > 65535)
		return refuse(value, "a port is a number from 1 to 65535");
	if (parse_protocol(end, &port.protocol) < 0)
		return refuse(value, "behind the number only /tcp or /udp can stand");
	*equals = '\0';
	port.port = (uint16_t)number;
	*ret = port;
	return 0;
}
