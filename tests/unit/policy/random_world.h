/* SPDX-License-Identifier: Apache-2.0 */
/* random_world.h - what the random policies of test_policy_random.c consist of. */
#ifndef SLUICE_TEST_RANDOM_WORLD_H
#define SLUICE_TEST_RANDOM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#define HEADERS	      5	 /* different ones */
#define MEMBERS	      16 /* endpoints */
#define MEMBER_LABELS 5	 /* values of their label */

struct http {
	int path, method, host; /* indices of patterns, -1: any */
	bool headers[HEADERS];
};

struct ports {
	unsigned n, first[3], last[3], protocols[3]; /* 1 TCP, 2 UDP */
	bool l7;
	unsigned n_http;
	struct http http[6];
};

struct range {
	uint8_t ip, len; /* of 10.0.0.0/24, or of the last byte of an IPv6 address */
	bool six;
	unsigned n_except;
	struct {
		uint8_t ip, len;
	} except[3];
};

struct rule {
	bool deny;
	enum {
		PEERS_ANY,
		PEERS_CIDR,
		PEERS_WORLD,
		PEERS_HOST,
		PEERS_ALL,
		PEERS_NONE,
		PEERS_CLUSTER,
		PEERS_ENDPOINTS, /* those whose label l is N_RANGES */
	} peers;
	unsigned n_ranges;
	struct range ranges[4];
	bool any_port;
	unsigned n_ports;
	struct ports ports[3];
};

struct doc {
	bool default_allow;
	unsigned n_rules;
	struct rule rules[6];
};

/* An endpoint; its address is one of those in which ranges are. */
struct member {
	bool six;
	uint8_t ip;
	unsigned label; /* the value of its label l */
};

#endif
