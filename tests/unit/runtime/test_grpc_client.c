/* SPDX-License-Identifier: Apache-2.0 */
/* A client of gRPC against servers that follow a script: what they say is cut in two at every byte,
 * and the connection as well; most of them mean ill. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "fail_alloc.h"
#include "grpc_client.h"
#include "h2_text.h"
#include "sluice/array.h"

#define HELLO "SETTINGS 0 -\nSETTINGS 0 a\n"
#define HEAD  "HEADERS 1 h :status=200|content-type=application/grpc\n"
#define ABC   "DATA 1 - $0000000003|\"abc\n"
#define OK    "HEADERS 1 eh grpc-status=0\n"

static const struct talk {
	const char *name, *script;
	bool stream;
	int error;
	unsigned status;
	const char *heard; /* the messages, each with a bar behind it */
	const char *text;
} talks[] = {
	{ "unary", HELLO HEAD ABC OK, false, 0, 0, "abc|", "" },
	{ "empty message", HELLO HEAD "DATA 1 - $0000000000\n" OK, false, 0, 0, "|", "" },
	{ "in many frames",
	  HELLO HEAD "DATA 1 - $00\nDATA 1 -\nDATA 1 - $000000\nDATA 1 - $03|\"a\nPING 0 - *8\n"
		     "DATA 1 p $02|\"bc|$0000\n" OK,
	  false, 0, 0, "abc|", "" },
	{ "stream",
	  HELLO HEAD "DATA 1 - $0000000003|\"abc|$0000000001|\"d|$00000000\nDATA 1 - $00\n" OK,
	  true, 0, 0, "abc|d||", "" },
	{ "stream of nothing", HELLO HEAD OK, true, 0, 0, "", "" },
	{ "with a suffix",
	  HELLO "HEADERS 1 h :status=200|content-type=application/grpc+proto\n" ABC OK, false, 0, 0,
	  "abc|", "" },
	{ "says that it is identity",
	  HELLO
	  "HEADERS 1 h :status=200|content-type=application/grpc|grpc-encoding=identity\n" ABC OK,
	  false, 0, 0, "abc|", "" },
	{ "status alone",
	  HELLO "HEADERS 1 eh :status=200|content-type=application/grpc|grpc-status=12|"
		"grpc-message=unknown%20method%0A%zz%4\n",
	  false, -EREMOTEIO, 12, "", "unknown method??%4" },
	{ "status behind a message", HELLO HEAD ABC "HEADERS 1 eh grpc-status=5\n", false,
	  -EREMOTEIO, 5, "", "" },
	{ "status in a stream", HELLO HEAD ABC "HEADERS 1 eh grpc-status=14\n", true, -EREMOTEIO,
	  14, "abc|", "" },
	/* what is no gRPC */
	{ "no trailers", HELLO HEAD "DATA 1 e $0000000003|\"abc\n", false, -EPROTO, 0, "", "" },
	{ "no status", HELLO HEAD ABC "HEADERS 1 eh a=b\n", false, -EPROTO, 0, "", "" },
	{ "no message", HELLO HEAD OK, false, -EPROTO, 0, "", "" },
	{ "two messages", HELLO HEAD ABC ABC OK, false, -EPROTO, 0, "", "" },
	{ "half a message", HELLO HEAD "DATA 1 - $0000000004|\"abc\n" OK, false, -EPROTO, 0, "",
	  "" },
	{ "half a prefix", HELLO HEAD ABC "DATA 1 - $0000\n" OK, true, -EPROTO, 0, "abc|", "" },
	{ "compressed", HELLO HEAD "DATA 1 - $0100000003|\"abc\n" OK, false, -EPROTO, 0, "", "" },
	{ "compressed by gzip",
	  HELLO "HEADERS 1 h :status=200|content-type=application/grpc|grpc-encoding=gzip\n" ABC OK,
	  false, -EPROTO, 0, "", "" },
	{ "too long", HELLO HEAD "DATA 1 - $0001000001|\"abc\n" OK, false, -EMSGSIZE, 0, "", "" },
	{ "far too long", HELLO HEAD "DATA 1 - $00ffffffff|\"abc\n" OK, false, -EMSGSIZE, 0, "",
	  "" },
	{ "another type", HELLO "HEADERS 1 h :status=200|content-type=text/html\n" ABC OK, false,
	  -EPROTO, 0, "", "" },
	{ "a longer type", HELLO "HEADERS 1 h :status=200|content-type=application/grpcx\n" ABC OK,
	  false, -EPROTO, 0, "", "" },
	{ "no type", HELLO "HEADERS 1 h :status=200\n" ABC OK, false, -EPROTO, 0, "", "" },
	{ "another status", HELLO "HEADERS 1 h :status=503|content-type=application/grpc\n" ABC OK,
	  false, -EPROTO, 0, "", "" },
	{ "informational", HELLO "HEADERS 1 h :status=100\n" HEAD ABC OK, false, -EPROTO, 0, "",
	  "" },
	{ "status is no number", HELLO HEAD ABC "HEADERS 1 eh grpc-status=1x\n", false, -EPROTO, 0,
	  "", "" },
	{ "status is empty", HELLO HEAD ABC "HEADERS 1 eh grpc-status=\n", false, -EPROTO, 0, "",
	  "" },
	{ "status is huge", HELLO HEAD ABC "HEADERS 1 eh grpc-status=99999999999\n", false, -EPROTO,
	  0, "", "" },
	{ "two statuses", HELLO HEAD ABC "HEADERS 1 eh grpc-status=0|grpc-status=0\n", false,
	  -EPROTO, 0, "", "" },
	/* what is no HTTP/2, or ends it */
	{ "reset", HELLO HEAD ABC "RST 1 - %0\n", false, -ECONNRESET, 0, "", "" },
	{ "refused", HELLO "RST 1 - %7\n", false, -ECONNRESET, 0, "", "" },
	{ "goes away", HELLO "GOAWAY 0 - %0|%0\n", false, -ECONNRESET, 0, "", "" },
	{ "no settings", HEAD ABC OK, false, -ECONNRESET, 0, "", "" },
	{ "HTTP/1", "X48 0 - \"TTP/1.1 400 Bad Request{0d}{0a}{0d}{0a}\n", false, -ECONNRESET, 0,
	  "", "" },
	{ "pushes", HELLO "PUSH 1 h %2|:method=GET|:scheme=http|:path=/|:authority=h\n", false,
	  -ECONNRESET, 0, "", "" },
	{ "a stream that nobody opened", HELLO "HEADERS 3 h :status=200\n", false, -ECONNRESET, 0,
	  "", "" },
	{ "a block that cannot be read", HELLO "HEADERS 1 h $ffffffff\n", false, -ECONNRESET, 0, "",
	  "" },
	{ "a frame that is too long", HELLO HEAD "DATA 1 - ~70000\n", false, -ECONNRESET, 0, "",
	  "" },
	{ "data before fields", HELLO ABC HEAD OK, false, -ECONNRESET, 0, "", "" },
	{ "a large field", HELLO "HEADERS 1 h :status=200|a={70000*x}\n", false, -ECONNRESET, 0, "",
	  "" },
};

struct heard {
	char messages[64];
	unsigned ends;
	struct grpc_result result;
	struct grpc_client *client;
	uint32_t call;
	bool cancels, unary;
};

static void hear(struct heard *h, const uint8_t *bytes, size_t len)
{
	size_t at = strlen(h->messages);

	assert_true(at + len + 2 <= sizeof(h->messages));
	memcpy(h->messages + at, bytes ? bytes : (const uint8_t *)"", len);
	memcpy(h->messages + at + len, "|", 2);
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct heard *h = ctx;

	hear(h, bytes, len);
	if (h->cancels)
		grpc_client_cancel(h->client, h->call);
}

static void on_end(void *ctx, const struct grpc_result *r)
{
	struct heard *h = ctx;

	h->ends++;
	h->result = *r;
	if (r->error == 0 && h->unary)
		hear(h, r->message, r->len);
}

static int call(struct grpc_client *c, bool stream, uint64_t timeout, struct heard *h)
{
	struct grpc_call how = { .path = "/a.B/C",
				 .request = (const uint8_t *)"xyz",
				 .len = 3,
				 .timeout = timeout,
				 .on_message = stream ? on_message : NULL,
				 .on_end = on_end,
				 .ctx = h };

	h->client = c;
	h->unary = !stream;
	return grpc_client_call(c, &how, 0, &h->call);
}

static void pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
}

/* The server says LEN bytes; a client that has closed does not hear them. */
static void say(int server, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(server, bytes, len, MSG_NOSIGNAL);

		if (n < 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

/* Says LEN bytes, CUT of them first, and then nothing more for ever. Returns 0 or why it is over.
 */
static int play(const struct talk *t, const char *bytes, size_t len, size_t cut, struct heard *h)
{
	struct grpc_client *c;
	int ends[2], r;

	memset(h, 0, sizeof(*h));
	pair(ends);
	r = grpc_client_new(ends[0], &c);
	if (r < 0) {
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	r = call(c, t->stream, 0, h);
	if (r == 0)
		r = grpc_client_on_ready(c, POLLOUT);
	for (int part = 0; part < 2 && r == 0; part++) {
		say(ends[1], part ? bytes + cut : bytes, part ? len - cut : cut);
		for (int turn = 0; turn < 4 && r == 0; turn++)
			r = grpc_client_on_ready(c, POLLIN | POLLOUT);
	}
	close(ends[1]);
	for (int turn = 0; turn < 4 && r == 0; turn++)
		r = grpc_client_on_ready(c, POLLIN | POLLHUP);
	grpc_client_free(c);
	return r;
}

static void check(const struct talk *t, const struct heard *h, const char *how, size_t at)
{
	bool same_error = h->result.error == t->error ||
			  /* nghttp2 notices before its stream is closed */
			  (t->error == -ECONNRESET && h->result.error == -EPROTO);

	if (h->ends != 1 || !same_error || h->result.status != t->status ||
	    strcmp(h->messages, t->heard) != 0 || strcmp(h->result.text, t->text) != 0)
		fail_msg("%s, %s at %zu: %u ends, error %d, status %u, '%s', '%s'", t->name, how,
			 at, h->ends, h->result.error, h->result.status, h->messages,
			 h->result.text);
}

/* At every byte of every script, and behind the last; of the longest ones at some. */
static void go_through(void (*at)(const struct talk *t, const struct bytes *script, size_t place))
{
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++) {
		struct bytes script = { 0 };
		size_t step;

		h2_text_compile(talks[i].script, 1, &script);
		step = script.len > 2000 ? 997 : 1;
		for (size_t place = 0; place <= script.len; place += step)
			at(&talks[i], &script, place);
		bytes_free(&script);
	}
}

static void cut_at(const struct talk *t, const struct bytes *script, size_t place)
{
	struct heard h;

	play(t, script->data, script->len, place, &h);
	check(t, &h, "cut", place);
}

static void test_cut_anywhere(void **state)
{
	go_through(cut_at);
}

/* Whatever was said by then, the call has ended once; and with an error, since nothing is complete
 * before its last byte. */
static void end_at(const struct talk *t, const struct bytes *script, size_t place)
{
	struct heard h;

	if (place == script->len)
		return;
	play(t, script->data, place, place / 2, &h);
	if (h.ends != 1 || h.result.error == 0)
		fail_msg("%s, ends at %zu: %u ends, error %d", t->name, place, h.ends,
			 h.result.error);
}

static void test_connection_ends_anywhere(void **state)
{
	go_through(end_at);
}

/* Every allocation, ours and nghttp2's: it is an error, or it did not matter. */
static void test_no_memory(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(talks); i++) {
		struct bytes script = { 0 };
		struct heard h;
		bool happened = true;
		unsigned n;

		h2_text_compile(talks[i].script, 1, &script);
		for (n = 1; happened && n < 1000; n++) {
			fail_alloc_at(n);
			play(&talks[i], script.data, script.len, script.len, &h);
			happened = fail_alloc_happened();
			fail_alloc_at(0);
			assert_true(h.ends <= 1);
			if (h.ends && h.result.error == 0)
				assert_int_equal(talks[i].error, 0);
		}
		assert_true(n > 5 && n < 1000);
		bytes_free(&script);
	}
}

static void test_time_and_places(void **state)
{
	struct heard h[GRPC_CALLS_MAX + 1] = { 0 };
	struct grpc_client *c;
	int ends[2];

	pair(ends);
	assert_int_equal(grpc_client_new(ends[0], &c), 0);
	assert_true(grpc_client_deadline(c) == GRPC_NEVER);
	for (size_t i = 0; i < GRPC_CALLS_MAX; i++)
		assert_int_equal(call(c, false, 100 + i, &h[i]), 0);
	assert_int_equal(call(c, false, 100, &h[GRPC_CALLS_MAX]), -EBUSY);
	assert_true(grpc_client_deadline(c) == 100);
	assert_int_equal(grpc_client_on_time(c, 99), 0);
	assert_int_equal(h[0].ends, 0);
	assert_int_equal(grpc_client_on_time(c, 100), 0);
	assert_int_equal(h[0].ends, 1);
	assert_int_equal(h[0].result.error, -ETIMEDOUT);
	assert_int_equal(h[1].ends, 0);
	grpc_client_cancel(c, h[1].call);
	grpc_client_cancel(c, h[1].call);
	grpc_client_cancel(c, 0);
	assert_int_equal(grpc_client_on_time(c, 1000), 0);
	assert_int_equal(h[1].ends, 0);
	for (size_t i = 2; i < GRPC_CALLS_MAX; i++)
		assert_int_equal(h[i].result.error, -ETIMEDOUT);
	assert_int_equal(call(c, false, 100, &h[GRPC_CALLS_MAX]), 0);
	grpc_client_free(c); /* with a call, of which nothing is heard */
	assert_int_equal(h[GRPC_CALLS_MAX].ends, 0);
	close(ends[1]);
}

/* A server that does not read, and one that allows no streams: the time ends it. */
static void test_server_that_sleeps(void **state)
{
	struct bytes script = { 0 };
	struct grpc_client *c;
	struct heard h = { 0 };
	int ends[2];

	pair(ends);
	h2_text_compile("SETTINGS 0 - @3:0\n", 1, &script);
	say(ends[1], script.data, script.len);
	bytes_free(&script);
	assert_int_equal(grpc_client_new(ends[0], &c), 0);
	assert_int_equal(grpc_client_on_ready(c, POLLIN), 0);
	for (uint64_t now = 0; now < 1000; now++) {
		assert_int_equal(call(c, false, 0, &h), 0);
		grpc_client_cancel(c, h.call);
		assert_int_equal(grpc_client_on_time(c, now), 0);
	}
	assert_int_equal(call(c, false, 5, &h), 0);
	assert_int_equal(grpc_client_on_time(c, 5), 0);
	assert_int_equal(h.result.error, -ETIMEDOUT);
	grpc_client_free(c);
	close(ends[1]);
}

static void test_cancelled_from_its_own_callback(void **state)
{
	struct bytes script = { 0 };
	struct grpc_client *c;
	struct heard h = { .cancels = true };
	int ends[2];

	pair(ends);
	h2_text_compile(HELLO HEAD ABC ABC OK, 1, &script);
	assert_int_equal(grpc_client_new(ends[0], &c), 0);
	assert_int_equal(call(c, true, 0, &h), 0);
	assert_int_equal(grpc_client_on_ready(c, POLLOUT), 0);
	say(ends[1], script.data, script.len);
	assert_int_equal(grpc_client_on_ready(c, POLLIN), 0);
	assert_string_equal(h.messages, "abc|");
	assert_int_equal(h.ends, 0);
	bytes_free(&script);
	grpc_client_free(c);
	close(ends[1]);
}

static void test_connecting(void **state)
{
	char path[200];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(grpc_connect(path), -ENAMETOOLONG);
	assert_int_equal(grpc_connect("/nonexistent/socket"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_connection_ends_anywhere),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_time_and_places),
		cmocka_unit_test(test_server_that_sleeps),
		cmocka_unit_test(test_cancelled_from_its_own_callback),
		cmocka_unit_test(test_connecting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
