/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_ops.h"
#include <string.h>
#include "relay_talk.h"
#include "sluice/array.h"

enum op {
	OP_CLIENT = 0x00,	  /* + n: the n + 1 bytes that follow come from the client */
	OP_SERVER = 0x40,	  /* + n: from the server */
	OP_CLIENT_MESSAGE = 0x80, /* + n: message n */
	OP_SERVER_MESSAGE = 0xc0, /* + n: message n, up to 0xef */
	OP_PIECES = 0xf0,	  /* the next byte: how large the pieces are that arrive at once */
	OP_REPEAT = 0xf1,	  /* the next byte: how often the last bytes come once more */
	OP_CLIENT_ENDS = 0xf2,
	OP_SERVER_ENDS = 0xf3,
	OP_HEAD_TIMEOUT = 0xf4,
	OP_STICK_DOWN = 0xf5, /* the client does not read, or does again */
	OP_STICK_UP = 0xf6,
	OP_CONGEST = 0xf7, /* every send fills the socket, or not any more */
	OP_UP_FIRST = 0xf8,
	OP_AUDIT = 0xf9, /* as the first byte: the relay only looks on */
};

#define REPEATED_MAX ((size_t)256 * 1024) /* bytes that repeats may make */

static const char *const client_messages[] = {
	GET("/a"),
	GET("/deny"),
	GET("/bad"),
	GET("/close"),
	POST("/a", "5", "hello"),
	POST("/deny", "5", "hello"),
	POST("/a", "5", ""),
	POST("/deny", "34", ""),
	POST("/deny", "65537", ""),
	POST_CHUNKED("/a", ""),
	POST_CHUNKED("/deny", ""),
	POST_EXPECT("/a", "5"),
	POST_EXPECT("/deny", "5"),
	REQUEST("HEAD", "/a", ""),
	REQUEST("HEAD", "/deny", ""),
	REQUEST("GET", "/a", "connection: close\r\n"),
	REQUEST("GET", "/deny", "connection: close\r\n"),
	WEBSOCKET("/a"),
	WEBSOCKET("/deny"),
	REQUEST("POST", "/a", "upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 5\r\n"),
	REQUEST("GET", "/a", "upgrade: h2c\r\nconnection: upgrade\r\n"),
	CONNECT("a:1"),
	CONNECT("deny:1"),
	"GET /a HTTP/1.0\r\n\r\n",
	"GET /deny HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
	"hello",
	"5\r\nhello\r\n",
	"0\r\n\r\n",
	"0\r\nx: y\r\n\r\n",
	"zz\r\n",
	"\r\n",
	"GET /a HT",
	"\x16\x03\x01",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /deny HTTP/1.1\r\n host: h\r\n\r\n",
	REQUEST("POST", "/a", "transfer-encoding: chunked\r\nexpect: 100-continue\r\n"),
	REQUEST("GET", "/add", "x-a: no\r\n"),
	REQUEST("POST", "/set", "x-a: no\r\ncontent-length: 5\r\nX-A: no\r\n") "hello",
	REQUEST("GET", "/del", "x-a: no\r\nx-ab:\r\nX-a:\tno\r\n"),
	REQUEST("GET", "/mix", "x-b: no\r\nx-a: no\r\n"),
	GET("/twice"),
	WEBSOCKET("/none"),
	GET("/long"),
	GET("/big"),
	POST_EXPECT("/set", "5"),
};

static const char *const server_messages[] = {
	OK("2", "ok"),
	OK("5", ""),
	"hello",
	OK_CHUNKED(""),
	"5\r\nhello\r\n",
	"0\r\n\r\n",
	OK_REST("all"),
	RESPONSE("100", ""),
	RESPONSE("103", "link: x\r\n"),
	RESPONSE("204", ""),
	RESPONSE("304", "content-length: 7\r\n"),
	RESPONSE("417", "content-length: 0\r\n"),
	SWITCHING,
	RESPONSE("101", ""),
	RESPONSE("200", ""),
	RESPONSE("204", "content-length: 3\r\n"),
	"what?\r\n\r\n",
	"HTTP/1.1 2",
	"HTTP/1.0 200 OK\r\n\r\n",
	FORBIDDEN,
	"zz\r\n",
};

struct player {
	struct relay_model *m;
	const uint8_t *at, *end;
	const char *last;
	size_t last_len, repeated;
	size_t piece; /* 0: whole */
	enum relay_side last_from;
};

static void put(struct player *p, enum relay_side from, const char *buf, size_t len)
{
	struct stage *s = p->m->stage;
	size_t piece = p->piece ? p->piece : len;

	p->last = buf;
	p->last_len = len;
	p->last_from = from;
	if (s->sides[from].hung_up)
		return;
	for (size_t at = 0; at < len; at += piece) {
		stage_put(s, from, buf + at, len - at < piece ? len - at : piece);
		model_check(p->m);
	}
}

static void put_message(struct player *p, enum relay_side from, const char *text)
{
	put(p, from, text, strlen(text));
}

/* The bytes that follow in the input. */
static void put_raw(struct player *p, enum relay_side from, size_t len)
{
	size_t left = (size_t)(p->end - p->at);

	if (len > left)
		len = left;
	p->at += len;
	put(p, from, (const char *)p->at - len, len);
}

static void repeat(struct player *p, unsigned times)
{
	for (; times > 0 && p->repeated < REPEATED_MAX; times--) {
		p->repeated += p->last_len;
		put(p, p->last_from, p->last, p->last_len);
	}
}

static void hang_up(struct player *p, enum relay_side from)
{
	struct stage *s = p->m->stage;

	if (!s->sides[from].hung_up)
		stage_hang_up(s, from);
}

static unsigned next_byte(struct player *p)
{
	return p->at < p->end ? *p->at++ : 0;
}

static void play_other(struct player *p, unsigned op)
{
	struct stage *s = p->m->stage;

	switch (op) {
	case OP_PIECES:
		p->piece = next_byte(p);
		break;
	case OP_REPEAT:
		repeat(p, next_byte(p));
		break;
	case OP_CLIENT_ENDS:
		hang_up(p, RELAY_DOWN);
		break;
	case OP_SERVER_ENDS:
		hang_up(p, RELAY_UP);
		break;
	case OP_HEAD_TIMEOUT:
		stage_head_timeout(s);
		break;
	case OP_STICK_DOWN:
		s->sides[RELAY_DOWN].stuck = !s->sides[RELAY_DOWN].stuck;
		break;
	case OP_STICK_UP:
		s->sides[RELAY_UP].stuck = !s->sides[RELAY_UP].stuck;
		break;
	case OP_CONGEST:
		s->congest = !s->congest;
		break;
	case OP_UP_FIRST:
		s->up_first = !s->up_first;
		break;
	default:
		break;
	}
	stage_settle(s);
}

void ops_play(const uint8_t *data, size_t size, struct relay_model *m)
{
	struct player p = { .m = m, .at = data, .end = data + size, .last = "" };

	if (size > 0 && *data == OP_AUDIT)
		model_begin_audit(m);

	while (p.at < p.end && !m->stage->closed) {
		unsigned op = *p.at++;

		if (op >= OP_PIECES)
			play_other(&p, op);
		else if (op >= OP_SERVER_MESSAGE)
			put_message(&p, RELAY_UP,
				    server_messages[(op - OP_SERVER_MESSAGE) %
						    ARRAY_SIZE(server_messages)]);
		else if (op >= OP_CLIENT_MESSAGE)
			put_message(&p, RELAY_DOWN,
				    client_messages[(op - OP_CLIENT_MESSAGE) %
						    ARRAY_SIZE(client_messages)]);
		else
			put_raw(&p, op >= OP_SERVER ? RELAY_UP : RELAY_DOWN, (op & 0x3f) + 1u);
		model_check(m);
	}
}
