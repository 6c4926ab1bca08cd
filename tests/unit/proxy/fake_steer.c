/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_steer.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "require.h"

void fake_steer_file(struct steer *s, const struct flow *flow)
{
	REQUIRE(s->n_flows < FAKE_FLOWS_MAX);
	s->flows[s->n_flows++] = *flow;
}

int steer_add_listener(struct steer *s, int fd, struct error *err)
{
	s->n_listeners++;
	return 0;
}

int steer_take(struct steer *s, uint32_t netns, const struct address *client, struct flow *ret)
{
	for (unsigned i = 0; i < s->n_flows; i++) {
		struct flow *f = &s->flows[i];

		if (f->client.family != client->family || f->client.port != client->port ||
		    memcmp(f->client.ip, client->ip, sizeof(client->ip)) != 0)
			continue;
		*ret = *f;
		*f = s->flows[--s->n_flows];
		return 0;
	}
	return -ENOENT;
}

int steer_set_local(struct steer *s, const struct flow *flow, const struct address *local)
{
	s->n_locals++;
	s->local = *local;
	return 0;
}

int steer_add_inbound(struct steer *s, int fd, struct error *err)
{
	if (s->n_inbound < 2)
		s->inbound[s->n_inbound] = fd;
	s->n_inbound++;
	return 0;
}

int steer_client(struct steer *s, uint32_t netns, const struct address *client,
		 const struct address *server, struct flow *ret)
{
	*ret = (struct flow){ .client = *client,
			      .destination = *server,
			      .netns = netns,
			      .workload = s->server_of,
			      .local = true,
			      .ingress = true };
	return 0;
}

int steer_add_leg(struct steer *s, int fd, const struct flow *flow)
{
	REQUIRE(flow->source.port != 0);
	s->n_legs++;
	return 0;
}

void steer_remove_leg(struct steer *s, const struct flow *flow)
{
	REQUIRE(flow->source.family != 0);
	REQUIRE(s->n_legs > 0);
	s->n_legs--;
}

static uint64_t number_of(int fd)
{
	struct stat st;

	REQUIRE(fstat(fd, &st) == 0);
	return st.st_ino;
}

int steer_attach(struct steer *s, int cgroup_fd, const char *pin_dir, struct error *err)
{
	if (s->attach_result < 0) {
		error_set(err, "no attachment");
		return s->attach_result;
	}
	REQUIRE(s->n_attached < FAKE_POINTS_MAX);
	s->attached[s->n_attached++] = number_of(cgroup_fd);
	s->n_attaches++;
	return 0;
}

int steer_detach(struct steer *s, int cgroup_fd)
{
	uint64_t number = number_of(cgroup_fd);

	for (unsigned i = 0; i < s->n_attached; i++) {
		if (s->attached[i] != number)
			continue;
		s->n_attached--;
		memmove(&s->attached[i], &s->attached[i + 1],
			(s->n_attached - i) * sizeof(s->attached[0]));
		return 0;
	}
	return -ENOENT;
}

int steer_build_table(const struct l4_table *table, struct error *err)
{
	if (table->n_peers == 0)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	error_set(err, "no table");
	return -E2BIG;
}

int steer_switch_table(struct steer *s, uint64_t workload, int fd, const struct l4_table *table,
		       struct error *err)
{
	REQUIRE(table && fcntl(fd, F_GETFD) >= 0);
	if (s->switch_fails > 0) {
		s->switch_fails--;
		error_set(err, "no switch");
		return -ENOMEM;
	}
	if (s->switch_ms)
		usleep(s->switch_ms * 1000);
	REQUIRE(s->n_switched < FAKE_SWITCHES_MAX);
	s->switched[s->n_switched] = workload;
	s->tables[s->n_switched++] = fd;
	return 0;
}

int steer_sweep(struct steer *s, void (*on_swept)(void *ctx, const struct swept *e), void *ctx)
{
	s->n_sweeps++;
	for (unsigned i = 0; i < s->n_swept; i++)
		on_swept(ctx, &s->swept[i]);
	s->n_swept = 0;
	return s->sweep_result;
}
