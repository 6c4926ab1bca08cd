/* SPDX-License-Identifier: Apache-2.0 */
/* agent_settings.h - the configuration of `sluice agent` as it is written: of the right shape and
 * types, every value with its place. What the values mean is the caller's business.
 *
 *	policies: /etc/sluice/policies
 *	workloads:
 *	- name: web
 *	  namespace: shop
 *	  labels: {app: web}
 *	  cgroup: /system.slice/web.service
 *	peers:
 *	- labels: {app: db}
 *	  addresses: [10.0.0.7, fd00::7]
 *	pods:
 *	  runtime: /run/containerd/containerd.sock
 *
 * All of it lives in the arena MEM, until agent_settings_done(). */
#ifndef SLUICE_AGENT_SETTINGS_H
#define SLUICE_AGENT_SETTINGS_H

#include "policy.h"
#include "settings.h"

/* TEXT is NULL where it is not given. */
struct text_setting {
	const char *text;
	unsigned line, column;
};

struct switch_setting {
	bool given, on;
};

/* What may be said for all workloads, and for one. */
struct hold_settings {
	struct switch_setting loopback; /* also loopback within a network namespace of its own */
	struct switch_setting host;	/* also clients of this host, for such a workload */
};

struct label_settings {
	struct label *items;
	size_t n;
	unsigned line, column;
};

struct workload_settings {
	struct text_setting name, namespace_, cgroup;
	struct label_settings labels;
	struct hold_settings hold;
};

struct peer_settings {
	struct text_setting namespace_;
	struct label_settings labels;
	struct address *addresses;
	size_t n_addresses;
};

/* Those of a container runtime. */
struct pods_settings {
	bool given;
	struct text_setting runtime;
	struct text_setting *cgroups;
	size_t n_cgroups;
	struct switch_setting hold; /* also those that the runtime has not told of */
};

/* Zero it before first use. */
struct agent_settings {
	struct arena mem;
	const char *file;
	uint64_t digest;		     /* of its text */
	struct workload_settings *workloads; /* no two of one name in one namespace */
	size_t n_workloads;
	struct peer_settings *peers;
	size_t n_peers;
	struct text_setting *policies;
	size_t n_policies;
	struct setting *limits; /* their names are not looked at */
	size_t n_limits;
	struct setting *ports; /* the same */
	size_t n_ports;
	struct text_setting secrets, log, state;
	unsigned workers; /* 0: not given */
	struct hold_settings hold;
	struct pods_settings pods;
	bool audit;
};

/* Read the file PATH. On failure the errors are in DIAG, not yet in the order of their places, and
 * the result is -EINVAL (what is right is in *RET all the same, so that the caller can look for
 * more errors), -ENOMEM, or the errno of a file that cannot be read. agent_settings_done() is due
 * in any case. */
int agent_settings_read(const char *path, unsigned workers_max, struct agent_settings *ret,
			struct diag *diag);
/* The same of a text. */
int agent_settings_read_text(const char *name, const char *text, size_t len, unsigned workers_max,
			     struct agent_settings *ret, struct diag *diag);
void agent_settings_done(struct agent_settings *s);

/* For the section `peers` of another configuration (struct settings_section): SETTINGS is a struct
 * agent_settings, whose peers it becomes. */
void agent_settings_read_peers(struct reader *r, const struct node *value, void *settings);

#endif
