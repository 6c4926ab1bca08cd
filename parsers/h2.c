/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of one direction. What is in a header block: h2_block.c and h2_request.c. */
#include "h2.h"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "sluice/array.h"

enum state { WANT_PREFACE, WANT_SETTINGS, FRAMES, BROKEN };

enum on_stream { ANY_STREAM, NO_STREAM, A_STREAM };

/* What is known of a frame by its header. */
static const struct rule {
	bool known;
	bool whole; /* given to the caller in one piece */
	uint8_t stream;
	uint32_t min, max;
	const char *length_reason;
} rules[] = {
	[NGHTTP2_DATA] = { true, false, A_STREAM, 0, H2_FRAME_SIZE_MAX, "" },
	[NGHTTP2_HEADERS] = { true, false, A_STREAM, 0, H2_FRAME_SIZE_MAX, "" },
	[NGHTTP2_PRIORITY] = { true, true, A_STREAM, 5, 5, "a PRIORITY of another length than 5" },
	[NGHTTP2_RST_STREAM] = { true, true, A_STREAM, 4, 4,
				 "an RST_STREAM of another length than 4" },
	[NGHTTP2_SETTINGS] = { true, true, NO_STREAM, 0, H2_FRAME_SIZE_MAX, "" },
	[NGHTTP2_PUSH_PROMISE] = { true, false, A_STREAM, 0, H2_FRAME_SIZE_MAX, "" },
	[NGHTTP2_PING] = { true, true, NO_STREAM, 8, 8, "a PING of another length than 8" },
	[NGHTTP2_GOAWAY] = { true, false, NO_STREAM, 8, H2_FRAME_SIZE_MAX,
			     "a GOAWAY that is too short" },
	[NGHTTP2_WINDOW_UPDATE] = { true, true, ANY_STREAM, 4, 4,
				    "a WINDOW_UPDATE of another length than 4" },
	[NGHTTP2_CONTINUATION] = { true, false, A_STREAM, 0, H2_FRAME_SIZE_MAX, "" },
};

int h2_init(struct h2 *p, enum h2_kind kind)
{
	*p = (struct h2){ .kind = (uint8_t)kind,
			  .state = kind == H2_CLIENT ? WANT_PREFACE : WANT_SETTINGS,
			  .max_frame = H2_FRAME_SIZE_MIN };
	if (nghttp2_hd_inflate_new(&p->inflater) != 0) {
		p->inflater = NULL;
		return -ENOMEM;
	}
	/* Follow whatever the sender does, see above; it still begins with 4096 bytes. */
	if (nghttp2_hd_inflate_change_table_size(p->inflater, H2_TABLE_MAX) != 0) {
		h2_done(p);
		return -ENOMEM;
	}
	return 0;
}

void h2_done(struct h2 *p)
{
	if (p->inflater)
		nghttp2_hd_inflate_del(p->inflater);
	p->inflater = NULL;
	h2_known_forget(&p->known);
}

void h2_allow_frame_size(struct h2 *p, uint32_t size)
{
	if (size > H2_FRAME_SIZE_MAX)
		size = H2_FRAME_SIZE_MAX;
	if (size > p->max_frame)
		p->max_frame = size;
}

static int fail(struct h2 *p, uint32_t error, const char *why)
{
	p->reason = why;
	p->error = error;
	p->errnum = error == NGHTTP2_ENHANCE_YOUR_CALM ? -EMSGSIZE : -EPROTO;
	p->state = BROKEN;
	return p->errnum;
}

static void read_frame_header(const char *buf, struct h2_frame *f)
{
	*f = (struct h2_frame){
		.length = h2_get32(buf) >> 8,
		.type = (uint8_t)buf[3],
		.flags = (uint8_t)buf[4],
		.stream = h2_get32(buf + 5) & 0x7fffffff,
	};
}

static const struct rule *rule_of(const struct h2_frame *f)
{
	return f->type < ARRAY_SIZE(rules) && rules[f->type].known ? &rules[f->type] : NULL;
}

static int check_settings(struct h2 *p, const struct h2_frame *f)
{
	if (f->flags & NGHTTP2_FLAG_ACK) {
		if (f->length > 0)
			return fail(p, NGHTTP2_FRAME_SIZE_ERROR,
				    "an acknowledgement with settings");
	} else if (f->length % H2_SETTING_LEN) {
		return fail(p, NGHTTP2_FRAME_SIZE_ERROR, "a part of a setting");
	} else if (f->length > H2_SETTINGS_MAX * H2_SETTING_LEN) {
		return fail(p, NGHTTP2_ENHANCE_YOUR_CALM, "too many settings");
	}
	return 0;
}

/* What a frame's header alone shows. */
static int check_header(struct h2 *p, const struct h2_frame *f, const char *buf)
{
	const struct rule *rule = rule_of(f);

	if (p->kind == H2_CLIENT && ((uint8_t)buf[5] & 0x80))
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "a reserved bit is set");
	if (f->length > p->max_frame)
		return fail(p, NGHTTP2_FRAME_SIZE_ERROR, "a frame that is too long");
	if (p->state == WANT_SETTINGS &&
	    (f->type != NGHTTP2_SETTINGS || (f->flags & NGHTTP2_FLAG_ACK)))
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "the first frame is not SETTINGS");
	if (!rule)
		return 0;
	if (rule->stream == NO_STREAM && f->stream)
		return fail(p, NGHTTP2_PROTOCOL_ERROR,
			    "a frame of the connection that names a stream");
	if (rule->stream == A_STREAM && !f->stream)
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "a frame that names no stream");
	if (f->length < rule->min || f->length > rule->max)
		return fail(p, NGHTTP2_FRAME_SIZE_ERROR, rule->length_reason);
	switch (f->type) {
	case NGHTTP2_SETTINGS:
		return check_settings(p, f);
	case NGHTTP2_PUSH_PROMISE:
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "a PUSH_PROMISE");
	case NGHTTP2_CONTINUATION:
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "a CONTINUATION of nothing");
	default:
		return 0;
	}
}

/* DATA: how many of its bytes count. Returns 0 when the pad length has not come yet. */
static int read_data(struct h2 *p, const char *buf, size_t len)
{
	uint32_t pad;

	p->frame.data = p->frame.length;
	if (!(p->frame.flags & NGHTTP2_FLAG_PADDED))
		return 1;
	if (p->frame.length == 0)
		return fail(p, NGHTTP2_FRAME_SIZE_ERROR, "padding in an empty frame");
	if (len <= H2_FRAME_HEADER_LEN)
		return 0;
	pad = (uint8_t)buf[H2_FRAME_HEADER_LEN];
	if (pad >= p->frame.length)
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "more padding than frame");
	p->frame.data = p->frame.length - 1 - pad;
	return 1;
}

/* The HPACK bytes of the HEADERS frame whose PAYLOAD this is, and its priority. */
static int read_headers_payload(struct h2 *p, const char *payload, struct h2_head *head)
{
	size_t len = p->frame.length, pad = 0;

	if (p->frame.flags & NGHTTP2_FLAG_PADDED) {
		if (len == 0)
			return fail(p, NGHTTP2_FRAME_SIZE_ERROR, "padding in an empty frame");
		pad = (uint8_t)*payload++;
		len--;
	}
	head->has_priority = p->frame.flags & NGHTTP2_FLAG_PRIORITY;
	if (head->has_priority) {
		if (len < sizeof(head->priority))
			return fail(p, NGHTTP2_FRAME_SIZE_ERROR, "a part of a priority");
		memcpy(head->priority, payload, sizeof(head->priority));
		payload += sizeof(head->priority);
		len -= sizeof(head->priority);
	}
	if (pad > len)
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "more padding than frame");
	head->block = (struct span){ payload, len - pad };
	return 0;
}

/* Append a CONTINUATION's payload to the block, which is contiguous from then on. */
static void join(struct h2_head *head, const char *payload, size_t len)
{
	if (head->block.ptr != head->joined) {
		memcpy(head->joined, head->block.ptr, head->block.len);
		head->block.ptr = head->joined;
	}
	assert(len <= sizeof(head->joined) - head->block.len);
	memcpy(head->joined + head->block.len, payload, len);
	head->block.len += len;
}

/* The CONTINUATION frames behind a HEADERS frame that ends at AT. Returns where they end, 0 when
 * they are not complete, or an error. */
static ssize_t read_continuations(struct h2 *p, const char *buf, size_t len, size_t at,
				  struct h2_head *head)
{
	struct h2_frame f = { 0 };

	for (unsigned n = 1; !(f.flags & NGHTTP2_FLAG_END_HEADERS); n++) {
		if (n > H2_CONTINUATIONS_MAX)
			return fail(p, NGHTTP2_ENHANCE_YOUR_CALM, "too many CONTINUATION frames");
		if (len - at < H2_FRAME_HEADER_LEN)
			return 0;
		read_frame_header(buf + at, &f);
		if (f.type != NGHTTP2_CONTINUATION || f.stream != p->frame.stream ||
		    (p->kind == H2_CLIENT && ((uint8_t)buf[at + 5] & 0x80)))
			return fail(p, NGHTTP2_PROTOCOL_ERROR,
				    "another frame inside a header block");
		if (f.length > p->max_frame)
			return fail(p, NGHTTP2_FRAME_SIZE_ERROR, "a frame that is too long");
		at += H2_FRAME_HEADER_LEN;
		if (at + f.length > H2_BLOCK_MAX)
			return fail(p, NGHTTP2_ENHANCE_YOUR_CALM, "a header block over the limit");
		if (len - at < f.length)
			return 0;
		join(head, buf + at, f.length);
		at += f.length;
	}
	return (ssize_t)at;
}

static ssize_t read_block(struct h2 *p, const char *buf, size_t len, struct h2_head *head)
{
	size_t end = H2_FRAME_HEADER_LEN + (size_t)p->frame.length;
	ssize_t n = (ssize_t)end;
	int r;

	if (p->kind == H2_CLIENT && p->frame.stream % 2 == 0)
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "a request on an even stream");
	if (end > H2_BLOCK_MAX)
		return fail(p, NGHTTP2_ENHANCE_YOUR_CALM, "a header block over the limit");
	if (len < end)
		return 0;
	r = read_headers_payload(p, buf + H2_FRAME_HEADER_LEN, head);
	if (r < 0)
		return r;
	if (!(p->frame.flags & NGHTTP2_FLAG_END_HEADERS)) {
		n = read_continuations(p, buf, len, end, head);
		if (n <= 0)
			return n;
	}
	r = h2_read_block(p, head);
	if (r == -ENOMEM) {
		p->state = BROKEN;
		p->errnum = -ENOMEM;
		p->error = NGHTTP2_INTERNAL_ERROR;
		p->reason = "out of memory";
		return -ENOMEM;
	}
	return r < 0 ? fail(p, p->error, p->reason) : n;
}

static ssize_t read_frame(struct h2 *p, const char *buf, size_t len, struct h2_head *head,
			  enum h2_event *ret)
{
	const struct rule *rule;
	ssize_t n;
	int r;

	if (len < H2_FRAME_HEADER_LEN)
		return 0;
	read_frame_header(buf, &p->frame);
	r = check_header(p, &p->frame, buf);
	if (r < 0)
		return r;
	rule = rule_of(&p->frame);
	if (p->frame.type == NGHTTP2_HEADERS) {
		n = read_block(p, buf, len, head);
		if (n > 0)
			*ret = H2_HEADERS;
		return n;
	}
	if (rule && rule->whole) {
		if (len - H2_FRAME_HEADER_LEN < p->frame.length)
			return 0;
		p->state = FRAMES;
		*ret = H2_FRAME;
		return H2_FRAME_HEADER_LEN + (ssize_t)p->frame.length;
	}
	if (p->frame.type == NGHTTP2_DATA) {
		r = read_data(p, buf, len);
		if (r <= 0)
			return r;
	}
	p->left = p->frame.length;
	*ret = H2_BEGIN;
	return H2_FRAME_HEADER_LEN;
}

static ssize_t read_preface(struct h2 *p, const char *buf, size_t len, enum h2_event *ret)
{
	size_t n = len < H2_PREFACE_LEN ? len : H2_PREFACE_LEN;
	int r;

	if (n > 0 && memcmp(buf, H2_PREFACE, n) != 0)
		return fail(p, NGHTTP2_PROTOCOL_ERROR, "not the preface of HTTP/2");
	if (len < H2_PREFACE_LEN + H2_FRAME_HEADER_LEN)
		return 0;
	/* What follows shows that it is not some other protocol's words. */
	p->state = WANT_SETTINGS;
	read_frame_header(buf + H2_PREFACE_LEN, &p->frame);
	r = check_header(p, &p->frame, buf + H2_PREFACE_LEN);
	if (r < 0)
		return r;
	*ret = H2_HELLO;
	return H2_PREFACE_LEN;
}

ssize_t h2_feed(struct h2 *p, const char *buf, size_t len, struct h2_head *head, enum h2_event *ret)
{
	*ret = H2_MORE;
	switch ((enum state)p->state) {
	case WANT_PREFACE:
		return read_preface(p, buf, len, ret);
	case WANT_SETTINGS:
	case FRAMES:
		break;
	case BROKEN:
		return p->errnum;
	}
	if (p->left > 0) {
		size_t n = len < p->left ? len : p->left;

		if (n == 0)
			return 0;
		p->left -= (uint32_t)n;
		*ret = H2_PAYLOAD;
		return (ssize_t)n;
	}
	return read_frame(p, buf, len, head, ret);
}
