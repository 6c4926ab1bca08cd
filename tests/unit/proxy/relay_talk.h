/* SPDX-License-Identifier: Apache-2.0 */
/* relay_talk.h - a conversation as data, and what has to come of it however it is cut.
 *
 * Steps: ">bytes" the client sends, "<bytes" the server sends, ">$" and "<$" one of them ends its
 * half, "!" a head's time is up. In all texts "{70*text}" stands for 70 times that text, and
 * "{0d}" for the byte 0x0d. */
#ifndef SLUICE_TEST_RELAY_TALK_H
#define SLUICE_TEST_RELAY_TALK_H

#include "relay_stage.h"
#include "talk_cut.h"

#define TALK_STEPS_MAX 16

struct talk {
	const char *name;
	const char *steps[TALK_STEPS_MAX];
	const char *up, *down; /* all bytes that arrive */
	const char *log;       /* see struct stage; requests in order, and responses in order */
	/* See stage_describe_end(). With a '?' in front it overtakes a response that nobody can
	 * read: how much of DOWN arrives, at least a byte, is for the network to say. */
	const char *end;
};

/* Play it and leave the stage as it is in the end; the caller calls stage_done(). */
void talk_play(const struct talk *t, const struct talk_cut *cut, struct stage *s);

/* The text with its braces expanded. */
struct bytes talk_expand(const char *text);

#define REQUEST(method, target, fields) method " " target " HTTP/1.1\r\nhost: h\r\n" fields "\r\n"
#define GET(path)			REQUEST("GET", path, "")
#define POST(path, n, body)		REQUEST("POST", path, "content-length: " n "\r\n") body
#define POST_CHUNKED(path, body)	REQUEST("POST", path, "transfer-encoding: chunked\r\n") body
#define POST_EXPECT(path, n) \
	REQUEST("POST", path, "content-length: " n "\r\nexpect: 100-continue\r\n")
#define WEBSOCKET(path) REQUEST("GET", path, "connection: upgrade\r\nupgrade: websocket\r\n")
#define CONNECT(target) "CONNECT " target " HTTP/1.1\r\nhost: " target "\r\n\r\n"

#define RESPONSE(status, fields) "HTTP/1.1 " status " x\r\n" fields "\r\n"
#define OK(n, body)		 RESPONSE("200", "content-length: " n "\r\n") body
#define OK_CHUNKED(body)	 RESPONSE("200", "transfer-encoding: chunked\r\n") body
#define OK_REST(body)		 RESPONSE("200", "") body
#define SWITCHING		 RESPONSE("101", "connection: upgrade\r\nupgrade: websocket\r\n")

#define OURS(status_line, n, connection, body)                                       \
	"HTTP/1.1 " status_line "\r\ncontent-type: text/plain\r\ncontent-length: " n \
	"\r\n" connection "\r\n" body
#define FORBIDDEN      OURS("403 Forbidden", "15", "", "Access denied\r\n")
#define FORBIDDEN_LAST OURS("403 Forbidden", "15", "connection: close\r\n", "Access denied\r\n")
#define FORBIDDEN_HEAD OURS("403 Forbidden", "15", "", "")
#define FORBIDDEN_10   OURS("403 Forbidden", "15", "connection: keep-alive\r\n", "Access denied\r\n")
#define MALFORMED      OURS("400 Bad Request", "13", "connection: close\r\n", "Bad request\r\n")
#define TOO_SLOW       OURS("408 Request Timeout", "17", "connection: close\r\n", "Request timeout\r\n")
#define TOO_LARGE                                                                  \
	OURS("431 Request Header Fields Too Large", "33", "connection: close\r\n", \
	     "Request header fields too large\r\n")

#endif
