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
	if (r == -EPERM || r == -EACCES)
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
		error_set(err,
			  "the kernel refused the BPF programs (%s): Linux 5.15 or newer with "
			  "CONFIG_CGROUP_BPF and CONFIG_DEBUG_INFO_BTF is needed",
			  strerror(-r));
}

static int set_sizes(struct steer_bpf *skel, uint32_t max_flows)
{
	const struct {
		struct bpf_map *map;
		uint32_t entries;
	} sizes[] = {
		{ skel->maps.flows, max_flows },
		{ skel->maps.flows_closed, max_flows / FLOWS_PER_CLOSED },
		{ skel->maps.locals, max_flows * LOCALS_PER_FLOW },
		{ skel->maps.routes, STEER_ROUTES_MAX },
		{ skel->maps.udp_peers, UDP_PEERS },
		{ skel->maps.udp_sent, UDP_SENT },
		{ skel->maps.legs, max_flows },
		{ skel->maps.events, STEER_EVENTS_BYTES },
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
	s->skel->rodata->lookup_netns = s->netns;
	r = set_sizes(s->skel, max_flows);
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
	s = calloc(1, sizeof(*s));
	if (!s) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	libbpf_set_print(NULL); /* what it would print is said in ERR */
	s->audit = options->audit;
	r = steer_cookie_of(-1, &s->netns);
	if (r < 0)
		goto fail;
	r = load(s, max_flows < FLOWS_MIN ? FLOWS_MIN : max_flows, s->audit);
	if (r < 0)
		goto fail;
	s->config.generation = 1;
	/* In audit its SYN is not held back, and its answer may come from afar. */
	s->config.doomed_rto = s->audit ? 0 : in_ticks(DOOMED_RTO_NS);
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

int steer_pin_link(const struct steer *s, struct bpf_link *link, const char *name)
{
	char path[sizeof(s->pin_dir) + 64];

	if (s->audit)
		return 0;
	snprintf(path, sizeof(path), "%s/link_%s", s->pin_dir, name);
	return bpf_link__pin(link, path);
}

/* The order matters twice: whoever is in the cgroup meets the refusing hooks before the steering
 * ones, and on detaching the backstop is the last to go. */
static int attach_all(struct steer *s, int cgroup_fd)
{
	struct bpf_program *const programs[] = {
		s->skel->progs.steer_inbound,	   s->skel->progs.steer_passive,
		s->skel->progs.steer_backstop,	   s->skel->progs.steer_socket,
		s->skel->progs.steer_sendmsg4,	   s->skel->progs.steer_sendmsg6,
		s->skel->progs.steer_recvmsg4,	   s->skel->progs.steer_recvmsg6,
		s->skel->progs.steer_sock_ops,	   s->skel->progs.steer_getpeername4,
		s->skel->progs.steer_getpeername6, s->skel->progs.steer_getsockname4,
		s->skel->progs.steer_getsockname6, s->skel->progs.steer_connect4,
		s->skel->progs.steer_connect6,
	};
	int r;

	_Static_assert(ARRAY_SIZE(programs) == STEER_LINKS, "one link for each program");
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		s->links[i] = bpf_program__attach_cgroup(programs[i], cgroup_fd);
		if (!s->links[i])
			return -errno;
		r = steer_pin_link(s, s->links[i], bpf_program__name(programs[i]));
		if (r < 0)
			return r;
	}
	return 0;
}

static void explain_attach(struct error *err, int r)
{
	if (r == -EPERM)
		error_set(err,
			  "another BPF program is attached exclusively to a cgroup above the "
			  "workload's, so ours cannot be: find it with \"bpftool cgroup tree\" "
			  "and attach it with BPF_F_ALLOW_MULTI, or start sluice elsewhere");
	else
		error_set(err, "cannot attach the BPF programs to the cgroup: %s", strerror(-r));
}

#define PIN_TRIES 100

/* The parent (<bpffs>/sluice) is shared by all runs and stays until the last one is gone. */
static int make_pin_dir(struct steer *s, const char *pin_dir)
{
	char parent[sizeof(s->pin_dir)];
	size_t len = strlen(pin_dir);
	int tries = PIN_TRIES, r;
	char *slash;

	if (len >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, pin_dir, len + 1);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return -EINVAL;
	*slash = '\0';
	/* A run that ends right now may take the parent away again. */
	do {
		if (mkdir(parent, 0700) < 0 && errno != EEXIST)
			return -errno;
		r = mkdir(pin_dir, 0700) < 0 ? -errno : 0;
	} while (r == -ENOENT && --tries > 0);
	if (r < 0)
		return r;
	memcpy(s->pin_dir, pin_dir, len + 1);
	return 0;
}

static int pin_maps(struct steer *s, const char *pin_dir, struct error *err)
{
	int r;

	if (s->audit)
		return 0;
	r = make_pin_dir(s, pin_dir);
	if (r < 0) {
		error_set(err, "cannot make the directory %s for the BPF pins: %s", pin_dir,
			  strerror(-r));
		return r;
	}
	r = bpf_object__pin_maps(s->skel->obj, s->pin_dir);
	if (r < 0)
		error_set(err, "cannot pin the BPF maps in %s: %s", pin_dir, strerror(-r));
	return r;
}

int steer_attach(struct steer *s, int cgroup_fd, const char *pin_dir, struct error *err)
{
	int r;

	r = pin_maps(s, pin_dir, err);
	if (r < 0)
		return r;
	r = attach_all(s, cgroup_fd);
	if (r < 0) {
		explain_attach(err, r);
		return r;
	}
	s->attached = true;
	r = steer_attach_lookup(s);
	if (r < 0)
		error_set(err,
			  "cannot attach the BPF program for ingress to the network namespace: %s",
			  strerror(-r));
	return r;
}

int steer_add_workload(struct steer *s, uint64_t cgroup_id, unsigned flags, uint64_t *ret,
		       struct error *err)
{
	(void)cgroup_id;
	(void)flags;
	if (s->workload) {
		error_set(err, "there are as many workloads as may be");
		return -ENOSPC;
	}
	*ret = s->workload = 1ull << 32;
	return 0;
}

static void detach_link(struct bpf_link **link)
{
	if (!*link)
		return;
	bpf_link__unpin(*link);
	bpf_link__detach(*link);
	bpf_link__destroy(*link);
	*link = NULL;
}

static void detach(struct steer *s)
{
	detach_link(&s->lookup);
	for (size_t i = STEER_LINKS; i-- > 0;)
		detach_link(&s->links[i]);
}

void steer_close(struct steer *s)
{
	if (!s)
		return;
	detach(s);
	if (s->pin_dir[0]) {
		bpf_object__unpin_maps(s->skel->obj, s->pin_dir);
		rmdir(s->pin_dir);
		*strrchr(s->pin_dir, '/') = '\0';
		rmdir(s->pin_dir); /* stays while another run pins there */
	}
	ring_buffer__free(s->events);
	steer_bpf__destroy(s->skel);
	free(s);
}
