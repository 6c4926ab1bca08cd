/* SPDX-License-Identifier: Apache-2.0 */
/* The records: one for each steered connection, taken once, gone with the socket. */
#include "scene.h"
#include <bpf/bpf.h>
#include <poll.h>
#include <sys/utsname.h>

#define MANY 3000

static uint64_t entries_in(struct scene *s, const char *map)
{
	char path[256], key[64], next[64];
	void *from = NULL;
	uint64_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", s->pin_dir, map);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	while (bpf_map_get_next_key(fd, from, next) == 0) {
		memcpy(key, next, sizeof(key));
		from = key;
		n++;
	}
	close(fd);
	return n;
}

static struct steer_counters counters_of(struct scene *s)
{
	struct steer_counters c;

	assert_int_equal(steer_counters(s->steer, &c), 0);
	return c;
}

/* ---- many ---- */

static void connect_many(int fd, void *arg)
{
	for (int i = 0; i < MANY; i++) {
		bool ipv6 = i % 3 == 2;
		int sock = dial_tcp(i % 3 ? AF_INET6 : AF_INET, ipv6 ? FAR6 : FAR4, PORT_STEERED);
		struct linger now = { 1, 0 };

		CHECK(sock >= 0);
		if (i % 2)
			setsockopt(sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		meet(fd);
		close(sock);
	}
}

static void test_many(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, connect_many, NULL);

	for (int i = 0; i < MANY; i++) {
		bool ipv6 = i % 3 == 2;
		struct flow flow;
		int fd = accept_flow(s, ipv6 ? s->listener6 : s->listener4, &flow);

		assert_true(address_is(&flow.destination, ipv6 ? FAR6 : FAR4, PORT_STEERED));
		meet(w.fd);
		close(fd);
	}
	worker_end(&w);
	for (int i = 0; i < 500 && entries_in(s, "locals"); i++)
		usleep(10000);
	assert_int_equal(entries_in(s, "flows"), 0);
	assert_int_equal(entries_in(s, "locals"), 0);
	assert_int_equal(entries_in(s, "flows_closed"), 0);
}

/* ---- closed before it was accepted ---- */

static void say_and_close(int fd, void *arg)
{
	int sock = dial_tcp(AF_INET, FAR4, PORT_STEERED);

	CHECK(sock >= 0 && write(sock, "bye", 3) == 3);
	close(sock);
}

/* The last acknowledgement may be a delayed one. */
static void wait_closed(struct scene *s)
{
	for (int i = 0; i < 50 && counters_of(s).flows_open; i++)
		usleep(10000);
	assert_int_equal(counters_of(s).flows_open, 0);
}

static void test_closed_in_good_order(void **state)
{
	struct scene *s = *state;
	struct flow flow;
	char bytes[8];
	int fd;

	worker_run(s, say_and_close, NULL);
	wait_closed(s);
	assert_int_equal(entries_in(s, "flows_closed"), 1);
	fd = accept_flow(s, s->listener4, &flow);
	assert_true(address_is(&flow.destination, FAR4, PORT_STEERED));
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 3);
	close(fd);
}

static int accept_unknown(struct scene *s, int listener)
{
	struct sockaddr_storage ss = { .ss_family = 0 };
	socklen_t len = sizeof(ss);
	int fd = accept(listener, (struct sockaddr *)&ss, &len);
	struct address client = address_of(&ss);
	struct flow flow;

	assert_true(fd >= 0);
	assert_int_equal(steer_take(s->steer, 0, &client, &flow), -ENOENT);
	return fd;
}

static void test_closed_long_ago(void **state)
{
	struct scene *s = *state;

	worker_run(s, say_and_close, NULL);
	wait_closed(s);
	usleep(1000000);
	close(accept_unknown(s, s->listener4));
}

static void reset(int fd, void *arg)
{
	int sock = dial_tcp(AF_INET, FAR4, PORT_STEERED);
	struct linger now = { 1, 0 };

	CHECK(sock >= 0);
	setsockopt(sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(sock);
}

static void test_reset(void **state)
{
	struct scene *s = *state;

	worker_run(s, reset, NULL);
	assert_int_equal(counters_of(s).flows_open, 0);
	close(accept_unknown(s, s->listener4));
}

/* ---- a source port that is used again ---- */

#define SOURCE_PORT 40404

static int dial_from(const char *ip, uint16_t port, const char *source)
{
	struct sockaddr_storage from = place(AF_INET, source, SOURCE_PORT);
	int sock = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct linger now = { 1, 0 };

	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	CHECK(bind(sock, (struct sockaddr *)&from, place_len(&from)) == 0);
	CHECK(dial(sock, AF_INET, ip, port) == 0);
	return sock;
}

static void dial_and_reset(int fd, void *arg)
{
	close(dial_from(FAR4, PORT_STEERED, "127.0.0.1"));
}

static void dial_listener(int fd, void *arg)
{
	const uint16_t *port = arg;
	int sock = dial_from("127.0.0.1", *port, "127.0.0.1");

	meet(fd);
	close(sock);
}

/* The second one is not steered: it dials the listener itself, from outside of the cgroup. */
static void test_port_used_again(void **state)
{
	struct scene *s = *state;
	struct sockaddr_storage name = { .ss_family = 0 };
	socklen_t len = sizeof(name);
	struct worker w;
	uint16_t port;

	assert_int_equal(getsockname(s->listener4, (struct sockaddr *)&name, &len), 0);
	port = address_of(&name).port;
	worker_run(s, dial_and_reset, NULL);
	close(accept(s->listener4, NULL, NULL));
	w = worker_start(NULL, dial_listener, &port);
	close(accept_unknown(s, s->listener4));
	meet(w.fd);
	worker_end(&w);
}

/* ---- no room ---- */

static void connect_too_many(int fd, void *arg)
{
	for (int i = 0; i < 1100; i++)
		CHECK(dial_tcp(AF_INET, FAR4, PORT_STEERED) >= 0);
	meet(fd);
}

static void test_no_room(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, connect_too_many, NULL);
	unsigned taken = 0, unknown = 0;
	char c;

	assert_int_equal(read(w.fd, &c, 1), 1);
	assert_int_equal(counters_of(s).flows_open, 1024);
	for (int i = 0; i < 1100; i++) {
		struct sockaddr_storage ss = { .ss_family = 0 };
		socklen_t len = sizeof(ss);
		int fd = accept(s->listener4, (struct sockaddr *)&ss, &len);
		struct address client = address_of(&ss);
		struct flow flow;

		assert_true(fd >= 0);
		if (steer_take(s->steer, 0, &client, &flow) == 0)
			taken++;
		else
			unknown++;
		close(fd);
	}
	assert_int_equal(taken, 1024);
	assert_int_equal(unknown, 1100 - 1024);
	scene_read_events(s);
	assert_int_equal(s->n_events[STEER_NO_ROOM], 1100 - 1024);
	assert_int_equal(write(w.fd, &c, 1), 1);
	worker_end(&w);
}

/* ---- what the maps cost ---- */

/* Bytes of kernel memory that the BPF maps of this process take, by their descriptors. */
static uint64_t map_memory(void)
{
	uint64_t sum = 0;

	for (int fd = 0; fd < 200; fd++) {
		unsigned long long bytes;
		char path[64], line[128];
		bool is_map = false;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f)) {
			is_map = is_map || strncmp(line, "map_type:", 9) == 0;
			if (is_map && sscanf(line, "memlock: %llu", &bytes) == 1)
				sum += bytes;
		}
		if (f)
			fclose(f);
	}
	return sum;
}

/* Before 6.4 a map says what it could take at most, afterwards what it takes. */
static uint64_t memory_limit(void)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%u.%u", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 4) ? 11 << 20 : 24 << 20;
}

static void test_memory(void **state)
{
	const struct steer_options options = { .max_flows = 65536 };
	uint64_t before = map_memory();
	struct error err = { "" };
	struct steer *steer;

	assert_int_equal(steer_open(&options, &steer, &err), 0);
	printf("%u flows: %llu bytes\n", options.max_flows,
	       (unsigned long long)(map_memory() - before));
	assert_true(map_memory() - before > 1 << 20);
	assert_true(map_memory() - before < memory_limit());
	steer_close(steer);
}

/* ---- the table is replaced under their feet ---- */

static void connect_until_told(int fd, void *arg)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned n = 0;

	while (poll(&p, 1, 0) == 0) {
		int steered = dial_tcp(AF_INET, FAR4, PORT_STEERED);
		int alone = dial_tcp(AF_INET, "127.0.0.1", PORT_ALLOWED);
		struct linger now = { 1, 0 };

		CHECK(steered >= 0 && alone >= 0);
		CHECK(dial_tcp(AF_INET, FAR4, PORT_REFUSED) == -EPERM);
		setsockopt(steered, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		setsockopt(alone, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(steered);
		close(alone);
		n++;
	}
	CHECK(n > 0);
	CHECK(write(fd, &n, sizeof(n)) == sizeof(n));
}

static void drain(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	while (poll(&p, 1, 0) == 1)
		close(accept(listener, NULL, NULL));
}

static void test_table_flips(void **state)
{
	struct scene *s = *state;
	int server = scene_listen(AF_INET, "127.0.0.1", PORT_ALLOWED);
	struct worker w = worker_start(s, connect_until_told, NULL);
	unsigned n = 0;

	for (int i = 0; i < 200; i++) {
		scene_set_table(s, true);
		drain(s->listener4);
		drain(server);
	}
	assert_int_equal(write(w.fd, "!", 1), 1);
	assert_int_equal(read(w.fd, &n, sizeof(n)), sizeof(n));
	printf("%u rounds of connects during 200 changes of the table\n", n);
	worker_end(&w);
	close(server);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_many),	TEST(test_closed_in_good_order), TEST(test_closed_long_ago),
		TEST(test_reset),	TEST(test_port_used_again),	 TEST(test_no_room),
		TEST(test_table_flips), cmocka_unit_test(test_memory),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
