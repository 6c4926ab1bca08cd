/* SPDX-License-Identifier: Apache-2.0 */
#include "netns_stage.h"
#include <sched.h>
#include <signal.h>

static pid_t hold_namespace(void)
{
	int fds[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		CHECK(unshare(CLONE_NEWNET) == 0);
		CHECK(write(fds[1], "u", 1) == 1);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	return pid;
}

struct elsewhere elsewhere_make(struct scene *s, int n)
{
	struct elsewhere e = {
		.s = s, .four = -1, .six = -1, .inbound_four = -1, .inbound_six = -1
	};
	char path[64], command[1024];

	e.holder = hold_namespace();
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)e.holder);
	e.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(e.fd >= 0);
	snprintf(e.here4, sizeof(e.here4), "10.78.%d.1", n);
	snprintf(e.here6, sizeof(e.here6), "fd78:%d::1", n);
	snprintf(e.there4, sizeof(e.there4), "10.78.%d.2", n);
	snprintf(e.there6, sizeof(e.there6), "fd78:%d::2", n);
	snprintf(command, sizeof(command),
		 "ip link add out%d type veth peer name in0 netns %d && ip link set out%d up && "
		 "ip addr add %s/24 dev out%d && ip addr add %s/64 dev out%d nodad && "
		 "nsenter --net=%s sh -c 'ip link set lo up && ip link set in0 up && "
		 "ip addr add %s/24 dev in0 && ip addr add %s/64 dev in0 nodad && "
		 "ip route add default via %s && ip -6 route add default via %s'",
		 n, (int)e.holder, n, e.here4, n, e.here6, n, path, e.there4, e.there6, e.here4,
		 e.here6);
	assert_true(scene_shell(command));
	if (s->routes)
		assert_int_equal(routes_update(s->routes), 0);
	e.n = n;
	return e;
}

void elsewhere_end(struct elsewhere *e)
{
	char command[32];

	if (e->number)
		elsewhere_unregister(e);
	close(e->fd);
	snprintf(command, sizeof(command), "ip link del out%d", e->n);
	assert_true(scene_shell(command));
	kill(e->holder, SIGKILL);
	waitpid(e->holder, NULL, 0);
}

int elsewhere_visit(const struct elsewhere *e)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(home >= 0);
	assert_int_equal(setns(e->fd, CLONE_NEWNET), 0);
	return home;
}

void elsewhere_come_back(int home)
{
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
}

bool elsewhere_shell(const struct elsewhere *e, const char *command)
{
	char all[1024];

	snprintf(all, sizeof(all), "nsenter --net=/proc/%d/ns/net sh -c '%s'", (int)e->holder,
		 command);
	return scene_shell(all);
}

int elsewhere_listen(const struct elsewhere *e, int family, const char *ip, uint16_t port)
{
	int home = elsewhere_visit(e), fd = scene_listen(family, ip, port);

	elsewhere_come_back(home);
	return fd;
}

void elsewhere_register(struct elsewhere *e)
{
	struct steer *steer = e->s->steer;
	struct error err = { "" };

	if (steer_add_netns(steer, e->fd, &e->number, &err) < 0 ||
	    routes_open(steer, e->number, e->fd, &e->routes, &err) < 0)
		fail_msg("%s", err.text);
	e->four = elsewhere_listen(e, AF_INET, "127.0.0.1", 0);
	e->six = elsewhere_listen(e, AF_INET6, "::1", 0);
	e->inbound_four = elsewhere_listen(e, AF_INET, "127.0.0.1", 0);
	e->inbound_six = elsewhere_listen(e, AF_INET6, "::1", 0);
	if (steer_add_listener(steer, e->four, &err) < 0 ||
	    steer_add_listener(steer, e->six, &err) < 0 ||
	    steer_add_inbound(steer, e->inbound_four, &err) < 0 ||
	    steer_add_inbound(steer, e->inbound_six, &err) < 0)
		fail_msg("%s", err.text);
}

void elsewhere_unregister(struct elsewhere *e)
{
	close(e->four);
	close(e->six);
	close(e->inbound_four);
	close(e->inbound_six);
	routes_close(e->routes);
	steer_remove_netns(e->s->steer, e->number);
	e->number = 0;
}

void elsewhere_hold(struct scene *s, unsigned flags, const struct l4_table *table)
{
	struct error err = { "" };

	assert_int_equal(steer_remove_workload(s->steer, s->workload), 0);
	if (steer_add_workload(s->steer, cgroup_id(&s->cgroup), flags, &s->workload, &err) < 0 ||
	    steer_set_table(s->steer, s->workload, table, &err) < 0)
		fail_msg("%s", err.text);
}

void elsewhere_set_flags(struct scene *s, unsigned flags)
{
	assert_int_equal(steer_set_flags(s->steer, s->workload, flags), 0);
	assert_int_equal(steer_renew(s->steer), 0);
}

int elsewhere_setup(void **state, struct elsewhere *ret)
{
	const struct steer_options options = { .max_flows = 1024, .max_netns = 3 };
	int r = scene_setup_with(state, &options);

	*ret = elsewhere_make(*state, 1);
	elsewhere_register(ret);
	return r;
}

int elsewhere_teardown(void **state, struct elsewhere *e)
{
	struct scene *s = *state;

	cgroup_signal(&s->cgroup, SIGKILL);
	elsewhere_end(e);
	return scene_teardown(state);
}
