/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "sluice/array.h"
#include "steer_private.h"

#define FLOWS_MIN	 64u
#define FLOWS_MAX	 (1u << 22)
#define FLOWS_PER_CLOSED 4u
#define LOCALS_PER_FLOW	 2u
#define DOOMED_RTO_NS	 16000000L /* six retries, twice as long each: 2 s in all */
#define WORKLOADS_MAX	 (1u << 16)
#define NAMESPACES_MAX	 (1u << 14)
#define UDP_PEERS	 (1u << 14)
#define UDP_SENT	 (1u << 13)
#define FILES_MIN	 64u /* more than the programs and maps need */

/* libbpf takes what it could not even ask the kernel for as missing there: its error may be any. */
static bool has_few_files(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FILES_MIN;
}

static void explain_load(struct error *err, int r)
{
	if (r == -EPERM)
		error_set(err,
			  "the kernel refused the BPF programs (%s): run as root, outside of a "
			  "container without CAP_BPF and CAP_NET_ADMIN",
			  strerror(-r));
	else if (r == -ENOMEM)
		error_set(err, "no memory for the BPF maps: lower the limit connects");
	else if (r == -EMFILE || has_few_files())
		error_set(err, "too few files may be open for the BPF programs and maps: raise "
			       "`ulimit -n`");
	else
		/* EACCES: its verifier does not understand them. */
		error_set(err,
			  "the kernel refused the BPF programs (%s): Linux 6.1 or newer with "
			  "CONFIG_CGROUP_BPF and CONFIG_DEBUG_INFO_BTF is needed",
			  strerror(-r));
}

static int set_sizes(struct steer_bpf *skel, uint32_t max_flows, uint32_t slots,
		     uint32_t namespaces)
{
	const struct {
		struct bpf_map *map;
		uint32_t entries;
	} sizes[] = {
		{ skel->maps.flows, max_flows },
		{ skel->maps.flows_closed, max_flows / FLOWS_PER_CLOSED },
		{ skel->maps.locals, max_flows * LOCALS_PER_FLOW },
		{ skel->maps.udp_peers, UDP_PEERS },
		{ skel->maps.udp_sent, UDP_SENT },
		{ skel->maps.legs, max_flows },
		{ skel->maps.events, STEER_EVENTS_BYTES },
		{ skel->maps.workloads, slots },
		{ skel->maps.tables, slots },
		{ skel->maps.members, 2 * slots }, /* with graves */
		{ skel->maps.workload_counters, slots * STEER_EVENT_MAX },
		{ skel->maps.namespaces, namespaces },
		{ skel->maps.netns_configs, namespaces },
		{ skel->maps.routes, namespaces },
		{ skel->maps.inbound, namespaces * INBOUND_SLOTS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int r = bpf_map__set_max_entries(sizes[i].map, sizes[i].entries);

		if (r < 0)
			return r;
	}
	return 0;
}

static int load(struct steer *s, uint32_t max_flows, bool audit)
{
	int r;

	s->skel = steer_bpf__open();
	if (!s->skel)
		return -errno;
	s->skel->rodata->audit_mode = audit;
	s->skel->rodata->one_netns = s->n_namespaces == 1;
	r = set_sizes(s->skel, max_flows, s->n_slots, s->n_namespaces);
	if (r < 0)
		return r;
	return steer_bpf__load(s->skel);
}

int steer_write_config(struct steer *s)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(s->skel->maps.config), &zero, &s->config, BPF_ANY);
}

/* The coarse clock moves once a tick. */
static uint32_t in_ticks(long ns)
{
	struct timespec tick;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) < 0 || tick.tv_sec || tick.tv_nsec <= 0)
		return 0;
	return (uint32_t)((ns + tick.tv_nsec - 1) / tick.tv_nsec);
}

static struct steer *make(const struct steer_options *options, struct error *err)
{
	uint32_t workloads = options->max_workloads ? options->max_workloads : 1;
	struct steer *s = calloc(1, sizeof(*s));

	if (s) {
		s->audit = options->audit;
		s->n_slots = SLOT_FIRST + workloads;
		s->slots = calloc(s->n_slots, sizeof(*s->slots));
		s->n_namespaces = options->max_netns ? options->max_netns : 1;
		s->namespaces = calloc(s->n_namespaces, sizeof(*s->namespaces));
	}
	if (!s || !s->slots || !s->namespaces) {
		error_set(err, "out of memory");
		steer_close(s);
		return NULL;
	}
	return s;
}

int steer_open(const struct steer_options *options, struct steer **ret, struct error *err)
{
	uint32_t max_flows = options->max_flows;
	struct steer *s;
	int r;

	if (max_flows > FLOWS_MAX) {
		error_set(err, "at most %u connections can be steered, not %u", FLOWS_MAX,
			  max_flows);
		return -EINVAL;
	}
	if (options->max_workloads > WORKLOADS_MAX) {
		error_set(err, "at most %u workloads can be held, not %u", WORKLOADS_MAX,
			  options->max_workloads);
		return -EINVAL;
	}
	if (options->max_netns > NAMESPACES_MAX) {
		error_set(err, "at most %u network namespaces can be served, not %u",
			  NAMESPACES_MAX, options->max_netns);
		return -EINVAL;
	}
	s = make(options, err);
	if (!s)
		return -ENOMEM;
	libbpf_set_print(NULL); /* what it would print is said in ERR */
	r = load(s, max_flows < FLOWS_MIN ? FLOWS_MIN : max_flows, s->audit);
	if (r < 0)
		goto fail;
	s->config.members = 1;
	/* In audit its SYN is not held back, and its answer may come from afar. */
	s->config.doomed_rto = s->audit ? 0 : in_ticks(DOOMED_RTO_NS);
	r = steer_init_slots(s);
	if (r == 0)
		r = steer_init_netns(s);
	if (r == 0)
		r = steer_write_config(s);
	if (r < 0)
		goto fail;
	s->events = ring_buffer__new(bpf_map__fd(s->skel->maps.events), steer_on_record, s, NULL);
	if (!s->events) {
		r = -errno;
		goto fail;
	}
	*ret = s;
	return 0;
fail:
	explain_load(err, r);
	steer_close(s);
	return r;
}

void steer_close(struct steer *s)
{
	if (!s)
		return;
	steer_detach_all(s);
	steer_unpin(s);
	steer_close_adopt(s);
	ring_buffer__free(s->events);
	steer_close_netns(s);
	steer_bpf__destroy(s->skel);
	free(s->namespaces);
	free(s->slots);
	free(s);
}
