/* SPDX-License-Identifier: Apache-2.0 */
/* h2_relay.h - relays one HTTP/2 connection between a client (down) and a server (up), without I/O.
 *
 * It terminates nothing: frames pass as they came, so flow control, pings, settings, trailers and
 * resets are between client and server. Every header block is read; requests are judged before a
 * byte of them passes; a denied one is answered here, with one HEADERS frame. Like the relay of
 * HTTP/1 it holds no bytes of its peers: the host offers again what was not used.
 *
 * What has to hold, and how:
 *  - To the server a denied stream is idle, so nothing that the client sends on a stream that is
 *    not open and passed on goes anywhere. Such DATA is given back to the client as window of the
 *    connection, since the server will never do so.
 *  - Both decoders must stay in step. Once a block did not pass that changes the decoder's table,
 *    the relay writes the blocks of that direction itself: a size update to 0 first, then literals.
 *  - A block of ours that goes between those of the server begins with the size update that the
 *    client waits for, if it waits for one, and with none otherwise.
 *  - A header block that is known (h2_known.h) is not read again. Where blocks are written anew,
 *    none is known.
 *  - Frames of ours go between two frames of the peer, not before the server's first SETTINGS, and
 *    before an end of the connection is passed on.
 *
 * States: OPEN; ENDED: sluice has sent GOAWAY, the host drains the client; CLOSED: the host was
 * told to reset both sides, or has done so itself.
 *
 * In audit the relay looks on and changes nothing, as that of HTTP/1 does (h2_relay_audit.c). ENDED
 * and CLOSED do not occur; in their place there is BLIND: what passes cannot be read any more, and
 * is not. */
#ifndef SLUICE_H2_RELAY_H
#define SLUICE_H2_RELAY_H

#include "h1_relay.h"
#include "h2.h"
#include "h2_streams.h"
#include "h2_write.h"

#define H2_STREAMS_MAX	      16384 /* open at a time on a connection */
#define H2_KILLED_MAX	      1024  /* streams that sluice has reset, remembered */
#define H2_UNACKED_MAX	      64    /* SETTINGS of one side without an answer */
#define H2_NOTES_MAX	      256 /* answers that wait for their turn; requests wait behind them */
#define H2_SWALLOWED_PER_TICK 250000	   /* frames that go nowhere, in a second */
#define H2_TURN_MAX	      (256 * 1024) /* bytes of decoded fields; then others have their turn */

/* What the relay asks of whoever owns the sockets, beside what struct relay_host has. */
struct h2_relay_host {
	/* Judge a whole request and remember in X what its record needs. What is to be passed on in
	 * its place is stored in the fields of HEAD, which is then said to be edited. */
	enum judged (*judge)(void *ctx, struct h2_head *head, uint32_t stream, struct exchange *x,
			     bool *again);
	/* A request passes unread, since the same was judged before and *AGAIN was set then: until
	 * the policy changes its verdict is the same, it shares the copy in X, and nothing else is
	 * to be made of it. */
	void (*passed_again)(void *ctx, uint32_t stream);
	/* The policy has changed: may this stream go on? */
	bool (*still_allowed)(void *ctx, struct h2_stream *s);
	/* The head of the final response has come. */
	void (*answered)(void *ctx, const struct h2_stream *s);
	/* The stream is over; RESET is the code with which it was reset, or 0. */
	void (*over)(void *ctx, const struct h2_stream *s, uint32_t reset);
	/* A request was answered STATUS without being judged; 0: it was reset. WHY is a static
	 * phrase. */
	void (*refused)(void *ctx, unsigned status, const char *why);
	/* The connection ends, because of what one of its sides has sent. In audit it would, and
	 * goes on unread. */
	void (*broken)(void *ctx, enum close_reason close, const char *why);
};

/* What all relays of one worker share. */
struct h2_relay_env {
	const struct relay_host *host; /* send, congested, finish, end, close, audited */
	const struct h2_relay_host *h2;
	struct kept *kept; /* bounds the copies of requests that judge() makes */
	bool audit;
	struct h2_head head;		   /* scratch */
	char out[2 * H2_WRITTEN_MAX + 32]; /* blocks that are written anew */
};

enum h2_relay_state { H2_RELAY_OPEN, H2_RELAY_BLIND, H2_RELAY_ENDED, H2_RELAY_CLOSED };

enum h2_note_kind { H2_NOTE_RST, H2_NOTE_ANSWER, H2_NOTE_DENIED_CALL };

/* A frame of ours that waits for its turn. What it begins with depends on when it is sent, so it is
 * not written before. */
struct h2_note {
	uint32_t stream, code; /* of RST_STREAM, or the status of an answer */
	uint8_t kind;
	bool reset; /* RST_STREAM(NO_ERROR) follows the answer */
};

/* What belongs to one side. */
struct h2_end {
	struct h2 in;	/* what it sends */
	bool passing;	/* the payload that is under way passes */
	bool rewriting; /* its header blocks are written anew */
	bool resized;	/* with the size update that the first of them begins with */
	bool greeted;	/* its first SETTINGS have passed */
	bool finished;	/* nothing more can be sent to it */
	uint8_t n_unacked;
	uint32_t unacked[H2_UNACKED_MAX]; /* the smallest table in each of its SETTINGS */
	struct h2_note *notes;		  /* for it */
	size_t n_notes, notes_room;
	uint32_t credit; /* window of the connection to be given back to it */
};

struct h2_relay {
	struct h2_end ends[2]; /* by enum relay_side */
	struct h2_relay_env *env;
	void *ctx;
	struct h2_streams streams;
	struct h2_stream *killed_first, *killed_last;
	unsigned n_killed;
	uint32_t highest_seen, highest_passed; /* streams of requests */
	uint32_t table, table_min; /* what the client's decoder has, and what it waits for */
	uint32_t swallowed;	   /* in this tick */
	uint32_t decoded;	   /* bytes of fields, in this turn */
	uint32_t events;	   /* of the client, read so far */
	uint32_t ahead[2];	   /* audit: bytes of each side that have passed and are not read */
	uint8_t state;		   /* enum h2_relay_state */
	bool extended_connect;	   /* the server has enabled it */
	bool binary;		   /* audit: it takes metadata with arbitrary bytes in it */
	bool paused;		   /* until h2_relay_resume() nothing is used */
	bool blocked;		   /* the client's bytes wait for room, not for more bytes */
	bool head_incomplete;	   /* a frame of the client has begun and is not whole */
};

/* 0 or -ENOMEM. */
int h2_relay_init(struct h2_relay *r, struct h2_relay_env *env, void *ctx);
void h2_relay_done(struct h2_relay *r);

/* The same contract as h1_relay_feed(). */
size_t h2_relay_feed(struct h2_relay *r, enum relay_side from, const char *buf, size_t len);
/* A side ended its half; everything before was offered, and what was not used will never be. */
void h2_relay_eof(struct h2_relay *r, enum relay_side from);
/* What waits may go now: call it when sockets have room again. */
void h2_relay_step(struct h2_relay *r);
/* While PAUSED is true: others have had their turn. A few bytes can stand for many fields. */
void h2_relay_resume(struct h2_relay *r);
/* A second has passed. */
void h2_relay_tick(struct h2_relay *r);
/* The frame that has begun did not become whole in time. */
void h2_relay_head_timeout(struct h2_relay *r);
/* The policy has changed: reset the streams that it does not allow any more. */
void h2_relay_rejudge(struct h2_relay *r);

bool h2_relay_wants(const struct h2_relay *r, enum relay_side from, size_t unused);

#endif
