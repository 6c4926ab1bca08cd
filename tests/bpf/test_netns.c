/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces come and go: numbers, what is told of unknown ones, what holds when we are
 * killed, and that nothing is left of them. */
#include "netns_stage.h"
#include <bpf/bpf.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "count.h"
#include "pins.h"

#define NUMBERS 3 /* with the host's */
#define MANY	64
#define SOME	16

#define CROWD_MAX 256 /* more than may attach to a namespace */

static int setup(void **state)
{
	const struct steer_options options = { .max_flows = 1024, .max_netns = NUMBERS };

	return scene_setup_with(state, &options);
}

static int setup_audit(void **state)
{
	const struct steer_options options = { .max_flows = 1024,
					       .max_netns = NUMBERS,
					       .audit = true };

	return scene_setup_with(state, &options);
}

/* ---- numbers ---- */

static void test_numbers(void **state)
{
	struct scene *s = *state;
	struct elsewhere a = elsewhere_make(s, 1), b = elsewhere_make(s, 2),
			 c = elsewhere_make(s, 3);
	uint32_t number = 99, home_number = 99;
	struct error err = { "" };
	int home, fd;

	fd = elsewhere_listen(&a, AF_INET, "127.0.0.1", 0);
	assert_int_equal(steer_add_listener(s->steer, fd, &err), -EXDEV);
	assert_int_equal(steer_add_inbound(s->steer, fd, &err), -EXDEV);
	close(fd);
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(steer_add_netns(s->steer, home, &home_number, &err), -EEXIST);
	assert_int_equal(home_number, 0);
	close(home);
	elsewhere_register(&a);
	assert_int_equal(steer_add_netns(s->steer, a.fd, &number, &err), -EEXIST);
	assert_int_equal(number, a.number);
	elsewhere_register(&b);
	assert_true(a.number && b.number && a.number != b.number);
	assert_true(steer_netns_cookie(s->steer, a.number) !=
		    steer_netns_cookie(s->steer, b.number));
	assert_int_equal(steer_add_netns(s->steer, c.fd, &number, &err), -ENOSPC);
	number = a.number;
	elsewhere_unregister(&a);
	assert_int_equal(steer_netns_cookie(s->steer, number), 0);
	elsewhere_register(&c); /* the number is another one's now */
	assert_int_equal(c.number, number);
	steer_remove_netns(s->steer, 0); /* stays */
	assert_true(steer_netns_cookie(s->steer, 0) != 0);
	elsewhere_end(&a);
	elsewhere_end(&b);
	elsewhere_end(&c);
}

/* ---- unknown ones ---- */

static void dial_from(int fd, void *arg)
{
	const struct elsewhere *e = arg;

	(void)fd;
	CHECK(setns(e->fd, CLONE_NEWNET) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(dial_tcp(AF_INET, FAR4, PORT_STEERED) == -EPERM);
		CHECK(dial_tcp(AF_INET6, FAR6, PORT_STEERED) == -EPERM);
		CHECK(dial_tcp(AF_INET, FAR4, PORT_REFUSED) == -EPERM);
	}
}

static void test_unknown(void **state)
{
	struct scene *s = *state;
	struct elsewhere e = elsewhere_make(s, 1);
	uint64_t cookie;
	struct worker w;

	w = worker_start(s, dial_from, &e);
	worker_end(&w);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_NO_LISTENER], 6);
	assert_int_equal(s->n_events[STEER_CONNECT_REFUSED], 3);
	assert_int_equal(s->n_events[STEER_NETNS_UNKNOWN], 1);
	cookie = s->last_event.netns_cookie;
	assert_true(cookie && cookie != steer_netns_cookie(s->steer, 0));
	elsewhere_register(&e);
	assert_int_equal(steer_netns_cookie(s->steer, e.number), cookie);
	elsewhere_unregister(&e); /* unknown again: told again */
	worker_run(s, dial_from, &e);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_NETNS_UNKNOWN], 2);
	elsewhere_end(&e);
}

static void make_socket(int fd, void *arg)
{
	const struct elsewhere *e = arg;

	(void)fd;
	CHECK(setns(e->fd, CLONE_NEWNET) == 0);
	CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

static void test_who_tells(void **state)
{
	struct scene *s = *state;
	struct elsewhere e = elsewhere_make(s, 1);
	struct worker w;

	worker_run(NULL, make_socket, &e); /* in no workload */
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_NETNS_UNKNOWN], 0);
	w = worker_start(s, make_socket, &e);
	worker_end(&w);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_NETNS_UNKNOWN], 1);
	assert_int_equal(s->last_event.pid, w.pid);
	assert_int_equal(s->last_event.workload, s->workload);
	elsewhere_end(&e);
}

static void dial_audited(int fd, void *arg)
{
	const struct elsewhere *e = arg;
	int sock;

	(void)fd;
	CHECK(setns(e->fd, CLONE_NEWNET) == 0);
	CHECK(dial_tcp(AF_INET, e->here4, PORT_STEERED) >= 0);
	CHECK(dial_tcp(AF_INET6, e->here6, PORT_REFUSED) >= 0);
	sock = dial_tcp(AF_INET, "127.0.0.1", PORT_STEERED);
	CHECK(sock == -ECONNREFUSED);
}

/* Nothing is refused, but said, where nothing can be read. */
static void test_audit(void **state)
{
	struct scene *s = *state;
	struct elsewhere e = elsewhere_make(s, 1);
	int four = scene_listen(AF_INET, e.here4, PORT_STEERED);
	int six = scene_listen(AF_INET6, e.here6, PORT_REFUSED);

	worker_run(s, dial_audited, &e);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_CONNECT_NO_LISTENER], 1);
	assert_int_equal(s->n_events[STEER_CONNECT_REFUSED], 1);
	assert_int_equal(s->n_audited, 2);
	close(four);
	close(six);
	elsewhere_end(&e);
}

/* ---- killed ---- */

struct doomed {
	struct elsewhere e;
	const char *pin_dir;
	struct cgroup cgroup;
};

static void steer_until_killed(int fd, void *arg)
{
	const struct steer_options options = { .max_flows = 64, .max_netns = NUMBERS };
	struct doomed *d = arg;
	struct scene own = { .cgroup = d->cgroup };
	struct error err = { "" };

	CHECK(steer_open(&options, &own.steer, &err) == 0);
	CHECK(routes_open(own.steer, 0, -1, &own.routes, &err) == 0);
	scene_add_workload(&own, &own.cgroup);
	scene_add_listeners(&own);
	d->e.s = &own;
	elsewhere_register(&d->e);
	CHECK(steer_attach(own.steer, own.cgroup.fd, d->pin_dir, &err) == 0);
	scene_set_ingress(&own, true, L4_ALLOW);
	meet(fd);
	for (;;)
		pause();
}

/* A server there, and who asks for each byte: 'h' is held. */
static void live_there(int fd, void *arg)
{
	const struct doomed *d = arg;
	int server;
	char c;

	CHECK(setns(d->e.fd, CLONE_NEWNET) == 0);
	server = scene_listen(AF_INET, "0.0.0.0", PORT_STEERED);
	CHECK(write(fd, ".", 1) == 1);
	while (read(fd, &c, 1) == 1) {
		int r = dial_tcp(AF_INET, d->e.here4, PORT_STEERED);

		c = r == -EPERM ? 'h' : 'f';
		if (r >= 0)
			close(r);
		CHECK(write(fd, &c, 1) == 1);
	}
	close(server);
}

static char ask(int fd)
{
	char c = '?';

	assert_int_equal(write(fd, &c, 1), 1);
	assert_int_equal(read(fd, &c, 1), 1);
	return c;
}

/* From a third namespace, by way of the scene's. */
static void come_by(int fd, void *arg)
{
	const struct elsewhere *from = arg;
	int r;

	CHECK(setns(from->fd, CLONE_NEWNET) == 0);
	r = dial_tcp(AF_INET, "10.78.1.2", PORT_STEERED);
	CHECK(write(fd, r >= 0 ? "f" : "h", 1) == 1);
}

static char try_to_come(struct elsewhere *from)
{
	struct worker w = worker_start(NULL, come_by, from);
	char c = '?';

	assert_int_equal(read(w.fd, &c, 1), 1);
	worker_end(&w);
	return c;
}

static void test_killed(void **state)
{
	struct scene host = { .routes = NULL };
	struct worker steering, living;
	struct error err = { "" };
	struct elsewhere third;
	struct doomed d;
	int status;

	(void)state;
	assert_int_equal(cgroup_make(&host.cgroup, "workload", &err), 0);
	host.listener4 = host.listener6 = -1;
	d.cgroup = host.cgroup;
	d.pin_dir = "/sys/fs/bpf/sluice/killed";
	d.e = elsewhere_make(&host, 1);
	third = elsewhere_make(&host, 2);
	assert_true(scene_shell("echo 1 >/proc/sys/net/ipv4/ip_forward"));
	steering = worker_start(NULL, steer_until_killed, &d);
	assert_int_equal(read(steering.fd, &(char){ 0 }, 1), 1);
	living = worker_start(&host, live_there, &d);
	assert_int_equal(read(living.fd, &(char){ 0 }, 1), 1);
	assert_int_equal(ask(living.fd), 'f'); /* to the listener, who is not asked to read */
	assert_int_equal(try_to_come(&third), 'f');
	kill(steering.pid, SIGKILL);
	assert_int_equal(waitpid(steering.pid, &status, 0), steering.pid);
	close(steering.fd);
	assert_int_equal(ask(living.fd), 'h');
	assert_int_equal(try_to_come(&third), 'h');
	assert_int_equal(pins_remove(d.pin_dir), 0);
	assert_int_equal(ask(living.fd), 'f');
	assert_int_equal(try_to_come(&third), 'f');
	worker_end(&living);
	elsewhere_end(&third);
	elsewhere_end(&d.e);
	assert_int_equal(cgroup_remove(&host.cgroup), 0);
}

/* ---- many ---- */

struct program {
	uint32_t id, constants; /* of the program, and of the map that is its own */
};

/* What is attached to the namespace with this inode; 0: nothing is. */
static struct program attached_to(ino_t inode)
{
	struct program ret = { 0, 0 };
	uint32_t id = 0;

	while (!ret.id && bpf_link_get_next_id(id, &id) == 0) {
		struct bpf_link_info info = { .id = 0 };
		uint32_t len = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		    info.type == BPF_LINK_TYPE_NETNS && info.netns.netns_ino == inode)
			ret.id = info.prog_id;
		close(fd);
	}
	return ret;
}

/* The map that no other program has: the one that was made last. */
static uint32_t newest_map(uint32_t program)
{
	uint32_t maps[64] = { 0 }, newest = 0, len;
	struct bpf_prog_info info = { .nr_map_ids = ARRAY_SIZE(maps),
				      .map_ids = (uint64_t)(uintptr_t)maps };
	int fd = bpf_prog_get_fd_by_id(program);

	len = sizeof(info);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	for (uint32_t i = 0; i < info.nr_map_ids; i++)
		newest = maps[i] > newest ? maps[i] : newest;
	return newest;
}

static bool is_there(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void assert_gone(const struct program *p)
{
	for (int i = 0; i < 500 && (is_there(bpf_prog_get_fd_by_id(p->id)) ||
				    is_there(bpf_map_get_fd_by_id(p->constants)));
	     i++)
		usleep(10000);
	assert_false(is_there(bpf_prog_get_fd_by_id(p->id)));
	assert_false(is_there(bpf_map_get_fd_by_id(p->constants)));
}

static int new_netns(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), ret;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	ret = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(scene_shell("ip link set lo up"));
	elsewhere_come_back(home);
	assert_true(ret >= 0);
	return ret;
}

static void test_many(void **state)
{
	struct scene *s = *state;
	unsigned fds = count_descriptors(), pins = count_entries(s->pin_dir);
	uint32_t highest = 0;

	scene_set_ingress(s, true, L4_ALLOW);
	pins++; /* the host's */
	fds++;
	fds++; /* by which it stays attached: the link, and its pin's */
	for (int i = 0; i < SOME; i++) {
		struct elsewhere e = { .s = s, .fd = new_netns() };
		struct program p;
		struct stat st;

		assert_int_equal(fstat(e.fd, &st), 0);
		elsewhere_register(&e);
		highest = e.number > highest ? e.number : highest;
		p = attached_to(st.st_ino);
		assert_true(p.id != 0);
		p.constants = newest_map(p.id);
		assert_int_equal(count_entries(s->pin_dir), pins + 1);
		elsewhere_unregister(&e);
		close(e.fd);
		assert_int_equal(count_entries(s->pin_dir), pins);
		if (i % 8 == 0)
			assert_gone(&p);
	}
	assert_int_equal(highest, 1); /* each time the same */
	assert_true(count_descriptors() <= fds);
}

static void test_many_at_once(void **state)
{
	const struct steer_options options = { .max_flows = 64, .max_netns = 1 + MANY };
	struct elsewhere all[MANY];
	struct error err = { "" };
	struct scene s = { .steer = NULL };
	unsigned fds;

	(void)state;
	assert_int_equal(steer_open(&options, &s.steer, &err), 0);
	fds = count_descriptors();
	for (int n = MANY; n >= SOME; n -= MANY - SOME) {
		uint64_t seen[MANY + 1] = { 0 };

		for (int i = 0; i < n; i++) {
			all[i] = (struct elsewhere){ .s = &s, .fd = new_netns() };
			elsewhere_register(&all[i]);
			assert_in_range(all[i].number, 1, MANY);
			assert_int_equal(seen[all[i].number], 0);
			seen[all[i].number] = steer_netns_cookie(s.steer, all[i].number);
			assert_true(seen[all[i].number] != 0);
		}
		for (int i = 0; i < n; i++) {
			elsewhere_unregister(&all[i]);
			close(all[i].fd);
		}
		assert_int_equal(count_descriptors(), fds);
	}
	steer_close(s.steer);
}

/* ---- others, who have programs there as well ---- */

static int pass_all(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_SK_LOOKUP);

	return bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "pass_all", "GPL", code, ARRAY_SIZE(code),
			     &options);
}

/* As many as there can be. Returns their number. */
static unsigned crowd(int *links, unsigned max)
{
	int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), program = pass_all();
	unsigned n = 0;

	assert_true(netns >= 0 && program >= 0);
	while (n < max && (links[n] = bpf_link_create(program, netns, BPF_SK_LOOKUP, NULL)) >= 0)
		n++;
	assert_true(n > 0 && n < max && errno == E2BIG);
	close(program);
	close(netns);
	return n;
}

static void test_full_of_others(void **state)
{
	struct l4_port port = {
		.identity = 1, .protocol = IPPROTO_TCP, .direction = L4_INGRESS, .action = L4_ALLOW
	};
	struct l4_table table = { .ports = &port, .n_ports = 1, .ingress_enforced = true };
	struct scene *s = *state;
	struct elsewhere there = elsewhere_make(s, 1); /* its process must not have the links */
	struct error err = { "" };
	int links[CROWD_MAX] = { 0 };
	unsigned n = crowd(links, CROWD_MAX), pins;

	assert_int_equal(steer_prepare_ingress(s->steer, &err), -EUSERS);
	assert_non_null(strstr(err.text, "others have all 64 places"));
	pins = count_entries(s->pin_dir);
	/* Neither the table nor other namespaces wait for it. */
	assert_int_equal(steer_set_table(s->steer, s->workload, &table, &err), 0);
	elsewhere_register(&there);
	assert_int_equal(count_entries(s->pin_dir), pins + 1);
	assert_int_equal(steer_prepare_ingress(s->steer, &err), -EUSERS);
	close(links[--n]);
	assert_int_equal(steer_prepare_ingress(s->steer, &err), 0);
	assert_int_equal(count_entries(s->pin_dir), pins + 2);
	while (n > 0)
		close(links[--n]);
	elsewhere_end(&there);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers, setup, scene_teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, scene_teardown),
		cmocka_unit_test_setup_teardown(test_who_tells, setup, scene_teardown),
		cmocka_unit_test_setup_teardown(test_audit, setup_audit, scene_teardown),
		cmocka_unit_test(test_killed),
		cmocka_unit_test_setup_teardown(test_many, setup, scene_teardown),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test_setup_teardown(test_full_of_others, setup, scene_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
