/* SPDX-License-Identifier: Apache-2.0 */
/* Events: each is read once, in order, and a workload that makes them without end does not keep
 * their reader. */
#include "scene.h"
#include <poll.h>

#define PORTS 60000

static int say_refused(int sock, unsigned number)
{
	/* The port tells the number of the event. */
	struct sockaddr_storage to =
		place(AF_INET, "127.0.0.1", (uint16_t)(10000 + number % 50000));

	return sendto(sock, "x", 1, 0, (struct sockaddr *)&to, place_len(&to)) < 0 ? -errno : 0;
}

/* One event for each byte. */
static void refuse_when_told(int fd, void *arg)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	char c;

	for (unsigned number = 0; read(fd, &c, 1) == 1; number++) {
		CHECK(say_refused(sock, number) == -EPERM);
		CHECK(write(fd, &c, 1) == 1);
	}
}

struct reader {
	int fd;		 /* of the worker */
	unsigned next;	 /* number of the event that must come */
	unsigned begets; /* so many more times does an event beget another one */
};

static void beget(struct reader *r)
{
	char c = '.';

	assert_int_equal(write(r->fd, &c, 1), 1);
	assert_int_equal(read(r->fd, &c, 1), 1);
}

static void on_event(void *ctx, const struct steer_event *e)
{
	struct reader *r = ctx;

	assert_int_equal(e->kind, STEER_SENDMSG_REFUSED);
	assert_int_equal(e->destination.port, 10000 + r->next % 50000);
	r->next++;
	if (r->begets > 0) {
		r->begets--;
		beget(r);
	}
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* A reader that is always one behind comes back nonetheless, and goes on where it was. */
static void test_endless(void **state)
{
	struct scene *s = *state;
	struct worker w = worker_start(s, refuse_when_told, NULL);
	struct reader r = { .fd = w.fd, .begets = PORTS };
	unsigned calls = 0;

	beget(&r);
	while (is_readable(steer_events_fd(s->steer))) {
		unsigned before = r.next;

		assert_int_equal(steer_read_events(s->steer, on_event, &r), 0);
		assert_true(r.next > before && r.next - before < 5000);
		calls++;
	}
	assert_int_equal(r.next, PORTS + 1);
	assert_true(calls > 10);
	worker_end(&w);
}

static void refuse_many(int fd, void *arg)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	for (unsigned number = 0; number < 10000; number++)
		CHECK(say_refused(sock, number) == -EPERM);
}

/* What is in the ring when it is full comes in one call, and the rest is counted as lost. */
static void test_full(void **state)
{
	struct scene *s = *state;
	struct reader r = { .fd = -1 };
	struct steer_counters c;

	worker_run(s, refuse_many, NULL);
	assert_int_equal(steer_read_events(s->steer, on_event, &r), 0);
	assert_false(is_readable(steer_events_fd(s->steer)));
	assert_int_equal(steer_counters(s->steer, &c), 0);
	assert_true(r.next > 1000);
	assert_int_equal(r.next + c.events_lost, 10000);
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scene_setup, scene_teardown)
		TEST(test_endless),
		TEST(test_full),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return scene_main(run_group);
}
