/* SPDX-License-Identifier: Apache-2.0 */
/* h2.h - reads one direction of an HTTP/2 connection (RFC 9113), frame by frame, without I/O.
 *
 * One struct h2 per direction, alive as long as the connection. It holds no bytes: the caller owns
 * the buffer, h2_feed() says how many bytes of it form the next event, and what was not consumed
 * is offered again with more behind it. A header block (HEADERS and its CONTINUATION frames) is one
 * event, so that no byte of it is released before all of it has been read. DATA and frames that
 * need no reading are released as they come, however long they are.
 *
 * The one thing that it remembers between frames is the sender's HPACK table, in an inflater of
 * nghttp2, which has to see every block of the direction. It follows the sender's table up to
 * H2_TABLE_MAX, whatever the receiver allows at the moment: a block that uses more than was allowed
 * is an error to the receiver, and never means something else to it. Beside it blocks that were
 * read before are known by their bytes, as far as the caller says what to remember of them.
 *
 * Held to RFC 9113 here: lengths, stream identifiers, padding, and that nothing comes between the
 * frames of a header block. Also refused: PUSH_PROMISE, since ENABLE_PUSH is always 0, and a client
 * that sets reserved bits. What depends on the state of a stream is the relay's business. */
#ifndef SLUICE_H2_H
#define SLUICE_H2_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <nghttp2/nghttp2.h>
#include "grpc.h"
#include "h2_known.h"
#include "sluice/request.h"

#define H2_PREFACE	     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN	     24
#define H2_FRAME_HEADER_LEN  9
#define H2_BLOCK_MAX	     (64 * 1024) /* bytes of the frames of one header block */
#define H2_CONTINUATIONS_MAX 16		 /* CONTINUATION frames of one header block */
#define H2_LIST_MAX	     (64 * 1024) /* bytes of names and values in one decoded block */
#define H2_FIELDS_MAX	     256	 /* fields in one block, pseudo-headers included */
#define H2_TABLE_MAX	     (64 * 1024) /* bytes of a dynamic table */
#define H2_SETTINGS_MAX	     128	 /* settings in one frame */
#define H2_FRAME_SIZE_MIN    16384	 /* what everybody has to accept */
#define H2_FRAME_SIZE_MAX    ((1u << 24) - 1)
#define H2_SETTING_LEN	     6

/* Frames are named by nghttp2's enum nghttp2_frame_type, flags by NGHTTP2_FLAG_*, errors by
 * NGHTTP2_PROTOCOL_ERROR and so on. */
struct h2_frame {
	uint32_t length; /* of the payload */
	uint32_t stream;
	uint32_t data; /* DATA: bytes without padding */
	uint8_t type, flags;
};

enum h2_event {
	H2_MORE,    /* nothing is complete: 0 bytes consumed */
	H2_HELLO,   /* the client's preface, once the header of its SETTINGS has come as well */
	H2_FRAME,   /* a whole frame: SETTINGS, PING, PRIORITY, RST_STREAM, WINDOW_UPDATE */
	H2_HEADERS, /* a whole header block: the consumed bytes are its frames */
	H2_BEGIN,   /* the header of any other frame; its payload follows */
	H2_PAYLOAD, /* consumed bytes (> 0) of that payload */
};

enum h2_kind { H2_CLIENT, H2_SERVER };

/* What a header block says. Large: it is the caller's scratch, one per worker, valid until the next
 * h2_feed() into it or until the fed buffer changes. */
struct h2_head {
	struct header fields[H2_FIELDS_MAX]; /* all of them, as decoded */
	bool never[H2_FIELDS_MAX];	     /* never to be indexed (RFC 7541, section 7.1.3) */
	size_t n_fields, n_pseudo;
	struct span block; /* the HPACK bytes, without frame headers and padding */
	uint8_t priority[5];
	bool has_priority;
	bool binary; /* set by the caller: fields named "...-bin" may have any bytes as their value
		      */
	bool edited; /* FIELDS are not those of BLOCK any more; set by whoever changes them */
	/* The same block was read before, and this was made of it: there are no FIELDS. Valid until
	 * the next h2_feed() or h2_remember(). */
	const struct h2_facts *known;

	/* After h2_read_request(). Readings are left empty, see path.h. */
	struct request req; /* headers without pseudo-headers, but with Host; cookies joined */
	struct header headers[H2_FIELDS_MAX];
	struct span scheme, protocol; /* of :scheme, of :protocol */
	bool connect;		      /* method CONNECT without :protocol */
	bool has_length;
	uint64_t content_length;
	enum grpc_kind grpc;

	size_t text_len;
	char text[2 * H2_LIST_MAX + 2 * H2_FIELDS_MAX];
	char joined[H2_BLOCK_MAX];
};

struct h2;

/* Begin an idle direction. 0 or -ENOMEM. */
int h2_init(struct h2 *p, enum h2_kind kind);
void h2_done(struct h2 *p); /* accepts one that is zeroed, or whose h2_init() failed */

/* Read BUF up to the next event and store that in *RET. Returns the number of bytes consumed,
 * -EPROTO when the bytes break the protocol, -EMSGSIZE when they go over a limit, or -ENOMEM. Never
 * reads beyond LEN. After an error the parser stays broken. */
ssize_t h2_feed(struct h2 *p, const char *buf, size_t len, struct h2_head *head,
		enum h2_event *ret);

/* The other side accepts frames of that size. Only ever raises: a sender may not have heard yet. */
void h2_allow_frame_size(struct h2 *p, uint32_t size);

/* Private to h2*.c from here on, but for what is said to be public. */
struct h2 {
	nghttp2_hd_inflater *inflater;
	struct h2_known known; /* public: to be forgotten, or turned off */
	const char *reason;    /* public: why h2_feed() failed, a static phrase */
	struct h2_frame frame; /* public: of the last event; H2_HEADERS: the flags are those of
				* HEADERS, with END_HEADERS if that ended the block by itself */
	uint32_t left;	       /* public: bytes of the payload that is under way */
	uint32_t max_frame;
	uint32_t error; /* public: the code for GOAWAY */
	int16_t errnum;
	uint8_t kind, state;
};

/* Of h2_block.c, for h2.c. */
int h2_read_block(struct h2 *p, struct h2_head *head); /* unless it is known: */
int h2_inflate(struct h2 *p, struct h2_head *head);

/* When the block in HEAD comes again, do not read it: these are the facts. Returns whether they are
 * remembered: not where the block changes the table, and so would not mean the same the next time.
 */
bool h2_remember(struct h2 *p, const struct h2_head *head, const struct h2_facts *facts);

/* Does this block change the decoder's table? Told by its opcodes, since an oversized literal
 * empties the table without entering it. BLOCK has been inflated without an error. */
bool h2_block_mutates(struct span block);

/* The size updates that BLOCK begins with: returns false if there is none, else the last in *RET.
 */
bool h2_block_resizes(struct span block, uint32_t *ret);

/* Hold the decoded block to the rules for a request (RFC 9113, section 8.3) and to those that it
 * shares with HTTP/1 (see h1.h), and fill in the request. Returns 0 or -EPROTO with *REASON. */
int h2_read_request(struct h2_head *head, const char **reason);

/* The same for a request's trailers. */
int h2_read_trailers(const struct h2_head *head, const char **reason);

/* The value of :status, or 0 where it is not one. */
unsigned h2_status(const struct h2_head *head);

/* The first field of that (lower-case) name, or NULL. */
const struct header *h2_find(const struct h2_head *head, const char *name);

static inline uint32_t h2_get32(const char *at)
{
	const uint8_t *b = (const uint8_t *)at;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* One setting of a SETTINGS frame. */
static inline uint16_t h2_setting_id(const char *at)
{
	return (uint16_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]);
}

static inline uint32_t h2_setting_value(const char *at)
{
	return h2_get32(at + 2);
}

#endif
