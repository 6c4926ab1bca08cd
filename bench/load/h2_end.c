// SPDX-License-Identifier: Apache-2.0
#include "h2_end.h"
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LEN (sizeof(preface) - 1)
#define OUT_FIRST   (64u * 1024)

/* --- what is sent --- */

/* Room for LEN more bytes. */
static char *put(struct h2_end *e, size_t len)
{
	char *at;

	if (e->out_room - e->out_len < len) {
		size_t room = e->out_room ? 2 * e->out_room : OUT_FIRST;

		while (room - e->out_len < len)
			room *= 2;
		e->out = realloc(e->out, room);
		if (!e->out)
			err(1, "out of memory");
		e->out_room = room;
	}
	at = e->out + e->out_len;
	e->out_len += len;
	return at;
}

static char *put_frame(struct h2_end *e, size_t len, uint8_t type, uint8_t flags, uint32_t id)
{
	char *at = put(e, H2_FRAME_HEAD + len);

	h2_put32(at, (uint32_t)len << 8 | type);
	at[4] = (char)flags;
	h2_put32(at + 5, id);
	return at + H2_FRAME_HEAD;
}

static void put_window(struct h2_end *e, uint32_t id, uint32_t size)
{
	h2_put32(put_frame(e, 4, NGHTTP2_WINDOW_UPDATE, 0, id), size);
}

static void put_setting(char *at, uint16_t id, uint32_t value)
{
	at[0] = (char)(id >> 8);
	at[1] = (char)id;
	h2_put32(at + 2, value);
}

void h2_end_reset(struct h2_end *e, uint32_t id)
{
	h2_put32(put_frame(e, 4, NGHTTP2_RST_STREAM, 0, id), NGHTTP2_CANCEL);
}

static void say_hello(struct h2_end *e)
{
	char *at;

	if (e->client)
		memcpy(put(e, PREFACE_LEN), preface, PREFACE_LEN);
	at = put_frame(e, 12, NGHTTP2_SETTINGS, 0, 0);
	put_setting(at, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW);
	if (e->client)
		put_setting(at + 6, NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
	else
		put_setting(at + 6, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS);
	put_window(e, 0, H2_CONN_EXTRA);
}

static size_t deflate(struct h2_end *e, const nghttp2_nv *fields, size_t n, uint8_t *out)
{
	ssize_t len = nghttp2_hd_deflate_hd(e->deflater, out, H2_BLOCK_MAX, fields, n);

	if (len < 0)
		errx(1, "a header block: %s", nghttp2_strerror((int)len));
	return (size_t)len;
}

/* The table has changed: what stood for a block may stand for another now. */
static void unsettle(struct h2_end *e)
{
	for (unsigned i = 0; i < H2_BLOCKS; i++)
		e->blocks[i] = (struct h2_block){ 0 };
}

/* Deflate; what stands for other blocks is no longer good if that entered something. */
static size_t deflate_anew(struct h2_end *e, const nghttp2_nv *fields, size_t n, uint8_t *out,
			   bool *grew)
{
	size_t entries = nghttp2_hd_deflate_get_num_table_entries(e->deflater);
	size_t len = deflate(e, fields, n, out);

	*grew = nghttp2_hd_deflate_get_num_table_entries(e->deflater) != entries;
	if (*grew)
		unsettle(e);
	return len;
}

/* Returns the bytes of a block of that kind. */
static const struct h2_block *block_of(struct h2_end *e, unsigned kind, const nghttp2_nv *fields,
				       size_t n)
{
	struct h2_block *b = &e->blocks[kind];
	uint8_t bytes[H2_BLOCK_MAX];
	size_t len, table;
	bool grew;

	if (b->settled)
		return b;
	len = deflate_anew(e, fields, n, bytes, &grew);
	/* In a small table entries could come and go without any change in number. */
	table = nghttp2_hd_deflate_get_max_dynamic_table_size(e->deflater);
	b->settled = !grew && b->len == len && memcmp(b->bytes, bytes, len) == 0 &&
		     (table == 0 || table >= NGHTTP2_DEFAULT_HEADER_TABLE_SIZE);
	b->len = len;
	memcpy(b->bytes, bytes, len);
	return b;
}

void h2_end_headers(struct h2_end *e, uint32_t id, unsigned kind, const nghttp2_nv *fields,
		    size_t n, bool end)
{
	uint8_t flags = NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0);
	uint8_t bytes[H2_BLOCK_MAX];
	const uint8_t *from = bytes;
	size_t len;

	if (kind < H2_BLOCKS) {
		const struct h2_block *b = block_of(e, kind, fields, n);

		from = b->bytes;
		len = b->len;
	} else {
		bool grew;

		len = deflate_anew(e, fields, n, bytes, &grew);
	}
	memcpy(put_frame(e, len, NGHTTP2_HEADERS, flags, id), from, len);
}

bool h2_end_may_send(const struct h2_end *e, const struct h2_stream *s, size_t len)
{
	int64_t room = e->initial + s->granted - s->sent;

	return (int64_t)len <= room && (int64_t)len <= e->window;
}

char *h2_end_data(struct h2_end *e, struct h2_stream *s, size_t len, bool end)
{
	s->sent += (int64_t)len;
	e->window -= (int64_t)len;
	return put_frame(e, len, NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, s->id);
}

static void watch(struct h2_end *e, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = e };

	if (epoll_ctl(e->epoll, EPOLL_CTL_MOD, e->fd, &event) < 0)
		err(1, "epoll_ctl");
}

bool h2_end_flush(struct h2_end *e)
{
	while (e->out_sent < e->out_len) {
		ssize_t n = send(e->fd, e->out + e->out_sent, e->out_len - e->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			/* Nothing more is read meanwhile: what it would cause had to wait. */
			if (!e->writing)
				watch(e, EPOLLOUT);
			e->writing = true;
			return true;
		}
		if (n < 0)
			return false;
		e->out_sent += (size_t)n;
	}
	e->out_len = e->out_sent = 0;
	if (e->writing)
		watch(e, EPOLLIN);
	e->writing = false;
	return true;
}

/* --- streams --- */

static struct h2_stream **bucket_of(struct h2_end *e, uint32_t id)
{
	return &e->buckets[(id >> 1) % H2_BUCKETS];
}

void h2_end_add(struct h2_end *e, struct h2_stream *s)
{
	struct h2_stream **bucket = bucket_of(e, s->id);

	s->next = *bucket;
	*bucket = s;
}

void h2_end_remove(struct h2_end *e, struct h2_stream *s)
{
	struct h2_stream **at = bucket_of(e, s->id);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	if (e->last == s)
		e->last = NULL;
}

struct h2_stream *h2_end_find(struct h2_end *e, uint32_t id)
{
	struct h2_stream *s = e->last;

	if (s && s->id == id)
		return s;
	for (s = *bucket_of(e, id); s && s->id != id; s = s->next)
		;
	e->last = s;
	return s;
}

/* --- what is received --- */

struct frame {
	const char *payload;
	size_t len;
	uint32_t id;
	uint8_t type, flags;
};

static void read_settings(struct h2_end *e, const struct frame *f)
{
	if (f->flags & NGHTTP2_FLAG_ACK)
		return;
	for (size_t at = 0; at + 6 <= f->len; at += 6) {
		uint32_t value = h2_get32(f->payload + at + 2);

		switch ((uint8_t)f->payload[at] << 8 | (uint8_t)f->payload[at + 1]) {
		case NGHTTP2_SETTINGS_HEADER_TABLE_SIZE:
			if (nghttp2_hd_deflate_change_table_size(e->deflater, value) != 0)
				errx(1, "out of memory");
			unsettle(e);
			break;
		case NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE:
			e->initial = value;
			break;
		case NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS:
			e->streams = value;
			break;
		default:
			break;
		}
	}
	put_frame(e, 0, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0);
	e->greeted = true;
}

/* Take padding and priority away. */
static bool strip(struct frame *f)
{
	size_t pad = 0;

	if (f->flags & NGHTTP2_FLAG_PADDED) {
		if (f->len == 0)
			return false;
		pad = (uint8_t)*f->payload++;
		f->len--;
	}
	if (f->type == NGHTTP2_HEADERS && (f->flags & NGHTTP2_FLAG_PRIORITY)) {
		if (f->len < 5)
			return false;
		f->payload += 5;
		f->len -= 5;
	}
	if (pad > f->len)
		return false;
	f->len -= pad;
	return true;
}

static bool read_headers(struct h2_end *e, const struct h2_owner *owner, struct frame *f)
{
	const uint8_t *at;
	int flags = 0;

	if (!strip(f) || !(f->flags & NGHTTP2_FLAG_END_HEADERS))
		return false;
	at = (const uint8_t *)f->payload;
	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(e->inflater, &nv, &flags, at, f->len, 1);

		if (n < 0)
			return false;
		at += n;
		f->len -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			owner->field(e, f->id, &nv);
		else if (f->len == 0 && !(flags & NGHTTP2_HD_INFLATE_FINAL))
			return false;
	}
	nghttp2_hd_inflate_end_headers(e->inflater);
	owner->headers(e, f->id, f->flags & NGHTTP2_FLAG_END_STREAM);
	return true;
}

static bool read_data(struct h2_end *e, const struct h2_owner *owner, struct frame *f)
{
	struct h2_stream *s = h2_end_find(e, f->id);
	bool end = f->flags & NGHTTP2_FLAG_END_STREAM;

	e->unreturned += (uint32_t)f->len;
	if (e->unreturned > H2_CONN_EXTRA / 2) {
		put_window(e, 0, e->unreturned);
		e->unreturned = 0;
	}
	if (!s)
		return true; /* reset a moment ago */
	s->unreturned += (uint32_t)f->len;
	if (s->unreturned > H2_WINDOW / 2 && !end) {
		put_window(e, s->id, s->unreturned);
		s->unreturned = 0;
	}
	if (!strip(f))
		return false;
	owner->data(e, s, f->payload, f->len, end);
	return true;
}

static void read_window(struct h2_end *e, const struct h2_owner *owner, const struct frame *f)
{
	struct h2_stream *s = NULL;

	if (f->id) {
		s = h2_end_find(e, f->id);
		if (!s)
			return;
		s->granted += h2_get32(f->payload);
	} else {
		e->window += h2_get32(f->payload);
	}
	owner->room(e, s);
}

static bool read_frame(struct h2_end *e, const struct h2_owner *owner, struct frame *f)
{
	switch (f->type) {
	case NGHTTP2_DATA:
		return read_data(e, owner, f);
	case NGHTTP2_HEADERS:
		return read_headers(e, owner, f);
	case NGHTTP2_SETTINGS:
		read_settings(e, f);
		return true;
	case NGHTTP2_PING:
		if (f->len == 8 && !(f->flags & NGHTTP2_FLAG_ACK))
			memcpy(put_frame(e, 8, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0), f->payload, 8);
		return f->len == 8;
	case NGHTTP2_WINDOW_UPDATE:
		if (f->len == 4)
			read_window(e, owner, f);
		return f->len == 4;
	case NGHTTP2_RST_STREAM: {
		struct h2_stream *s = h2_end_find(e, f->id);

		if (s)
			owner->reset(e, s);
		return true;
	}
	case NGHTTP2_GOAWAY:
	case NGHTTP2_CONTINUATION:
	case NGHTTP2_PUSH_PROMISE:
		return false;
	default:
		return true;
	}
}

/* Everything that is whole. */
static bool read_frames(struct h2_end *e, const struct h2_owner *owner)
{
	size_t at = 0;

	if (!e->client && !e->greeted) {
		if (e->in_len < PREFACE_LEN)
			return true;
		if (memcmp(e->in, preface, PREFACE_LEN) != 0)
			return false;
		at = PREFACE_LEN;
	}
	while (e->in_len - at >= H2_FRAME_HEAD) {
		struct frame f = { .payload = e->in + at + H2_FRAME_HEAD,
				   .len = h2_get32(e->in + at) >> 8,
				   .id = h2_get32(e->in + at + 5) & 0x7fffffff,
				   .type = (uint8_t)e->in[at + 3],
				   .flags = (uint8_t)e->in[at + 4] };

		if (f.len > H2_FRAME_MAX || (!e->greeted && f.type != NGHTTP2_SETTINGS))
			return false;
		if (e->in_len - at - H2_FRAME_HEAD < f.len)
			break;
		at += H2_FRAME_HEAD + f.len;
		if (!read_frame(e, owner, &f))
			return false;
	}
	if (!e->client && !e->greeted)
		at = 0; /* the preface is still to be read */
	memmove(e->in, e->in + at, e->in_len - at);
	e->in_len -= at;
	return true;
}

bool h2_end_event(struct h2_end *e, const struct h2_owner *owner)
{
	ssize_t n;

	if (e->writing && !h2_end_flush(e))
		return false;
	if (e->writing)
		return true;
	n = recv(e->fd, e->in + e->in_len, sizeof(e->in) - e->in_len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	e->in_len += (size_t)n;
	e->received += (uint64_t)n;
	return read_frames(e, owner) && !e->broken && h2_end_flush(e);
}

void h2_end_init(struct h2_end *e, int fd, int epoll, bool client)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = e };

	*e = (struct h2_end){ .fd = fd,
			      .epoll = epoll,
			      .client = client,
			      .window = NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE,
			      .initial = NGHTTP2_INITIAL_WINDOW_SIZE,
			      .streams = H2_STREAMS };
	if (nghttp2_hd_inflate_new(&e->inflater) != 0 ||
	    nghttp2_hd_deflate_new(&e->deflater, NGHTTP2_DEFAULT_HEADER_TABLE_SIZE) != 0)
		errx(1, "out of memory");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(1, "epoll_ctl");
	say_hello(e);
}

void h2_end_done(struct h2_end *e)
{
	close(e->fd);
	nghttp2_hd_inflate_del(e->inflater);
	nghttp2_hd_deflate_del(e->deflater);
	free(e->out);
}

bool h2_field_is(const nghttp2_nv *nv, const char *name)
{
	return nv->namelen == strlen(name) && memcmp(nv->name, name, nv->namelen) == 0;
}

bool h2_value_begins(const nghttp2_nv *nv, const char *text)
{
	return nv->valuelen >= strlen(text) && memcmp(nv->value, text, strlen(text)) == 0;
}
