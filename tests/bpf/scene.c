/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "probe.h"

#define PATIENCE_MS 5000
#define TEST_MS	    280000
#define TEST_BPFFS  "/sys/fs/bpf"

/* ---- what cannot be tested ---- */

static bool in_ci(void)
{
	const char *ci = getenv("CI");

	return ci && strcmp(ci, "true") == 0;
}

void scene_skip(const char *what, const char *why, bool optional)
{
	printf("SKIP: %s: %s\n", what, why);
	fflush(stdout);
	if (!optional)
		check(!in_ci(), what, __FILE__, __LINE__);
}

/* ---- the world ---- */

bool scene_shell(const char *command)
{
	int status = system(command);

	if (status != 0)
		fprintf(stderr, "failed: %s\n", command);
	return status == 0;
}

static bool make_network(void)
{
	return scene_shell("echo 0 0 >/proc/sys/net/ipv4/ping_group_range && "
			   "ip link set lo up && ip link add here0 type veth peer name there0 && "
			   "ip link set here0 up && ip link set there0 up && "
			   "ip addr add " HERE4 "/24 dev here0 && "
			   "ip -6 addr add " HERE6 "/64 dev here0 nodad && "
			   "ip -6 addr add " LINK6 "/64 dev here0 nodad && "
			   "ip route add default dev here0 && "
			   "ip -6 route add 2001:db8:77::/48 dev here0");
}

static bool make_world(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, "mode=0755") < 0 ||
	    mount("none", TEST_BPFFS, "bpf", 0, "mode=0700") < 0) {
		perror("namespaces");
		return false;
	}
	return make_network();
}

/* Everything that the test makes in the cgroup tree is below this one. */
static void remove_cgroup(struct cgroup *cg)
{
	cgroup_signal(cg, SIGKILL);
	for (int i = 0; i < PATIENCE_MS && cgroup_populated(cg) == 1; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(1000);
	}
	if (cgroup_remove(cg) < 0)
		fprintf(stderr, "could not remove %s\n", cg->path);
}

static int supervise(pid_t child, struct cgroup *cg)
{
	struct pollfd nothing = { .fd = -1 };
	int status = 0, r = 0;

	for (int ms = 0; r == 0 && ms < TEST_MS; ms += 10) {
		poll(&nothing, 1, 10);
		r = waitpid(child, &status, WNOHANG);
	}
	remove_cgroup(cg);
	if (r == 0) {
		fprintf(stderr, "the test took too long\n");
		return 1;
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "the test died of signal %d\n", WTERMSIG(status));
	return 1;
}

int scene_main(int (*run)(void))
{
	struct error err = { "" };
	struct cgroup cg;
	char name[64];
	pid_t child;

	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	snprintf(name, sizeof(name), "sluice-test-%d", (int)getpid());
	if (probe_requirements(&err) < 0) {
		scene_skip("BPF", err.text, false);
		return SCENE_SKIP;
	}
	if (cgroup_make(&cg, name, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	fflush(NULL);
	child = fork();
	if (child > 0)
		return supervise(child, &cg);
	if (child < 0) {
		cgroup_remove(&cg);
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	exit(cgroup_enter(&cg) == 0 && make_world() ? run() : 1);
}

/* ---- steering ---- */

#define EVERYWHERE(where, is_local, which)                                                     \
	{                                                                                      \
		.direction = (where), .local = (is_local), .family = (which), .prefix_len = 0, \
		.identity = 1                                                                  \
	}
#define PORT(where, number, proto, what)                                                    \
	{                                                                                   \
		.direction = (where), .identity = 1, .protocol = (proto), .prefix_len = 16, \
		.port = (number), .action = (what)                                          \
	}

static void set_table(struct scene *s, bool enforced, bool ingress, uint8_t allowed)
{
	struct l4_peer peers[] = {
		EVERYWHERE(L4_EGRESS, 0, 4),  EVERYWHERE(L4_EGRESS, 1, 4),
		EVERYWHERE(L4_EGRESS, 0, 6),  EVERYWHERE(L4_EGRESS, 1, 6),
		EVERYWHERE(L4_INGRESS, 0, 4), EVERYWHERE(L4_INGRESS, 1, 4),
		EVERYWHERE(L4_INGRESS, 0, 6), EVERYWHERE(L4_INGRESS, 1, 6),
	};
	uint8_t datagrams = allowed == L4_ALLOW ? L4_ALLOW : L4_REFUSE;
	struct l4_port ports[] = {
		PORT(L4_EGRESS, PORT_STEERED, IPPROTO_TCP, L4_STEER),
		PORT(L4_EGRESS, PORT_STEERED2, IPPROTO_TCP, L4_STEER),
		PORT(L4_EGRESS, PORT_ALLOWED, IPPROTO_TCP, allowed),
		PORT(L4_EGRESS, PORT_ALLOWED, IPPROTO_UDP, datagrams),
		PORT(L4_INGRESS, PORT_STEERED, IPPROTO_TCP, L4_STEER),
		PORT(L4_INGRESS, PORT_ALLOWED, IPPROTO_TCP, allowed),
		PORT(L4_INGRESS, PORT_ALLOWED, IPPROTO_UDP, datagrams),
	};
	const struct l4_table table = { .enforced = enforced,
					.ingress_enforced = ingress,
					.peers = peers,
					.n_peers = ARRAY_SIZE(peers),
					.ports = ports,
					.n_ports = ARRAY_SIZE(ports) };
	struct error err = { "" };

	if (steer_set_table(s->steer, s->workload, &table, &err) < 0)
		fail_msg("%s", err.text);
}

void scene_set_table(struct scene *s, bool enforced)
{
	set_table(s, enforced, false, L4_ALLOW);
}

void scene_set_allowed(struct scene *s, enum l4_action action)
{
	set_table(s, true, false, (uint8_t)action);
}

void scene_set_ingress(struct scene *s, bool egress, enum l4_action action)
{
	set_table(s, egress, true, (uint8_t)action);
}

int scene_udp_server(int family, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss = place(family, ip, port);
	int fd = socket(family, SOCK_DGRAM, 0), one = 1;

	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, place_len(&ss)), 0);
	return fd;
}

unsigned scene_datagrams(int fd)
{
	char bytes[16];
	unsigned n = 0;

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

int scene_listen(int family, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss = place(family, ip, port);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, place_len(&ss)) < 0 || listen(fd, 4096) < 0)
		fail_msg("listen on %s: %s", ip, strerror(errno));
	return fd;
}

void scene_add_listeners(struct scene *s)
{
	struct error err = { "" };

	s->listener4 = scene_listen(AF_INET, "127.0.0.1", 0);
	s->listener6 = scene_listen(AF_INET6, "::1", 0);
	if (steer_add_listener(s->steer, s->listener4, &err) < 0 ||
	    steer_add_listener(s->steer, s->listener6, &err) < 0)
		fail_msg("%s", err.text);
}

void scene_add_workload(struct scene *s, const struct cgroup *cg)
{
	struct error err = { "" };

	if (steer_add_workload(s->steer, cgroup_id(cg), 0, &s->workload, &err) < 0)
		fail_msg("%s", err.text);
}

void scene_open(struct scene *s, const char *name, const struct steer_options *options)
{
	struct error err = { "" };

	snprintf(s->pin_dir, sizeof(s->pin_dir), TEST_BPFFS "/sluice/%s", name);
	if (cgroup_make(&s->cgroup, name, &err) < 0 || steer_open(options, &s->steer, &err) < 0 ||
	    routes_open(s->steer, 0, -1, &s->routes, &err) < 0)
		fail_msg("%s", err.text);
}

int scene_setup_with(void **state, const struct steer_options *options)
{
	struct scene *s = test_calloc(1, sizeof(*s));
	struct error err = { "" };

	*state = s;
	s->listener4 = s->listener6 = -1;
	scene_open(s, "workload", options);
	scene_add_workload(s, &s->cgroup);
	scene_set_table(s, true);
	scene_add_listeners(s);
	if (steer_attach(s->steer, s->cgroup.fd, s->pin_dir, &err) < 0)
		fail_msg("%s", err.text);
	return 0;
}

int scene_setup(void **state)
{
	const struct steer_options options = { .max_flows = 1024 };

	return scene_setup_with(state, &options);
}

int scene_setup_audit(void **state)
{
	const struct steer_options options = { .max_flows = 1024, .audit = true };

	return scene_setup_with(state, &options);
}

int scene_teardown(void **state)
{
	struct scene *s = *state;

	cgroup_signal(&s->cgroup, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	routes_close(s->routes);
	steer_close(s->steer);
	assert_int_equal(cgroup_remove(&s->cgroup), 0);
	assert_true(access(s->pin_dir, F_OK) < 0);
	close(s->listener4);
	close(s->listener6);
	test_free(s);
	return 0;
}

static void on_event(void *ctx, const struct steer_event *e)
{
	struct scene *s = ctx;

	s->last_event = *e;
	s->n_events[e->kind]++;
	s->n_audited += e->audit;
}

void scene_read_events(struct scene *s)
{
	assert_int_equal(steer_read_events(s->steer, on_event, s), 0);
}

/* ---- workers ---- */

void check(bool ok, const char *text, const char *file, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: %s (errno: %s)\n", file, line, text, strerror(errno));
	fflush(stderr);
	_exit(1);
}

struct worker worker_start(struct scene *s, void (*fn)(int fd, void *arg), void *arg)
{
	struct worker w;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fflush(NULL);
	w.pid = fork();
	assert_true(w.pid >= 0);
	if (w.pid == 0) {
		close(fds[0]);
		alarm(TEST_MS / 1000); /* hanging is failing */
		if (s) {
			CHECK(cgroup_enter(&s->cgroup) == 0);
			close(s->listener4);
			close(s->listener6);
		}
		fn(fds[1], arg);
		_exit(0);
	}
	close(fds[1]);
	w.fd = fds[0];
	return w;
}

void worker_end(struct worker *w)
{
	int status = 0;

	close(w->fd);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	if (WIFSIGNALED(status))
		fail_msg("a worker died of signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void worker_run(struct scene *s, void (*fn)(int fd, void *arg), void *arg)
{
	struct worker w = worker_start(s, fn, arg);

	worker_end(&w);
}

void meet(int fd)
{
	char c = '.';

	(void)!write(fd, &c, 1);
	(void)!read(fd, &c, 1);
}

/* ---- addresses ---- */

struct sockaddr_storage place(int family, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
	char mapped[64];

	memset(&ss, 0, sizeof(ss));
	ss.ss_family = (sa_family_t)family;
	if (family != AF_INET6) {
		in->sin_port = htons(port);
		check(inet_pton(AF_INET, ip, &in->sin_addr) == 1, ip, __FILE__, __LINE__);
		return ss;
	}
	in6->sin6_port = htons(port);
	if (!strchr(ip, ':')) {
		snprintf(mapped, sizeof(mapped), "::ffff:%s", ip);
		ip = mapped;
	}
	check(inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1, ip, __FILE__, __LINE__);
	return ss;
}

socklen_t place_len(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

bool same_place(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a,
				 *b4 = (const struct sockaddr_in *)b;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a,
				  *b6 = (const struct sockaddr_in6 *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a6->sin6_port == b6->sin6_port &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

struct address address_of(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	struct address a;

	memset(&a, 0, sizeof(a));
	a.family = ss->ss_family;
	a.port = ntohs(in->sin_port);
	if (ss->ss_family == AF_INET)
		memcpy(a.ip, &in->sin_addr, 4);
	else
		memcpy(a.ip, &in6->sin6_addr, 16);
	return a;
}

struct address address_ip(const char *ip, uint16_t port)
{
	struct sockaddr_storage ss = place(strchr(ip, ':') ? AF_INET6 : AF_INET, ip, port);

	return address_of(&ss);
}

bool address_is(const struct address *a, const char *ip, uint16_t port)
{
	struct address b = address_ip(ip, port);

	return a->family == b.family && a->port == b.port && memcmp(a->ip, b.ip, 16) == 0;
}

int dial(int fd, int family, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss = place(family, ip, port);

	return connect(fd, (struct sockaddr *)&ss, place_len(&ss)) < 0 ? -errno : 0;
}

int dial_tcp(int family, const char *ip, uint16_t port)
{
	int fd = socket(family, SOCK_STREAM, 0), r;

	if (fd < 0)
		return -errno;
	r = dial(fd, family, ip, port);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int accept_flow(struct scene *s, int listener, struct flow *ret)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct address client;
	int fd;

	memset(&ss, 0, sizeof(ss));
	if (poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("nobody connected");
	fd = accept4(listener, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC);
	if (fd < 0) {
		fail_msg("accept: %s", strerror(errno));
		return fd;
	}
	client = address_of(&ss);
	assert_int_equal(steer_take(s->steer, 0, &client, ret), 0);
	{
		struct flow again;

		assert_int_equal(steer_take(s->steer, 0, &client, &again), -ENOENT);
	}
	return fd;
}
