/* SPDX-License-Identifier: Apache-2.0 */
/* h2_end.h - one end of an HTTP/2 connection, for the benchmark's own server and client: frames,
 * flow control and HPACK (nghttp2's), everything that one read brought answered in one write.
 * Nothing of it is sluice's, so that neither can hide the other's mistakes.
 *
 * It keeps to the protocol, but expects its peer to do so as well: header blocks in one frame, no
 * push, no more than H2_STREAMS streams. Anything else makes h2_end_read() fail, or is an error
 * that ends the program. */
#ifndef BENCH_H2_END_H
#define BENCH_H2_END_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <nghttp2/nghttp2.h>

#define H2_IN	      (64 * 1024)
#define H2_FRAME_HEAD 9
#define H2_FRAME_MAX  16384
#define H2_STREAMS    1024	  /* that the other side may have open */
#define H2_WINDOW     (1u << 20)  /* of each stream, for what is received */
#define H2_CONN_EXTRA (16u << 20) /* of the connection, beside the 65,535 that it begins with */
#define H2_BUCKETS    256
#define H2_BLOCKS     16  /* kinds of header blocks that an end sends often */
#define H2_BLOCK_MAX  256 /* bytes of one */

/* A stream; its owner embeds it at the begin of its own. */
struct h2_stream {
	struct h2_stream *next; /* of its bucket */
	uint32_t id;
	uint32_t unreturned;	    /* bytes received and not given back as window */
	int64_t granted, sent;	    /* beside the window that every stream begins with */
	uint8_t prefix[5], have;    /* of the gRPC message that is being read: its prefix */
	uint32_t left, message_len; /* and its bytes: those still to come, all of them */
};

/* A header block that is sent again and again: once two in a row were the same bytes, without
 * anything being entered into the table, so are all others. */
struct h2_block {
	size_t len;
	bool settled;
	uint8_t bytes[H2_BLOCK_MAX];
};

struct h2_end {
	int fd, epoll;
	bool client, writing, broken;
	bool greeted;	  /* the peer's SETTINGS have come */
	int64_t window;	  /* what may be sent on the connection */
	int64_t initial;  /* the same for a new stream */
	uint32_t streams; /* that may be open, as the peer wants it */
	uint32_t unreturned;
	nghttp2_hd_inflater *inflater;
	nghttp2_hd_deflater *deflater;
	struct h2_block blocks[H2_BLOCKS];
	struct h2_stream *buckets[H2_BUCKETS];
	struct h2_stream *last; /* that was found */
	char *out;
	size_t out_len, out_sent, out_room;
	uint64_t received;
	size_t in_len;
	char in[H2_IN];
};

/* What an end tells its owner. */
struct h2_owner {
	/* A field of a header block of that stream, then its end; END: of the stream, too. */
	void (*field)(struct h2_end *e, uint32_t id, const nghttp2_nv *nv);
	void (*headers)(struct h2_end *e, uint32_t id, bool end);
	void (*data)(struct h2_end *e, struct h2_stream *s, const char *bytes, size_t len,
		     bool end);
	/* More may be sent: on S, or where it is NULL on any stream. */
	void (*room)(struct h2_end *e, struct h2_stream *s);
	void (*reset)(struct h2_end *e, struct h2_stream *s);
};

/* Take over FD, which EPOLL is to watch for reading, and say hello. */
void h2_end_init(struct h2_end *e, int fd, int epoll, bool client);
void h2_end_done(struct h2_end *e); /* closes FD; the streams are the owner's */

/* What epoll reported. False: the connection is over. */
bool h2_end_event(struct h2_end *e, const struct h2_owner *owner);
/* Send what was put, as far as it goes. */
bool h2_end_flush(struct h2_end *e);

void h2_end_add(struct h2_end *e, struct h2_stream *s); /* S->id is set, the rest zeroed */
void h2_end_remove(struct h2_end *e, struct h2_stream *s);
struct h2_stream *h2_end_find(struct h2_end *e, uint32_t id); /* or NULL */

/* A header block; KIND below H2_BLOCKS says that the fields are the same each time. */
void h2_end_headers(struct h2_end *e, uint32_t id, unsigned kind, const nghttp2_nv *fields,
		    size_t n, bool end);
/* May so many bytes be sent on S? */
bool h2_end_may_send(const struct h2_end *e, const struct h2_stream *s, size_t len);
/* One DATA frame of LEN bytes, which the owner fills in. */
char *h2_end_data(struct h2_end *e, struct h2_stream *s, size_t len, bool end);
void h2_end_reset(struct h2_end *e, uint32_t id);

static inline uint32_t h2_get32(const char *at)
{
	const uint8_t *b = (const uint8_t *)at;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline void h2_put32(char *at, uint32_t n)
{
	at[0] = (char)(n >> 24);
	at[1] = (char)(n >> 16);
	at[2] = (char)(n >> 8);
	at[3] = (char)n;
}

#define H2_FIELD(name_, value_)                                                                \
	((nghttp2_nv){ (uint8_t *)(name_), (uint8_t *)(value_), strlen(name_), strlen(value_), \
		       NGHTTP2_NV_FLAG_NONE })

/* Is this field called NAME? */
bool h2_field_is(const nghttp2_nv *nv, const char *name);
bool h2_value_begins(const nghttp2_nv *nv, const char *text);

#endif
