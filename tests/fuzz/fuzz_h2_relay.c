/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions of an HTTP/2 connection at once, chosen by the input.
 *
 * The stage holds the relay to its contract. What goes up is decoded by a decoder of its own, and
 *  - every block in it can be decoded, and is not interrupted;
 *  - a block with pseudo-headers is a request that was allowed, on a stream higher than any before;
 *  - every other frame of a stream belongs to such a request, but for PRIORITY.
 * What comes down can be decoded as well.
 *
 * In audit the stage holds it to something else: all that was said has gone on, and nothing else.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "h2_talk.h"
#include "require.h"
#include "sluice/array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum op {
	OP_CLIENT = 0x00,	  /* + n: the n + 1 bytes that follow come from the client */
	OP_SERVER = 0x40,	  /* + n: from the server */
	OP_CLIENT_MESSAGE = 0x80, /* + n: message n */
	OP_SERVER_MESSAGE = 0xc0, /* + n: message n, up to 0xef */
	OP_STREAM = 0xf0,	  /* the next byte: the stream that messages are about */
	OP_NEXT_STREAM = 0xf1,
	OP_CLIENT_ENDS = 0xf2,
	OP_SERVER_ENDS = 0xf3,
	OP_TIMEOUT = 0xf4,
	OP_STICK_DOWN = 0xf5, /* the client does not read, or does again */
	OP_STICK_UP = 0xf6,
	OP_CONGEST = 0xf7,
	OP_UP_FIRST = 0xf8,
	OP_PIECES = 0xf9, /* the next byte: how large the pieces are that arrive at once */
	OP_REJUDGE = 0xfa,
	OP_TICK = 0xfb,
	OP_HELLO = 0xfc,
	OP_AUDIT = 0xfd, /* as the first byte: the relay only looks on */
};

static const char *const client_messages[] = {
	HELLO,
	"SETTINGS 0 - @1:0\n",
	"SETTINGS 0 - @1:100|@1:70000\n",
	"SETTINGS 0 a\n",
	"HEADERS $ eh " FIELDS("GET", "/a") "\n",
	"HEADERS $ eh " FIELDS("GET", "/deny") "\n",
	"HEADERS $ h " FIELDS("POST", "/a") "\n",
	"HEADERS $ h " FIELDS("POST", "/deny") "\n",
	"HEADERS $ eh " FIELDS("GET", "/a") "|+x=y\n",
	"HEADERS $ eh " FIELDS("GET", "/deny") "|+x=y\n",
	"HEADERS $ eh " FIELDS("GET", "/a") "|#62\n",
	"HEADERS $ eh " FIELDS("GET", "/bad") "|+z=z\n",
	"HEADERS $ eh " FIELDS("GET", "/a") "|+Upper=x\n",
	"HEADERS $ h " FIELDS("POST", "/later") "|te=trailers|content-type=application/grpc\n",
	"HEADERS $ h " FIELDS("POST", "/deny") "|+content-type=application/grpc\n",
	"HEADERS $ h " FIELDS("POST", "/a") "|content-length=5\n",
	"HEADERS $ eh ^0|^300|+:method=PUT|:scheme=http|+:path=/deny|:authority=h\n",
	"HEADERS $ eh ^300|+:method=PUT|:scheme=http|+:path=/a|:authority=h\n",
	"HEADERS $ eh #63|#62|:scheme=http|:authority=h\n",
	"HEADERS $ eh " FIELDS("GET", "/deny") "|+big={5000*z}\n",
	"HEADERS $ e " FIELDS("GET", "/a") "\nCONT $ - +a=b\nCONT $ h c=d\n",
	"HEADERS $ e " FIELDS("GET", "/a") "\n",
	"CONT $ h +a=b\n",
	"HEADERS $ ehpr $01|%0|$10|" FIELDS("GET", "/a") "|$00\n",
	"HEADERS $ h :method=CONNECT|:authority=a:1\n",
	"HEADERS $ h :method=CONNECT|:protocol=websocket|:scheme=http|:path=/a|:authority=h\n",
	"HEADERS $ eh +t=u\n",
	"HEADERS $ h t=u\n",
	"HEADERS $ eh t=u|:path=/deny\n",
	"DATA $ - \"hello\n",
	"DATA $ e \"hello\n",
	"DATA $ e\n",
	"DATA $ p $02|\"abc|$0000\n",
	"DATA $ - ~9\n",
	"RST $ - %8\n",
	"WINDOW $ - %9\n",
	"WINDOW 0 - %9\n",
	"PRIORITY $ - %0|$10\n",
	"PING 0 - %0|%1\n",
	"GOAWAY 0 - %0|%0\n",
	"Xfe $ - \"abc\n",
	"PUSH $ h %2|:path=/deny\n",
};

static const char *const server_messages[] = {
	"SETTINGS 0 -\n",
	"SETTINGS 0 - @1:0|@8:1\n",
	"SETTINGS 0 - @1:100000|@5:20000\n",
	"SETTINGS 0 a\n",
	"HEADERS $ h :status=200\n",
	"HEADERS $ eh :status=200|+a=b\n",
	"HEADERS $ h #62|:status=200\n",
	"HEADERS $ h ^0|^200|:status=200|+c=d\n",
	"HEADERS $ h :status=103\n",
	"HEADERS $ eh grpc-status=0|+grpc-message=x\n",
	"HEADERS $ - :status=200\n",
	"CONT $ h +a=b\n",
	"DATA $ - \"hello\n",
	"DATA $ e \"hello\n",
	"DATA $ - ~9\n",
	"DATA $ - ~18\n",
	"RST $ - %7\n",
	"WINDOW $ - %9\n",
	"WINDOW 0 - %9\n",
	"PING 0 a %0|%1\n",
	"GOAWAY 0 - %1|%0\n",
	"Xfe $ - \"abc\n",
	"PUSH $ h %2|:path=/deny\n",
};

struct player {
	struct h2_stage stage;
	const uint8_t *at, *end;
	uint32_t stream, last; /* LAST: the highest whose request went up */
	size_t piece, read[2]; /* bytes of the lines that were looked at */
	uint8_t passed[256];   /* of the first streams: the request went up */
};

static uint32_t stream_of(const char *line)
{
	const char *blank = strchr(line, ' ');

	return blank ? (uint32_t)strtoul(blank + 1, NULL, 10) : 0;
}

/* Does a field begin so? They stand behind the third blank, with bars between them. */
static bool has_field(const char *line, size_t len, const char *field)
{
	const char *at = line, *end = line + len;
	size_t n = strlen(field);

	for (int blanks = 0; blanks < 3 && at; blanks++)
		at = memchr(at + (blanks > 0), ' ', (size_t)(end - at) - (blanks > 0));
	while (at) {
		at++;
		if ((size_t)(end - at) >= n && memcmp(at, field, n) == 0)
			return true;
		at = memchr(at, '|', (size_t)(end - at));
	}
	return false;
}

static bool is_request(const char *line, size_t len)
{
	return has_field(line, len, ":method=");
}

static void check_up(struct player *p, const char *line, size_t len)
{
	uint32_t id = stream_of(line);

	if (strncmp(line, "HEADERS", 7) == 0 && is_request(line, len)) {
		REQUIRE(!has_field(line, len, ":path=/deny") &&
			!has_field(line, len, ":path=/bad"));
		REQUIRE(id > p->last && id % 2 == 1);
		p->last = id;
		if (id < sizeof(p->passed))
			p->passed[id] = 1;
		return;
	}
	REQUIRE(strncmp(line, "HEADERS", 7) != 0 || !has_field(line, len, ":"));
	if (id == 0 || strncmp(line, "PRIORITY", 8) == 0)
		return;
	REQUIRE(id <= p->last && (id >= sizeof(p->passed) || p->passed[id]));
}

static void check_side(struct player *p, enum relay_side side)
{
	const char *text = h2_reader_text(&p->stage.sides[side].reader);

	REQUIRE(p->stage.sides[side].reader.faults == 0);
	for (;;) {
		const char *line = text + p->read[side], *end = strchr(line, '\n');

		if (!end)
			break;
		if (side == RELAY_UP)
			check_up(p, line, (size_t)(end - line));
		p->read[side] = (size_t)(end + 1 - text);
	}
}

static void check(struct player *p)
{
	check_side(p, RELAY_DOWN);
	check_side(p, RELAY_UP);
}

static void put(struct player *p, enum relay_side from, const char *bytes, size_t len)
{
	size_t piece = p->piece ? p->piece : len;

	if (p->stage.sides[from].hung_up)
		return;
	for (size_t at = 0; at < len; at += piece) {
		h2_stage_put(&p->stage, from, bytes + at, len - at < piece ? len - at : piece);
		check(p);
	}
}

static void put_message(struct player *p, enum relay_side from, const char *text)
{
	struct bytes b = { 0 };

	h2_text_compile(text, p->stream, &b);
	put(p, from, b.data, b.len);
	bytes_free(&b);
}

static void put_raw(struct player *p, enum relay_side from, size_t len)
{
	size_t left = (size_t)(p->end - p->at);

	if (len > left)
		len = left;
	p->at += len;
	put(p, from, (const char *)p->at - len, len);
}

static unsigned next_byte(struct player *p)
{
	return p->at < p->end ? *p->at++ : 0;
}

static void play_relay(struct player *p, unsigned op)
{
	struct h2_stage *s = &p->stage;

	if (s->closed || s->ended)
		return;
	if (op == OP_TIMEOUT)
		h2_relay_head_timeout(&s->relay);
	else if (op == OP_REJUDGE)
		h2_relay_rejudge(&s->relay);
	else
		h2_relay_tick(&s->relay);
}

static void play_other(struct player *p, unsigned op)
{
	struct h2_stage *s = &p->stage;

	switch (op) {
	case OP_STREAM:
		p->stream = next_byte(p);
		break;
	case OP_NEXT_STREAM:
		p->stream += 2;
		break;
	case OP_CLIENT_ENDS:
		h2_stage_hang_up(s, RELAY_DOWN);
		break;
	case OP_SERVER_ENDS:
		h2_stage_hang_up(s, RELAY_UP);
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
	case OP_PIECES:
		p->piece = next_byte(p);
		break;
	case OP_HELLO:
		put_message(p, RELAY_DOWN, client_messages[0]);
		put_message(p, RELAY_UP, server_messages[0]);
		break;
	default:
		play_relay(p, op);
		break;
	}
	h2_stage_settle(s);
	check(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct player p;

	p = (struct player){ .at = data, .end = data + size, .stream = 1 };
	if (size > 0 && *p.at == OP_AUDIT)
		h2_stage_begin_audit(&p.stage);
	else
		h2_stage_begin(&p.stage);
	while (p.at < p.end && !p.stage.closed) {
		unsigned op = *p.at++;

		if (op >= OP_STREAM)
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
	}
	h2_stage_done(&p.stage);
	return 0;
}
