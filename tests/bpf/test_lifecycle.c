/* SPDX-License-Identifier: Apache-2.0 */
/* Attached, killed, cleaned up: what holds meanwhile, and that nothing is left. */
#include "scene.h"
#include <bpf/bpf.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include "run_state.h"

#define IDS_MAX 64

/* ---- the listener goes ---- */

static void dial_without_listener(int fd, void *arg)
{
	for (int i = 0; i < 2; i++) {
		CHECK(dial_tcp(AF_INET, FAR4, PORT_STEERED) == -EPERM);
		CHECK(dial_tcp(AF_INET6, FAR4, PORT_STEERED) == -EPERM);
		meet(fd); /* somebody takes the port */
	}
	CHECK(dial_tcp(AF_INET, FAR4, PORT_STEERED) >= 0);  /* a listener of ours */
	CHECK(dial_tcp(AF_INET6, FAR6, PORT_STEERED) >= 0); /* which never went */
}

static void test_listener_goes(void **state)
{
	struct scene *s = *state;
	struct sockaddr_storage name = { .ss_family = 0 };
	socklen_t len = sizeof(name);
	struct pollfd p = { .events = POLLIN };
	struct error err = { "" };
	struct worker w;
	uint16_t port;
	char c;

	assert_int_equal(getsockname(s->listener4, (struct sockaddr *)&name, &len), 0);
	port = address_of(&name).port;
	close(s->listener4);
	w = worker_start(s, dial_without_listener, NULL);
	assert_int_equal(read(w.fd, &c, 1), 1);
	p.fd = scene_listen(AF_INET, "127.0.0.1", port);
	assert_int_equal(write(w.fd, &c, 1), 1);
	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(poll(&p, 1, 100), 0);
	close(p.fd);
	s->listener4 = scene_listen(AF_INET, "127.0.0.1", port);
	assert_int_equal(steer_add_listener(s->steer, s->listener4, &err), 0);
	assert_int_equal(write(w.fd, &c, 1), 1);
	worker_end(&w);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_NO_LISTENER], 4);
}

static void dial_from_own_netns(int fd, void *arg)
{
	CHECK(unshare(CLONE_NEWNET) == 0);
	CHECK(scene_shell("ip link set lo up && ip route add default dev lo"));
	CHECK(dial_tcp(AF_INET, FAR4, PORT_STEERED) == -EPERM);
	CHECK(dial_tcp(AF_INET, FAR4, PORT_REFUSED) == -EPERM);
}

static void test_own_netns(void **state)
{
	struct scene *s = *state;

	worker_run(s, dial_from_own_netns, NULL);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_NO_LISTENER], 1);
}

static void test_bad_listeners(void **state)
{
	struct scene *s = *state;
	const char *const where[] = { "0.0.0.0", "127.0.0.2", HERE4 };
	struct error err = { "" };
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		fd = scene_listen(AF_INET, where[i], 0);
		assert_int_equal(steer_add_listener(s->steer, fd, &err), -EINVAL);
		close(fd);
	}
	fd = scene_listen(AF_INET, "127.0.0.1", 0); /* another port */
	assert_int_equal(steer_add_listener(s->steer, fd, &err), -EINVAL);
	close(fd);
}

/* ---- the owner is killed ---- */

struct ids {
	uint32_t programs[IDS_MAX], n;
};

static void add_ids(int at, enum bpf_attach_type type, uint32_t want, struct ids *ret)
{
	uint32_t n = IDS_MAX - ret->n, flags = 0;

	assert_int_equal(bpf_prog_query(at, type, 0, &flags, ret->programs + ret->n, &n), 0);
	assert_int_equal(n, want);
	ret->n += n;
}

/* The programs on a cgroup and on this network namespace; they hold the maps. */
static void collect_ids(int cgroup_fd, struct ids *ret)
{
	int netns;
	static const enum bpf_attach_type types[] = {
		BPF_CGROUP_INET_EGRESS,	      BPF_CGROUP_INET_INGRESS,
		BPF_CGROUP_INET_SOCK_CREATE,  BPF_CGROUP_SOCK_OPS,
		BPF_CGROUP_INET4_CONNECT,     BPF_CGROUP_INET6_CONNECT,
		BPF_CGROUP_UDP4_SENDMSG,      BPF_CGROUP_UDP6_SENDMSG,
		BPF_CGROUP_UDP4_RECVMSG,      BPF_CGROUP_UDP6_RECVMSG,
		BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME,
		BPF_CGROUP_INET4_GETSOCKNAME, BPF_CGROUP_INET6_GETSOCKNAME,
	};

	ret->n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		add_ids(cgroup_fd, types[i], types[i] == BPF_CGROUP_SOCK_OPS ? 2 : 1, ret);
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	add_ids(netns, BPF_SK_LOOKUP, 1, ret);
	close(netns);
}

static bool any_program_left(const struct ids *ids)
{
	for (uint32_t i = 0; i < ids->n; i++) {
		int fd = bpf_prog_get_fd_by_id(ids->programs[i]);

		if (fd >= 0) {
			close(fd);
			return true;
		}
	}
	return false;
}

/* Maps are freed by programs, programs by links, links by a work queue. */
static void assert_nothing_left(const struct ids *ids)
{
	for (int i = 0; i < 500 && any_program_left(ids); i++)
		usleep(10000);
	assert_false(any_program_left(ids));
}

static void own_a_run(int fd, void *arg)
{
	const struct steer_options options = { .max_flows = 1024 };
	struct error err = { "" };
	struct run_state run;
	struct scene own = { .listener4 = -1, .listener6 = -1 };

	CHECK(run_state_make(&run, &err) == 0);
	CHECK(steer_open(&options, &own.steer, &err) == 0);
	scene_add_workload(&own, &run.cgroup);
	scene_set_ingress(&own, true, L4_ALLOW);
	scene_add_listeners(&own);
	CHECK(steer_attach(own.steer, run.cgroup.fd, run.pin_dir, &err) == 0);
	CHECK(write(fd, &run, sizeof(run)) == sizeof(run));
	meet(fd);
	CHECK(false); /* killed by now */
}

static void dial_when_told(int fd, void *arg)
{
	meet(fd);
	CHECK(dial_tcp(AF_INET, FAR4, PORT_STEERED) == -EPERM);
	CHECK(dial_tcp(AF_INET6, FAR6, PORT_STEERED) == -EPERM);
	CHECK(dial_tcp(AF_INET, FAR4, PORT_REFUSED) == -EPERM);
	CHECK(dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED) >= 0);
	CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM);
	meet(fd);
}

static void assert_private(const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, 0);
}

static void assert_report(unsigned removed, unsigned held, unsigned alive)
{
	struct cleanup_report report;
	struct error err = { "" };

	if (run_state_cleanup(&report, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(report.removed, removed);
	assert_int_equal(report.held, held);
	assert_int_equal(report.alive, alive);
}

static void test_killed(void **state)
{
	struct scene inside = { .listener4 = -1, .listener6 = -1 };
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED), status;
	struct worker owner = worker_start(NULL, own_a_run, NULL), w;
	struct run_state run;
	struct error err = { "" };
	struct ids ids;

	assert_int_equal(recv(owner.fd, &run, sizeof(run), MSG_WAITALL), sizeof(run));
	assert_int_equal(cgroup_open(&inside.cgroup, run.cgroup.path, &err), 0);
	assert_private("/run/sluice", 0700);
	assert_private(run.file, 0600);
	assert_private(run.pin_dir, 0700);
	collect_ids(inside.cgroup.fd, &ids);
	w = worker_start(&inside, dial_when_told, NULL);
	assert_report(0, 0, 1);
	kill(owner.pid, SIGKILL);
	assert_int_equal(waitpid(owner.pid, &status, 0), owner.pid);
	close(owner.fd);
	meet(w.fd);
	assert_report(0, 1, 0);
	assert_int_equal(access(run.pin_dir, F_OK), 0);
	meet(w.fd);
	worker_end(&w);
	assert_report(1, 0, 0);
	assert_report(0, 0, 0);
	assert_true(access(run.pin_dir, F_OK) < 0);
	assert_true(access(run.file, F_OK) < 0);
	assert_true(access(run.cgroup.path, F_OK) < 0);
	cgroup_done(&inside.cgroup);
	assert_nothing_left(&ids);
	close(server);
}

static void test_normal_end(void **state)
{
	const struct steer_options options = { .max_flows = 1024 };
	struct scene own = { .listener4 = -1, .listener6 = -1 };
	struct error err = { "" };
	struct run_state run;
	struct ids ids;

	assert_int_equal(run_state_make(&run, &err), 0);
	assert_int_equal(steer_open(&options, &own.steer, &err), 0);
	scene_add_workload(&own, &run.cgroup);
	scene_set_ingress(&own, true, L4_ALLOW);
	scene_add_listeners(&own);
	assert_int_equal(steer_attach(own.steer, run.cgroup.fd, run.pin_dir, &err), 0);
	collect_ids(run.cgroup.fd, &ids);
	steer_close(own.steer);
	close(own.listener4);
	close(own.listener6);
	assert_nothing_left(&ids);
	assert_int_equal(run_state_remove(&run), 0);
	assert_true(access(run.pin_dir, F_OK) < 0);
	assert_true(access(run.file, F_OK) < 0);
	assert_true(access("/sys/fs/bpf/sluice", F_OK) < 0);
}

/* ---- somebody is in the way ---- */

static void test_exclusive(void **state)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, load, .expected_attach_type = BPF_CGROUP_INET_EGRESS);
	const struct steer_options options = { .max_flows = 64 };
	struct cgroup above, below;
	struct error err = { "" };
	struct steer *steer;
	int prog;

	assert_int_equal(cgroup_make(&above, "above", &err), 0);
	assert_int_equal(cgroup_make(&below, "above/below", &err), 0);
	prog = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "exclusive", "GPL", pass, 2, &load);
	assert_true(prog >= 0);
	assert_int_equal(bpf_prog_attach(prog, above.fd, BPF_CGROUP_INET_EGRESS, 0), 0);
	assert_int_equal(steer_open(&options, &steer, &err), 0);
	assert_int_equal(steer_attach(steer, below.fd, "/sys/fs/bpf/sluice/exclusive", &err),
			 -EPERM);
	assert_non_null(strstr(err.text, "exclusively"));
	steer_close(steer);
	assert_true(access("/sys/fs/bpf/sluice", F_OK) < 0);
	close(prog);
	assert_int_equal(cgroup_remove(&below), 0);
	assert_int_equal(cgroup_remove(&above), 0);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_listener_goes),	   TEST(test_own_netns),
		TEST(test_bad_listeners),	   cmocka_unit_test(test_killed),
		cmocka_unit_test(test_normal_end), cmocka_unit_test(test_exclusive),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
