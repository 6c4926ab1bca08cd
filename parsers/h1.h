/* SPDX-License-Identifier: Apache-2.0 */
/* h1.h - reads the messages of one direction of an HTTP/1 connection (RFC 9112), without I/O.
 *
 * One struct h1 per direction, embedded in the connection, alive as long as it. It holds no bytes:
 * the caller owns the buffer, and h1_feed() says how many bytes of it form the next event. What was
 * not consumed must be offered again, from the same first byte, with more behind it. So no byte is
 * released before it has been checked, and an idle connection needs no buffer.
 *
 * Heads, chunk lines and trailers are held to a grammar that is narrower than RFC 9112's: whatever
 * two servers could read in two ways is refused. llhttp then reads the same bytes; where it does
 * not agree with the grammar's own reading, the message is refused. What is narrower, and not
 * plain from RFC 9112 itself:
 *  - every line ends with CRLF; none is empty before a start line; no control character but HTAB
 *    inside a field value; HTTP/1.0 and HTTP/1.1 only; the methods that llhttp knows, except PRI;
 *  - a target is visible ASCII without '#'. Raw UTF-8 in it is refused: llhttp does, and servers
 *    differ in what they make of it;
 *  - Host is a name of letters, digits and "-._~", an IPv4 address, or an IPv6 address in brackets,
 *    with or without a port; once in HTTP/1.1, at most once in HTTP/1.0, never empty. The authority
 *    of an absolute-form target, and the whole target of CONNECT, is the same but for case;
 *  - an absolute-form target is http:// or https://, without user, and has a path if it has a
 *    query; "*" goes with OPTIONS only; CONNECT has a port and no body;
 *  - Content-Length once, digits without a leading zero, below 2^63; Transfer-Encoding once,
 *    "chunked", in HTTP/1.1, never with Content-Length; neither under a name with an underscore,
 *    nor named by Connection, whose elements are tokens. Expect is "100-continue";
 *  - chunk extensions have no blanks, no backslashes and only ASCII; a trailer has no field of
 *    framing, routing, authentication, or the content's type (h1_chunk.c has the list);
 *  - a 1xx, a 204, or a 2xx to CONNECT announces no body. */
#ifndef SLUICE_H1_H
#define SLUICE_H1_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <llhttp/llhttp.h>
#include "sluice/request.h"

#define H1_HEAD_MAX                                                                             \
	(64 * 1024)	       /* bytes of a head or a trailer section, its empty line included \
				*/
#define H1_FIELDS_MAX	  256  /* header fields in one head */
#define H1_CHUNK_LINE_MAX 4096 /* bytes of a chunk-size line with its extensions */

enum h1_event {
	H1_MORE, /* nothing is complete: 0 bytes consumed, offer the same bytes with more behind
		    them */
	H1_HEAD, /* one whole head: the struct h1_head describes it, the consumed bytes are it */
	H1_BODY, /* the consumed bytes (> 0) belong to the body, chunk framing and trailers included
		  */
	H1_END,	 /* the message is complete; consumed bytes (may be 0) are its last ones */
};

enum h1_kind { H1_REQUEST, H1_RESPONSE };

enum h1_upgrade {
	H1_UPGRADE_NONE,
	H1_UPGRADE_WEBSOCKET, /* "Upgrade: websocket" with "Connection: upgrade" */
	H1_UPGRADE_OTHER,     /* any other or mixed Upgrade that is in force, h2c among them */
};

/* What a head may be at most; 0: as much as fits, H1_HEAD_MAX and H1_FIELDS_MAX. */
struct h1_limits {
	uint32_t head_size; /* bytes of a head or a trailer section */
	uint32_t fields;
};

/* What a head says. Large: it is the caller's scratch, one per worker, valid until the next
 * h1_feed() into it or until the fed buffer changes. */
struct h1_head {
	struct h1_limits limits; /* the caller's to set: they bound whatever is read into this */
	uint8_t version;	 /* 10 or 11 */
	uint16_t status;	 /* responses */
	bool keep_alive; /* the sender will (request: wants to) keep the connection open after this
			    message */
	/* What the fields say. In a response to HEAD, and in a 304, it is not about this message:
	 * H1_END follows at once. */
	bool chunked;
	bool has_length;
	bool until_close; /* responses: the body ends with the connection */
	bool expect_continue;
	bool connect; /* requests: method CONNECT */
	bool head;    /* requests: method HEAD */
	enum h1_upgrade upgrade;
	uint64_t content_length; /* valid if HAS_LENGTH */
	/* Every byte of it, the empty line included. Each field's name is the begin of its line. */
	struct span raw;
	/* Requests: method, path, authority, headers. Readings are left empty: see path.h.
	 * Responses: headers only. */
	struct request req;
	struct header fields[H1_FIELDS_MAX];
};

struct h1; /* opaque in use, complete below so that it can be embedded */

/* Begin an idle direction. */
void h1_init(struct h1 *p, enum h1_kind kind);

/* Responses only, before the first byte of each final response is fed: the method it answers, on
 * which the length of its body depends (RFC 9112, section 6.3). */
void h1_expect(struct h1 *p, bool answers_head, bool answers_connect);

/* Read BUF up to the next event and store that in *RET. Returns the number of bytes consumed,
 * -EPROTO when the bytes are malformed or ambiguous (400), or -EMSGSIZE when a head, a trailer
 * section or a chunk line is over its limit (431). Never reads beyond LEN; never consumes a byte of
 * a head before the head is whole. After an error the parser stays broken and returns the same
 * error.
 *
 * Call it until it says H1_MORE: after a head without a body H1_END is due at once, also when no
 * byte is left (LEN may be 0, and BUF then NULL). Where messages end and which bytes are released
 * does not depend on how the network cut the stream; which of two faults is reported may.
 *
 * After H1_END the next byte begins the next message. A final response to CONNECT with 2xx, and a
 * 101, give H1_HEAD and then H1_END; what follows is not HTTP and must not be fed. A 1xx response
 * gives H1_HEAD and H1_END, and h1_expect() stays in force for the next. */
ssize_t h1_feed(struct h1 *p, const char *buf, size_t len, struct h1_head *head,
		enum h1_event *ret);

/* Responses only: the connection ended. Returns 0 if that is where the message may end (between
 * messages or in a body that lasts until close), -EPROTO if it is cut short. */
int h1_finish(struct h1 *p);

/* So many of the next bytes belong to a body, whatever they are. 0: nobody knows; UINT64_MAX: all
 * until the connection ends. */
uint64_t h1_body_left(const struct h1 *p);

/* No byte of the next message has been offered yet, and none is open. */
bool h1_idle(const struct h1 *p);

/* Why the last h1_feed() failed: a static phrase such as "two Content-Length fields". */
const char *h1_reason(const struct h1 *p);

/* Private to h1*.c from here on. Keep it small: two of them live in every idle connection. */
struct h1 {
	llhttp_t llhttp;
	const char *reason;
	uint64_t body_left;
	uint32_t scanned; /* bytes of an incomplete head already searched for its end */
	int16_t error;	  /* 0, -EPROTO or -EMSGSIZE */
	uint8_t kind, state;
	bool answers_head, answers_connect;
	bool interim;	/* the open response is a 1xx: h1_expect() outlives it */
	bool switching; /* after the open response the connection is no longer HTTP */
};

#endif
