/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts: buffers, exchanges, answers, text, counters, addresses. */
#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "buffer.h"
#include "exchange.h"
#include "fail_alloc.h"
#include "h1_answer.h"
#include "json.h"
#include "metrics.h"
#include "relay_talk.h"
#include "sluice/array.h"
#include "sockaddr.h"
#include "text.h"

#define BUFFERS ((size_t)256 * 1024 * 1024)

static void test_buffer_sizes(void **state)
{
	static const struct {
		size_t wanted, got;
	} cases[] = { { 0, 4096 },	{ 1, 4096 },	  { 4096, 4096 },  { 4097, 16384 },
		      { 16384, 16384 }, { 16385, 65536 }, { 65536, 65536 } };
	struct buffer_pool p;
	struct buffer *all[ARRAY_SIZE(cases)];
	size_t sum = 0;

	buffer_pool_init(&p, BUFFERS);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		all[i] = buffer_get(&p, cases[i].wanted);
		assert_non_null(all[i]);
		assert_int_equal(buffer_size(all[i]), cases[i].got);
		assert_int_equal(buffer_room(all[i]), cases[i].got);
		assert_int_equal(buffer_len(all[i]), 0);
		memset(all[i]->data, 'x', cases[i].got);
		sum += cases[i].got;
		assert_int_equal(p.lent, sum);
		assert_int_equal(p.n_lent, i + 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		buffer_put(&p, all[i]);
	buffer_put(&p, NULL);
	assert_int_equal(p.lent, 0);
	assert_int_equal(p.n_lent, 0);
	buffer_pool_done(&p);
}

/* What comes back is handed out again, empty; what is kept is bounded. */
static void test_buffer_cache(void **state)
{
	struct buffer *all[BUFFER_CACHED_MAX + 10], *again;
	struct buffer_pool p;

	buffer_pool_init(&p, BUFFERS);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = buffer_get(&p, 1);
	all[0]->start = 5;
	all[0]->end = 9;
	all[0]->next = all[1];
	for (size_t i = ARRAY_SIZE(all); i-- > 0;)
		buffer_put(&p, all[i]);
	assert_int_equal(p.n_cached[BUFFER_4K], BUFFER_CACHED_MAX);
	fail_alloc_at(BUFFER_CACHED_MAX > 0); /* not needed, unless the build keeps none */
	again = buffer_get(&p, 1);
	fail_alloc_at(0);
	assert_non_null(again);
	assert_int_equal(buffer_len(again), 0);
	assert_int_equal(again->start, 0);
	assert_null(again->next);
	buffer_put(&p, again);
	buffer_pool_done(&p);
}

static void test_buffer_limit(void **state)
{
	struct buffer_pool p;
	struct buffer *a, *b;

	buffer_pool_init(&p, BUFFERS);
	p.limit = BUFFER_POOL_RESERVE + BUFFER_MAX;
	assert_false(buffer_pool_low(&p));
	a = buffer_get(&p, BUFFER_MAX);
	assert_non_null(a);
	assert_false(buffer_pool_low(&p));
	b = buffer_get(&p, 1);
	assert_true(buffer_pool_low(&p));
	p.limit = 32UL * BUFFER_MAX; /* two buffers are a sixteenth */
	assert_true(buffer_pool_ample(&p, BUFFER_MAX));
	assert_true(buffer_pool_ample(&p, 32UL * BUFFER_MAX - p.lent - BUFFER_POOL_RESERVE));
	assert_false(buffer_pool_ample(&p, 32UL * BUFFER_MAX - p.lent - BUFFER_POOL_RESERVE + 1));
	p.limit = 16UL * BUFFER_MAX;
	assert_false(buffer_pool_ample(&p, 1));
	p.limit = BUFFER_MAX + 4096;
	assert_null(buffer_get(&p, 1));
	buffer_put(&p, b);
	b = buffer_get(&p, 4096); /* up to the limit */
	assert_non_null(b);
	buffer_put(&p, a);
	buffer_put(&p, b);
	fail_alloc_at(1);
	assert_null(buffer_get(&p, 16384));
	fail_alloc_at(0);
	assert_int_equal(p.n_lent, 0);
	buffer_pool_done(&p);
}

static void test_exchanges(void **state)
{
	struct exchange *all[EXCHANGE_CACHED_MAX + 5];
	struct exchange_pool p = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		all[i] = exchange_get(&p);
		assert_non_null(all[i]);
		all[i]->record = kept_malloc(&p.kept, 5);
		all[i]->answer = 403;
		all[i]->close = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		exchange_put(&p, all[i]);
	assert_int_equal(p.n_cached, EXCHANGE_CACHED_MAX);
	all[0] = exchange_get(&p);
	assert_memory_equal(all[0], &(struct exchange){ 0 }, sizeof(struct exchange));
	exchange_put(&p, all[0]);
	exchange_pool_done(&p);
	fail_alloc_at(1);
	assert_null(exchange_get(&p));
	fail_alloc_at(0);
	assert_int_equal(p.n_lent, 0);
}

static void test_answers(void **state)
{
	static const struct {
		struct exchange x;
		const char *text;
	} cases[] = {
		{ { .answer = 403, .version = 11 }, FORBIDDEN },
		{ { .answer = 403, .version = 11, .close = true }, FORBIDDEN_LAST },
		{ { .answer = 403, .version = 11, .head = true }, FORBIDDEN_HEAD },
		{ { .answer = 403, .version = 10 }, FORBIDDEN_10 },
		{ { .answer = 403, .version = 10, .close = true }, FORBIDDEN_LAST },
		{ { .answer = 400, .version = 11, .close = true }, MALFORMED },
		{ { .answer = 408, .version = 11, .close = true }, TOO_SLOW },
		{ { .answer = 431, .version = 11, .close = true }, TOO_LARGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[H1_ANSWER_MAX];
		size_t n = h1_answer_write(&cases[i].x, buf);

		assert_int_equal(n, strlen(cases[i].text));
		assert_memory_equal(buf, cases[i].text, n);
	}
}

static void test_text_escapes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *json, *terminal;
	} cases[] = {
#define CASE(bytes, json, terminal) { bytes, sizeof(bytes) - 1, json, terminal }
		CASE("", "", ""),
		CASE("plain /~?", "plain /~?", "plain /~?"),
		CASE("\"\\", "\\\"\\\\", "\"\\x5c"),
		CASE("a\0b", "a\\u0000b", "a\\x00b"),
		CASE("\r\n\t\x1b[2J\x7f", "\\u000d\\u000a\\u0009\\u001b[2J\\u007f",
		     "\\x0d\\x0a\\x09\\x1b[2J\\x7f"),
		CASE("\xc3\xa9\xff", "\\u00c3\\u00a9\\u00ff", "\\xc3\\xa9\\xff"),
		CASE("</script>", "</script>", "</script>"),
#undef CASE
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span s = { cases[i].bytes, cases[i].len };
		char buf[256];
		struct text t = TEXT_INIT(buf);

		text_add_json(&t, s);
		assert_int_equal(t.len, strlen(cases[i].json));
		assert_memory_equal(buf, cases[i].json, t.len);
		t = TEXT_INIT(buf);
		text_add_escaped(&t, s);
		assert_int_equal(t.len, strlen(cases[i].terminal));
		assert_memory_equal(buf, cases[i].terminal, t.len);
	}
}

/* Whatever the room, no half escape, and nothing behind what was cut. */
static void test_text_cut(void **state)
{
	static const char bytes[] = "a\"b\x01"
				    "c";
	static const size_t ends[] = { 0, 1, 1, 3, 4, 4, 4, 4, 4, 4, 10, 11 };
	char *buf;

	for (size_t size = 0; size < ARRAY_SIZE(ends); size++) {
		struct text t = { .buf = malloc(size ? size : 1), .size = size };

		buf = t.buf;
		text_add_json(&t, (struct span){ bytes, sizeof(bytes) - 1 });
		assert_int_equal(t.len, ends[size]);
		assert_int_equal(t.cut, size < 11);
		assert_memory_equal(buf, "a\\\"b\\u0001c", t.len);
		if (t.cut) {
			text_add(&t, "");
			text_addf(&t, "%d", 1);
			assert_int_equal(t.len, ends[size]);
		}
		free(buf);
	}
}

static void test_text_too_long_format(void **state)
{
	char buf[2048], piece[600];
	struct text t = TEXT_INIT(buf);

	memset(piece, 'x', sizeof(piece));
	text_addf(&t, "%.*s", (int)sizeof(piece), piece);
	assert_true(t.cut);
	assert_int_equal(t.len, 0);
}

static struct address address_of(int family, const char *ip, uint16_t port, uint32_t scope)
{
	struct address a = { .family = (uint16_t)family, .port = port, .scope = scope };

	assert_int_equal(inet_pton(family, ip, a.ip), 1);
	return a;
}

static void test_addresses_as_text(void **state)
{
	struct address four = address_of(AF_INET, "192.0.2.1", 80, 0);
	struct address six = address_of(AF_INET6, "2001:db8::1", 65535, 0);
	struct address local =
		address_of(AF_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, UINT32_MAX);
	char buf[256];
	struct text t = TEXT_INIT(buf);

	text_add_address(&t, &four);
	text_add(&t, " ");
	text_add_address(&t, &six);
	text_add(&t, " ");
	text_add_ip(&t, &six);
	assert_int_equal(t.len, strlen("192.0.2.1:80 [2001:db8::1]:65535 2001:db8::1"));
	assert_memory_equal(buf, "192.0.2.1:80 [2001:db8::1]:65535 2001:db8::1", t.len);
	t = TEXT_INIT(buf);
	text_add_address(&t, &local);
	assert_true(t.len < ADDRESS_TEXT_MAX);
	text_add(&t, "");
	assert_memory_equal(buf + t.len - strlen("%4294967295]:65535"), "%4294967295]:65535",
			    strlen("%4294967295]:65535"));
}

static void test_sockaddr(void **state)
{
	struct address cases[] = {
		address_of(AF_INET, "127.0.0.1", 1, 0),
		address_of(AF_INET6, "::1", 65535, 0),
		address_of(AF_INET6, "fe80::1", 80, 3),
	};
	struct sockaddr_storage ss;
	struct address back, mapped = address_of(AF_INET6, "::ffff:192.0.2.9", 81, 0);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		socklen_t len = sockaddr_from(&cases[i], &ss);

		assert_int_equal(len, cases[i].family == AF_INET ? sizeof(struct sockaddr_in)
								 : sizeof(struct sockaddr_in6));
		assert_int_equal(sockaddr_to(&ss, &back), 0);
		assert_memory_equal(&back, &cases[i], sizeof(back));
	}
	sockaddr_from(&mapped, &ss);
	assert_int_equal(sockaddr_to(&ss, &back), 0);
	cases[0] = address_of(AF_INET, "192.0.2.9", 81, 0);
	assert_memory_equal(&back, &cases[0], sizeof(back));
	assert_int_equal(sockaddr_from(&(struct address){ 0 }, &ss), 0);
	assert_int_equal(sockaddr_to(&ss, &back), -EAFNOSUPPORT);
	ss.ss_family = AF_UNIX;
	assert_int_equal(sockaddr_to(&ss, &back), -EAFNOSUPPORT);
}

static void test_metrics(void **state)
{
	struct metrics sum = { 0 }, m = { .opened = 3, .open = 1, .requests_allowed = 1ULL << 40 };
	char *text = NULL, value[32];
	size_t len = 0;
	FILE *to;

	m.closed[CLOSE_DENIED] = 2;
	m.requests_denied = 4;
	m.requests_refused = 5;
	m.buffers_in_use = 6;
	metrics_add(&sum, &m);
	metrics_add(&sum, &m);
	to = open_memstream(&text, &len);
	metrics_print(&sum, 8, 9, to);
	fclose(to);
	assert_int_equal(text[len - 1], '\n');
	assert_true(json_valid(text, len));
#define MEMBER(name, want)                                                   \
	do {                                                                 \
		char *at = strstr(text, "\"" name "\":");                    \
                                                                             \
		assert_non_null(at);                                         \
		snprintf(value, sizeof(value), "%s", at + strlen(name) + 3); \
		value[strcspn(value, ",}")] = '\0';                          \
		assert_string_equal(value, want);                            \
	} while (0)
	MEMBER("conn.opened", "6");
	MEMBER("conn.open", "2");
	MEMBER("requests.allowed", "2199023255552");
	MEMBER("requests.denied", "8");
	MEMBER("requests.refused", "10");
	MEMBER("buffers.in_use", "12");
	MEMBER("close.denied", "4");
	MEMBER("close.done", "0");
	MEMBER("close.internal", "0");
	MEMBER("flows.open", "8");
	MEMBER("events.lost", "9");
#undef MEMBER
	free(text);
	for (int i = 0; i < CLOSE_REASON_MAX; i++) {
		assert_true(close_reason_name((enum close_reason)i)[0]);
		assert_true(close_reason_text((enum close_reason)i)[0]);
	}
	assert_string_equal(close_reason_name(CLOSE_STALE_BODY), "stale_body");
}

/* The reader of JSON that other tests rely on is strict. */
static void test_json(void **state)
{
	static const char *const good[] = {
		"{}", "[]",   "{\"a\":[1,-2.5e+3,true,null,\"\\u00e9\"]}",
		"0",  "\"\"", " [ { \"b\" : {} } , 0.1 ] \n"
	};
	static const char *const bad[] = {
		"",    "{",   "{}}",	  "{\"a\"}",	"{\"a\":}", "{a:1}",	 "[1,]",
		"01",  "1.",  "-",	  "\"\n\"",	"\"\\x\"",  "\"\\u12\"", "\"a",
		"{,}", "tru", "\"\xc3\"", "{\"a\":1,}", "[1 2]",    "1e",	 "nul",
	};
	char value[32];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(json_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (json_valid(bad[i], strlen(bad[i])))
			fail_msg("%s", bad[i]);
	assert_true(json_get("{\"x\":{\"a\":1,\"ab\":\"c\\u0041\\\"\"}}", "x.ab", value,
			     sizeof(value)));
	assert_string_equal(value, "cA\"");
	assert_false(json_get("{\"x\":{\"a\":1}}", "x.b", value, sizeof(value)));
	assert_false(json_get("{\"x\":1}", "x.b", value, sizeof(value)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffer_sizes),
		cmocka_unit_test(test_buffer_cache),
		cmocka_unit_test(test_buffer_limit),
		cmocka_unit_test(test_exchanges),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_text_escapes),
		cmocka_unit_test(test_text_cut),
		cmocka_unit_test(test_text_too_long_format),
		cmocka_unit_test(test_addresses_as_text),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
