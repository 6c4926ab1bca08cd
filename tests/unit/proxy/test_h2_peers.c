/* SPDX-License-Identifier: Apache-2.0 */
/* A client and a server of nghttp2 with the relay between them: random requests, three of ten
 * denied, tables that grow and shrink, resets and bodies. Each peer notices every fault of HPACK,
 * flow control or stream states by itself, and both compare what they got with what was sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "h2_stage.h"
#include "require.h"
#include "sluice/array.h"

#define REQUESTS  10000
#define IN_FLIGHT 60
#define FIELDS	  12
#define BODY_MAX  30000

struct message {
	uint64_t sum; /* of the fields, in order */
	char text[FIELDS][2][64];
	nghttp2_nv nv[FIELDS];
	size_t n;
};

struct talk {
	struct h2_stage stage;
	nghttp2_session *client, *server;
	unsigned seed;
	unsigned submitted, closed, reset, denied, answered, served, server_reset;
	bool calm; /* nobody resets anything */
};

struct call { /* one request, at the client */
	struct talk *talk;
	bool deny, reset, grpc;
	unsigned status, grpc_status;
	uint64_t sum, told; /* of the response's fields, and what the server says it is */
	uint64_t sent;
	size_t body;
};

struct served { /* one request, at the server */
	uint64_t sum;
	size_t got, body;
};

static unsigned pick(struct talk *t, unsigned n)
{
	t->seed = t->seed * 1103515245 + 12345;
	return (t->seed >> 8) % n;
}

static void add_sum(uint64_t *sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*sum = (*sum ^ bytes[i]) * 1099511628211u;
	*sum = (*sum ^ 256) * 1099511628211u;
}

static void add_field(struct message *m, const char *name, const char *value, bool never)
{
	nghttp2_nv *nv = &m->nv[m->n];

	snprintf(m->text[m->n][0], sizeof(m->text[0][0]), "%s", name);
	snprintf(m->text[m->n][1], sizeof(m->text[0][1]), "%s", value);
	*nv = (nghttp2_nv){ .name = (uint8_t *)m->text[m->n][0],
			    .value = (uint8_t *)m->text[m->n][1],
			    .namelen = strlen(m->text[m->n][0]),
			    .valuelen = strlen(m->text[m->n][1]),
			    .flags = never ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
	add_sum(&m->sum, nv->name, nv->namelen);
	add_sum(&m->sum, nv->value, nv->valuelen);
	m->n++;
}

/* Some fields come again and again, others never do. */
static void add_random_fields(struct talk *t, struct message *m)
{
	for (unsigned i = pick(t, 6); i > 0; i--) {
		char name[32], value[64];

		snprintf(name, sizeof(name), "x-%u", pick(t, 20));
		snprintf(value, sizeof(value), "%0*u", (int)pick(t, 50) + 1, pick(t, 3));
		add_field(m, name, value, pick(t, 8) == 0);
	}
}

static ssize_t read_zeros(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t len,
			  uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	size_t *left = source->ptr, n = *left < len ? *left : len;

	memset(buf, 0, n);
	*left -= n;
	if (*left == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* --- the server --- */

static int server_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
						     calloc(1, sizeof(struct served)));
	return 0;
}

static int server_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
			 size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags,
			 void *ctx)
{
	struct served *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	REQUIRE(s);
	REQUIRE(valuelen < 5 || memcmp(value, "/deny", 5) != 0);
	add_sum(&s->sum, name, namelen);
	add_sum(&s->sum, value, valuelen);
	return 0;
}

static int server_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
		       size_t len, void *ctx)
{
	struct served *s = nghttp2_session_get_stream_user_data(session, stream);

	REQUIRE(s);
	s->got += len;
	return 0;
}

static int server_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	nghttp2_data_provider body = { .read_callback = read_zeros };
	struct talk *t = ctx;
	struct message m = { 0 };
	struct served *s;
	char text[32];

	if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	REQUIRE(s);
	t->served++;
	if (!t->calm && pick(t, 20) == 0) {
		nghttp2_submit_rst_stream(session, 0, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
		t->server_reset++;
		return 0;
	}
	add_field(&m, ":status", "200", false);
	snprintf(text, sizeof(text), "%llx", (unsigned long long)s->sum);
	add_field(&m, "request-sum", text, false);
	add_random_fields(t, &m);
	snprintf(text, sizeof(text), "%llx", (unsigned long long)m.sum);
	add_field(&m, "sum", text, false);
	s->body = pick(t, 3) ? pick(t, BODY_MAX) : 0;
	body.source.ptr = &s->body;
	REQUIRE(nghttp2_submit_response(session, frame->hd.stream_id, m.nv, m.n,
					s->body ? &body : NULL) == 0);
	return 0;
}

static int server_close(nghttp2_session *session, int32_t stream, uint32_t error, void *ctx)
{
	free(nghttp2_session_get_stream_user_data(session, stream));
	return 0;
}

/* --- the client --- */

static uint64_t hex(const uint8_t *value, size_t len)
{
	char text[32] = "";

	REQUIRE(len < sizeof(text));
	memcpy(text, value, len);
	return strtoull(text, NULL, 16);
}

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
			 size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags,
			 void *ctx)
{
	struct call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct span n = { (const char *)name, namelen };

	REQUIRE(c);
	if (span_eq(n, SPAN_LITERAL("grpc-status")))
		c->grpc_status = (unsigned)hex(value, valuelen);
	if (span_eq(n, SPAN_LITERAL(":status")))
		c->status = (unsigned)(value[0] - '0') * 100 + (unsigned)(value[1] - '0') * 10 +
			    (unsigned)(value[2] - '0');
	if (span_eq(n, SPAN_LITERAL("request-sum")))
		REQUIRE(hex(value, valuelen) == c->sent);
	if (span_eq(n, SPAN_LITERAL("sum"))) {
		c->told = hex(value, valuelen);
		return 0;
	}
	add_sum(&c->sum, name, namelen);
	add_sum(&c->sum, value, valuelen);
	return 0;
}

static int client_close(nghttp2_session *session, int32_t stream, uint32_t error, void *ctx)
{
	struct call *c = nghttp2_session_get_stream_user_data(session, stream);
	struct talk *t = ctx;

	t->closed++;
	if (c->reset) {
		t->reset++;
	} else if (c->deny) {
		REQUIRE(error == NGHTTP2_NO_ERROR);
		REQUIRE(c->status == (c->grpc ? 200 : 403) && c->grpc_status == (c->grpc ? 7 : 0));
		t->denied++;
	} else if (error == NGHTTP2_NO_ERROR) {
		REQUIRE(c->status == 200 && c->sum == c->told);
		t->answered++;
	} else {
		REQUIRE(error == NGHTTP2_INTERNAL_ERROR);
	}
	free(c);
	return 0;
}

static void submit(struct talk *t)
{
	nghttp2_data_provider body = { .read_callback = read_zeros };
	struct call *c = calloc(1, sizeof(*c));
	struct message m = { 0 };
	char path[32];
	int32_t id;

	REQUIRE(c);
	c->talk = t;
	c->deny = pick(t, 10) < 3;
	c->grpc = pick(t, 2);
	c->body = pick(t, 3) == 0 ? pick(t, BODY_MAX) : 0;
	snprintf(path, sizeof(path), "%s/%u", c->deny ? "/deny" : "/a", pick(t, 300));
	add_field(&m, ":method", "POST", false);
	add_field(&m, ":scheme", "http", false);
	add_field(&m, ":path", path, pick(t, 10) == 0);
	add_field(&m, ":authority", "h", false);
	if (c->grpc)
		add_field(&m, "content-type", "application/grpc", false);
	add_random_fields(t, &m);
	c->sent = m.sum;
	body.source.ptr = &c->body;
	id = nghttp2_submit_request(t->client, NULL, m.nv, m.n, c->body ? &body : NULL, c);
	REQUIRE(id > 0);
	t->submitted++;
	if (!t->calm && pick(t, 20) == 0) {
		c->reset = true;
		nghttp2_submit_rst_stream(t->client, 0, id, NGHTTP2_CANCEL);
	}
}

/* --- both --- */

static void resize(struct talk *t, nghttp2_session *session)
{
	static const uint32_t sizes[] = { 0, 64, 300, 4096, 20000, 65536, 1048576 };
	nghttp2_settings_entry entries[2];
	size_t n = 1 + pick(t, 2);

	for (size_t i = 0; i < n; i++)
		entries[i] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE,
						       sizes[pick(t, ARRAY_SIZE(sizes))] };
	REQUIRE(nghttp2_submit_settings(session, 0, entries, n) == 0);
}

/* What SESSION has to say goes to the relay, in pieces. */
static bool pump_out(struct talk *t, nghttp2_session *session, enum relay_side side)
{
	const uint8_t *bytes;
	ssize_t n = nghttp2_session_mem_send(session, &bytes);

	REQUIRE(n >= 0);
	for (size_t at = 0; at < (size_t)n;) {
		size_t piece = pick(t, 4) ? (size_t)n : 1 + pick(t, 200);

		if (piece > (size_t)n - at)
			piece = (size_t)n - at;
		h2_stage_put(&t->stage, side, bytes + at, piece);
		at += piece;
	}
	return n > 0;
}

static bool pump_in(struct talk *t, nghttp2_session *session, enum relay_side side)
{
	struct bytes got = t->stage.sides[side].sent;
	ssize_t n;

	if (got.len == 0)
		return false;
	t->stage.sides[side].sent = (struct bytes){ 0 };
	n = nghttp2_session_mem_recv(session, (uint8_t *)got.data, got.len);
	REQUIRE(n == (ssize_t)got.len);
	bytes_free(&got);
	return true;
}

static void pump(struct talk *t)
{
	bool moved = true;

	while (moved) {
		moved = pump_out(t, t->client, RELAY_DOWN);
		moved |= pump_in(t, t->server, RELAY_UP);
		moved |= pump_out(t, t->server, RELAY_UP);
		moved |= pump_in(t, t->client, RELAY_DOWN);
		REQUIRE(!t->stage.ended && !t->stage.closed);
	}
}

static void begin(struct talk *t)
{
	nghttp2_session_callbacks *client, *server;
	nghttp2_option *option;
	nghttp2_settings_entry many = { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000 };

	REQUIRE(nghttp2_session_callbacks_new(&client) == 0);
	REQUIRE(nghttp2_session_callbacks_new(&server) == 0);
	REQUIRE(nghttp2_option_new(&option) == 0);
	nghttp2_option_set_max_deflate_dynamic_table_size(option, 65536);
	nghttp2_session_callbacks_set_on_header_callback(client, client_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(client, client_close);
	nghttp2_session_callbacks_set_on_begin_headers_callback(server, server_begin);
	nghttp2_session_callbacks_set_on_header_callback(server, server_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(server, server_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(server, server_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(server, server_close);
	h2_stage_begin(&t->stage);
	t->stage.no_readers = true;
	REQUIRE(nghttp2_session_client_new2(&t->client, client, t, option) == 0);
	REQUIRE(nghttp2_session_server_new2(&t->server, server, t, option) == 0);
	REQUIRE(nghttp2_submit_settings(t->client, 0, &many, 1) == 0);
	REQUIRE(nghttp2_submit_settings(t->server, 0, &many, 1) == 0);
	nghttp2_session_callbacks_del(client);
	nghttp2_session_callbacks_del(server);
	nghttp2_option_del(option);
}

static void end(struct talk *t)
{
	nghttp2_session_del(t->client);
	nghttp2_session_del(t->server);
	h2_stage_done(&t->stage);
}

static void play(struct talk *t, unsigned requests)
{
	begin(t);
	while (t->submitted < requests || t->closed < t->submitted) {
		unsigned before = t->closed;

		for (unsigned i = pick(t, IN_FLIGHT); i > 0 && t->submitted < requests; i--) {
			submit(t);
			if (pick(t, 40) == 0)
				resize(t, t->client);
			if (pick(t, 40) == 0)
				resize(t, t->server);
		}
		t->stage.congest = pick(t, 2);
		pump(t);
		REQUIRE(t->submitted < requests || t->closed > before || t->closed == t->submitted);
	}
	if (t->calm) {
		REQUIRE(t->denied == t->stage.n_denied);
		REQUIRE(t->answered == t->stage.n_allowed && t->answered == t->served);
	}
	REQUIRE(t->denied + t->answered + t->reset + t->server_reset >= requests);
	REQUIRE(t->stage.relay.streams.n == 0);
	end(t);
}

static void test_requests(void **state)
{
	for (unsigned seed = 1; seed <= 10; seed++) {
		struct talk t = { .seed = seed, .calm = true };

		play(&t, REQUESTS / 10);
	}
}

static void test_resets(void **state)
{
	for (unsigned seed = 11; seed <= 15; seed++) {
		struct talk t = { .seed = seed };

		play(&t, REQUESTS / 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_resets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
