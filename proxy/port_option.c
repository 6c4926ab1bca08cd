/* SPDX-License-Identifier: Apache-2.0 */
#include "port_option.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int port_option_set(const char *name, const char *value, struct named_port *ret, struct error *err)
{
	struct named_port port = { .name = name };
	unsigned long number;
	char *end;

	if (!policy_is_port_name(span_of(name))) {
		error_set(err, "a name is 1 to 15 letters, digits and single dashes within, with a "
			       "letter among them");
		return -EINVAL;
	}
	number = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || number < 1 || number > 65535) {
		error_set(err, "a port is a number from 1 to 65535");
		return -EINVAL;
	}
	if (parse_protocol(end, &port.protocol) < 0) {
		error_set(err, "behind the number only /tcp or /udp can stand");
		return -EINVAL;
	}
	port.port = (uint16_t)number;
	*ret = port;
	return 0;
}

int port_option_parse(char *value, struct named_port *ret)
{
	char *equals = strchr(value, '=');
	struct error err = { "a port is NAME=NUMBER, NAME=NUMBER/tcp or NAME=NUMBER/udp" };

	if (equals) {
		*equals = '\0';
		if (port_option_set(value, equals + 1, ret, &err) == 0)
			return 0;
		*equals = '=';
	}
	fprintf(stderr, "sluice: --port %s: %s\n", value, err.text);
	return -EINVAL;
}
