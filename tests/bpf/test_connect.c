/* SPDX-License-Identifier: Apache-2.0 */
/* connect(): steered, left alone, refused; and what the application then believes. */
#include "scene.h"

struct target {
	int family; /* of the socket */
	const char *ip;
	const char *dialled; /* what it means: "" for the same */
};

static const char *meaning(const struct target *t)
{
	return t->dialled ? t->dialled : t->ip;
}

static void connect_and_look(int fd, void *arg)
{
	const struct target *t = arg;
	struct sockaddr_storage peer, want = place(t->family, meaning(t), PORT_STEERED);
	socklen_t len = sizeof(peer);
	int sock = dial_tcp(t->family, t->ip, PORT_STEERED);
	char c = 0;

	CHECK(sock >= 0);
	CHECK(getpeername(sock, (struct sockaddr *)&peer, &len) == 0);
	CHECK(same_place(&peer, &want));
	meet(fd);
	CHECK(read(sock, &c, 1) == 1 && c == 'x');
}

static void test_steered(void **state)
{
	static struct target targets[] = {
		{ AF_INET, FAR4, NULL },	{ AF_INET6, FAR6, NULL },
		{ AF_INET6, FAR4, NULL },	{ AF_INET, "127.0.0.1", NULL },
		{ AF_INET6, "::1", NULL },	{ AF_INET, "0.0.0.0", "127.0.0.1" },
		{ AF_INET6, "::", "::1" },	{ AF_INET6, "0.0.0.0", "127.0.0.1" },
		{ AF_INET, HERE4, NULL },	{ AF_INET6, HERE6, NULL },
		{ AF_INET, "127.9.9.9", NULL },
	};
	struct scene *s = *state;
	int server4 = scene_listen(AF_INET, "0.0.0.0", PORT_STEERED);
	int server6 = scene_listen(AF_INET6, "::1", PORT_STEERED);

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		bool ipv4 = !strchr(meaning(&targets[i]), ':');
		struct worker w = worker_start(s, connect_and_look, &targets[i]);
		struct flow flow;
		int fd = accept_flow(s, ipv4 ? s->listener4 : s->listener6, &flow);

		assert_true(address_is(&flow.destination, meaning(&targets[i]), PORT_STEERED));
		assert_int_equal(flow.source.family, 0);
		assert_int_equal(flow.device, 0);
		meet(w.fd);
		assert_int_equal(write(fd, "x", 1), 1);
		worker_end(&w);
		close(fd);
	}
	close(server4);
	close(server6);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_steered, scene_setup, scene_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run);
}
