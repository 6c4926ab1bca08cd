/* SPDX-License-Identifier: Apache-2.0 */
/* The status: how a document is written, how it is served to whom, how a person reads it, and what
 * systemd is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "json.h"
#include "json_out.h"
#include "loop.h"
#include "notify.h"
#include "sluice/array.h"
#include "status_server.h"
#include "status_show.h"

#define DESCRIPTORS 256
#define TURNS_MAX   10000

/* ---- writing ---- */

static void write_sample(struct json_out *j)
{
	json_out_begin(j, NULL, '{');
	json_out_begin(j, "list", '[');
	json_out_line(j);
	json_out_number(j, NULL, UINT64_MAX);
	json_out_line(j);
	json_out_bool(j, NULL, true);
	json_out_begin(j, NULL, '{');
	json_out_end(j, '{');
	json_out_end(j, '[');
	json_out_text(j, "none", NULL);
	json_out_value(j, "labels", "[\"a\"]");
	json_out_text(j, "odd\"name", "q\" b\\ n\n e\x1b x\xff");
	json_out_span(j, "empty", (struct span){ NULL, 0 });
	json_out_end(j, '{');
}

static const char sample[] = "{\"list\":[\n18446744073709551615,\ntrue,{}],\"none\":null,"
			     "\"labels\":[\"a\"],"
			     "\"odd\\\"name\":\"q\\\" b\\\\ n\\u000a e\\u001b x\\u00ff\","
			     "\"empty\":\"\"}\n";

static void test_written(void **state)
{
	struct json_out j = JSON_OUT_INIT(4096);
	char *text;
	size_t len;

	(void)state;
	for (int i = 0; i < 2; i++) { /* it can be used again */
		write_sample(&j);
		assert_int_equal(json_out_take(&j, &text, &len), 0);
		assert_string_equal(text, sample);
		assert_int_equal(len, strlen(sample));
		assert_true(json_valid(text, len));
		free(text);
	}
}

static void test_bound(void **state)
{
	char *text, word[3000];
	size_t len;

	(void)state;
	for (size_t max = 1; max < 400; max++) {
		struct json_out j = JSON_OUT_INIT(max);
		int r;

		write_sample(&j);
		r = json_out_take(&j, &text, &len);
		assert_true(r == 0 || r == -EFBIG);
		assert_true(r == -EFBIG || len < max);
		if (r == 0)
			free(text);
	}
	memset(word, 'w', sizeof(word));
	for (unsigned n = 1; n <= 3; n++) {
		struct json_out j = JSON_OUT_INIT(1 << 20);

		fail_alloc_at(n);
		json_out_begin(&j, NULL, '[');
		for (int i = 0; i < 10; i++)
			json_out_span(&j, NULL, (struct span){ word, sizeof(word) });
		json_out_end(&j, '[');
		assert_true(fail_alloc_happened());
		assert_int_equal(json_out_take(&j, &text, &len), -ENOMEM);
	}
	fail_alloc_at(0);
}

/* ---- reading, as a person does ---- */

static const char document[] =
	"{\"version\":\"0.1.0\",\"pid\":77,\"started\":\"2026-01-31T12:00:00Z\",\"audit\":false,\n"
	"\"revision\":{\"number\":3,\"loaded\":\"2026-01-31T12:01:00Z\",\"digest\":\"00ff\","
	"\"error\":\"p.yaml:1:1: not YAML\"},\n"
	"\"hooks\":[{\"cgroup\":\"/pods\"}],\n"
	"\"workloads\":[\n"
	"{\"id\":\"1\",\"name\":\"web\",\"namespace\":\"shop\",\"cgroup\":\"/pods/a\\u001b[31m\","
	"\"policies\":[\"shop/in\",\"out\"],\"egress\":true,\"ingress\":true,\"connections\":12,"
	"\"requests_allowed\":3456,\"denied\":7,\"denials\":[{\"count\":7,\"policy\":\"shop/in\","
	"\"rule\":\"ingress[0]\"}],\"problem\":null},\n"
	"{\"id\":\"2\",\"name\":\"c\\u00c3\\u00a9\",\"namespace\":\"\",\"cgroup\":\"/pods/b\","
	"\"policies\":[],\"egress\":false,\"ingress\":false,\"connections\":0,"
	"\"requests_allowed\":0,\"denied\":0,\"denials\":[],\"problem\":\"no \\u0007 memory\"}],\n"
	"\"refused\":{\"connect\":2,\"accept\":0},\"counters\":{\"conn.open\":12}}\n";

static const char shown[] =
	"sluice 0.1.0, process 77, since 2026-01-31T12:00:00Z\n"
	"policies: revision 3 of 2026-01-31T12:01:00Z, digest 00ff\n"
	"last change not taken: p.yaml:1:1: not YAML\n"
	"attached: /pods\n"
	"\n"
	"WORKLOAD   HELD  POLICIES     OPEN  ALLOWED  DENIED  CGROUP\n"
	"shop/web   both  shop/in,out    12     3456       7  /pods/a\\x1b[31m\n"
	"c\\xc3\\xa9  -     -               0        0       0  /pods/b\n"
	"\n"
	"denied: shop/web: 7\xc3\x97, nearest: ingress[0] of policy \"shop/in\"\n"
	"not in force yet: c\\xc3\\xa9: no \\x07 memory\n"
	"kernel: connect 2\n"
	"counter: conn.open 12\n";

static int show(const char *text, size_t len, char **ret)
{
	size_t size;
	FILE *to;
	int r;

	to = open_memstream(ret, &size);
	assert_non_null(to);
	r = status_show(text, len, to);
	fclose(to);
	return r;
}

static void test_shown(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(show(document, strlen(document), &text), 0);
	assert_string_equal(text, shown);
	free(text);
}

static void test_odd_documents(void **state)
{
	static const struct {
		const char *name, *text;
		int result;
	} cases[] = {
		{ "nothing", "", -EINVAL },
		{ "half a document", "{\"workloads\":[", -EINVAL },
		{ "a list", "[]", -EINVAL },
		{ "of another version", "{\"workloads\":{\"a\":1},\"hooks\":7,\"revision\":[]}",
		  0 },
		{ "odd members", "{\"workloads\":[1,[],{\"denials\":3,\"policies\":{}}]}", 0 },
		{ "empty", "{}", 0 },
	};
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = show(cases[i].text, strlen(cases[i].text), &text);

		if (r != cases[i].result)
			fail_msg("%s: %d", cases[i].name, r);
		free(text);
	}
}

static void test_shown_without_memory(void **state)
{
	char *text;
	unsigned n;
	int r;

	(void)state;
	for (n = 1; n < 1000; n++) {
		fail_alloc_at(n);
		r = show(document, strlen(document), &text);
		free(text);
		if (!fail_alloc_happened())
			break;
		assert_true(r == -ENOMEM || r == -EINVAL);
	}
	fail_alloc_at(0);
	assert_true(n > 5 && n < 1000);
}

/* ---- the socket ---- */

struct scene {
	uv_loop_t loop;
	struct status_server server;
	char folder[64], path[96];
	unsigned asked;
};

static void on_asked(void *ctx)
{
	struct scene *s = ctx;

	s->asked++;
}

static const struct status_host host = { .asked = on_asked };

static void scene_open(struct scene *s)
{
	struct error err = { 0 };

	*s = (struct scene){ .asked = 0 };
	strcpy(s->folder, "/tmp/test_status.XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->path, sizeof(s->path), "%s/" STATUS_FILE, s->folder);
	assert_int_equal(loop_open(&s->loop, DESCRIPTORS), 0);
	assert_int_equal(
		status_server_open(&s->server, &s->loop, DESCRIPTORS, s->path, &host, s, &err), 0);
}

static void scene_close(struct scene *s)
{
	status_server_close(&s->server);
	assert_int_equal(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	assert_int_equal(access(s->path, F_OK), -1);
	assert_int_equal(rmdir(s->folder), 0);
}

static int dial(const struct scene *s)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(at.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void turn(struct scene *s)
{
	for (int i = 0; i < 5; i++)
		uv_run(&s->loop, UV_RUN_NOWAIT);
}

static void answer(struct scene *s, const char *text)
{
	status_server_answer(&s->server, strdup(text), strlen(text));
}

/* What the server sends until it ends; fails if it does not. */
static void hears(struct scene *s, int fd, const char *want)
{
	char buf[256];
	size_t len = 0;

	for (unsigned i = 0; i < TURNS_MAX; i++) {
		ssize_t n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);

		if (n == 0) {
			buf[len] = '\0';
			assert_string_equal(buf, want);
			close(fd);
			return;
		}
		if (n > 0)
			len += (size_t)n;
		turn(s);
	}
	fail_msg("no end");
}

static void test_served(void **state)
{
	struct stat st;
	struct scene s;
	int one, two, late;

	(void)state;
	scene_open(&s);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	one = dial(&s);
	two = dial(&s);
	turn(&s);
	assert_int_equal(s.asked, 1);
	late = dial(&s); /* the document that is being made may be older than this */
	turn(&s);
	assert_int_equal(s.asked, 1);
	answer(&s, "first");
	assert_int_equal(s.asked, 2);
	hears(&s, one, "first");
	hears(&s, two, "first");
	assert_int_equal(recv(late, &st, 1, 0), -1);
	answer(&s, "second");
	hears(&s, late, "second");
	one = dial(&s);
	turn(&s);
	status_server_answer(&s.server, NULL, 0);
	hears(&s, one, "");
	scene_close(&s);
}

/* Whoever is too many waits for a turn. */
static void test_many(void **state)
{
	int fds[2 * STATUS_CLIENTS_MAX];
	unsigned answered = 0;
	struct scene s;

	(void)state;
	scene_open(&s);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(&s);
		turn(&s);
	}
	assert_int_equal(s.asked, 1);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		while (answered < s.asked) {
			answered++;
			answer(&s, "text");
			turn(&s);
		}
		hears(&s, fds[i], "text");
	}
	assert_in_range(s.asked, 2, ARRAY_SIZE(fds));
	scene_close(&s);
}

/* Who does not read is closed in time, and disturbs nobody. */
static void test_slow(void **state)
{
	size_t len = 4 << 20;
	char *text = malloc(len);
	struct scene s;
	int slow, gone, other;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	scene_open(&s);
	slow = dial(&s);
	gone = dial(&s);
	turn(&s);
	close(gone);
	status_server_answer(&s.server, text, len);
	turn(&s);
	assert_int_equal(s.server.clients[0].state, STATUS_WRITING);
	other = dial(&s);
	turn(&s);
	answer(&s, "text");
	hears(&s, other, "text");
	s.server.clients[0].until_ms = 0; /* it is late */
	while (s.server.clients[0].state != STATUS_FREE)
		uv_run(&s.loop, UV_RUN_ONCE);
	close(slow);
	other = dial(&s);
	turn(&s);
	close(dial(&s));
	turn(&s);
	scene_close(&s); /* also while somebody waits */
	close(other);
}

static void test_strangers(void **state)
{
	struct scene s;
	int status, own;

	(void)state;
	if (geteuid() != 0)
		skip();
	scene_open(&s);
	assert_int_equal(chmod(s.folder, 0755), 0);
	assert_int_equal(chmod(s.path, 0666), 0); /* as if somebody had opened it */
	if (fork() == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		dial(&s);
		_exit(0);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	turn(&s);
	assert_int_equal(s.asked, 0); /* and the place is free again */
	for (size_t i = 0; i < ARRAY_SIZE(s.server.clients); i++)
		assert_int_equal(s.server.clients[i].state, STATUS_FREE);
	own = dial(&s);
	turn(&s);
	answer(&s, "text");
	hears(&s, own, "text");
	scene_close(&s);
}

static void test_cannot_listen(void **state)
{
	struct status_server s = { .open = false };
	struct error err = { 0 };
	char path[200];
	uv_loop_t loop;

	(void)state;
	assert_int_equal(loop_open(&loop, DESCRIPTORS), 0);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(status_server_open(&s, &loop, DESCRIPTORS, path, &host, NULL, &err),
			 -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "too long"));
	assert_int_equal(status_server_open(&s, &loop, DESCRIPTORS, "/proc/no/where", &host, NULL,
					    &err),
			 -ENOENT);
	assert_int_equal(status_server_open(&s, &loop, 0, "/tmp/test_status.fd", &host, NULL, &err),
			 -EMFILE);
	assert_int_equal(access("/tmp/test_status.fd", F_OK), -1);
	status_server_close(&s);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- telling systemd ---- */

static void test_notified(void **state)
{
	static const char *const wrong[] = { "relative", "/tmp/no/where/at/all" };
	const char *names[] = { "/tmp/test_status.notify", "@test_status.notify" };
	char buf[64], longer[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct sockaddr_un at = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		size_t len = strlen(names[i]);

		unlink(names[i]);
		memcpy(at.sun_path, names[i], len);
		if (at.sun_path[0] == '@')
			at.sun_path[0] = '\0';
		len += offsetof(struct sockaddr_un, sun_path);
		assert_int_equal(bind(fd, (struct sockaddr *)&at, (socklen_t)len), 0);
		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_int_equal(notify_send("READY=1"), 0);
		assert_int_equal(recv(fd, buf, sizeof(buf), 0), 7);
		assert_memory_equal(buf, "READY=1", 7);
		close(fd);
		unlink(names[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		setenv("NOTIFY_SOCKET", wrong[i], 1);
		assert_true(notify_send("READY=1") < 0);
	}
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_odd_documents),
		cmocka_unit_test(test_shown_without_memory),
		cmocka_unit_test(test_served),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_cannot_listen),
		cmocka_unit_test(test_notified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
