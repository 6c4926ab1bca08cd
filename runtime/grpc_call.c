/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "grpc_private.h"
#include "sluice/hex.h"
#include "sluice/span.h"

#define CODE_MAX 1000 /* of statuses there are 17 */

void grpc_slot_fail(struct grpc_slot *s, int error)
{
	if (s->over)
		return;
	s->over = true;
	s->result.error = error;
}

/* ---- fields ---- */

/* What is not printable, or was escaped badly, becomes a question mark. */
static void read_text(struct grpc_slot *s, struct span text)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len && len < sizeof(s->result.text) - 1; i++) {
		int c = (unsigned char)text.ptr[i];

		if (c == '%' && text.len - i > 2) {
			int high = hex_value(text.ptr[i + 1]), low = hex_value(text.ptr[i + 2]);

			c = high < 0 || low < 0 ? '?' : high << 4 | low;
			i += 2;
		}
		s->result.text[len++] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
	}
	s->result.text[len] = '\0';
}

static void read_status(struct grpc_slot *s, struct span text)
{
	uint32_t n = 0;

	if (text.len == 0 || s->has_status) {
		grpc_slot_fail(s, -EPROTO);
		return;
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9' || n > CODE_MAX) {
			grpc_slot_fail(s, -EPROTO);
			return;
		}
		n = n * 10 + (uint32_t)(text.ptr[i] - '0');
	}
	s->has_status = true;
	s->result.status = n;
}

static bool is_grpc(struct span type)
{
	struct span wanted = SPAN_LITERAL("application/grpc");

	return type.len >= wanted.len && memcmp(type.ptr, wanted.ptr, wanted.len) == 0 &&
	       (type.len == wanted.len || type.ptr[wanted.len] == '+' ||
		type.ptr[wanted.len] == ';');
}

void grpc_slot_field(struct grpc_slot *s, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t len)
{
	struct span key = { (const char *)name, name_len }, text = { (const char *)value, len };

	if (s->over)
		return;
	if (span_eq(key, SPAN_LITERAL(":status")))
		s->status_ok = span_eq(text, SPAN_LITERAL("200"));
	else if (span_eq(key, SPAN_LITERAL("content-type")))
		s->typed = is_grpc(text);
	else if (span_eq(key, SPAN_LITERAL("grpc-encoding")) &&
		 !span_eq(text, SPAN_LITERAL("identity")))
		grpc_slot_fail(s, -EPROTO);
	else if (span_eq(key, SPAN_LITERAL("grpc-status")))
		read_status(s, text);
	else if (span_eq(key, SPAN_LITERAL("grpc-message")))
		read_text(s, text);
}

void grpc_slot_headed(struct grpc_slot *s)
{
	s->headed = true;
	if (!s->status_ok || !s->typed)
		grpc_slot_fail(s, -EPROTO);
}

/* ---- messages ---- */

static void drop_message(struct grpc_client *c, struct grpc_slot *s)
{
	free(s->message);
	c->buffered -= s->room;
	s->message = NULL;
	s->len = s->total = s->room = s->prefix_len = 0;
}

/* As much as has come, not as much as was announced. */
static int make_room(struct grpc_client *c, struct grpc_slot *s, size_t more)
{
	size_t room = s->room ? s->room : 1024;
	uint8_t *message;

	while (room < s->len + more)
		room *= 2;
	if (room > s->total)
		room = s->total;
	if (room <= s->room)
		return 0;
	if (room - s->room > GRPC_BUFFERED_MAX - c->buffered)
		return -EMSGSIZE;
	message = realloc(s->message, room);
	if (!message)
		return -ENOMEM;
	c->buffered += room - s->room;
	s->message = message;
	s->room = room;
	return 0;
}

static void begin_message(struct grpc_slot *s)
{
	uint32_t n = 0;

	for (size_t i = 1; i < GRPC_PREFIX; i++)
		n = n << 8 | s->prefix[i];
	if (s->prefix[0] != 0 || s->whole)
		grpc_slot_fail(s, -EPROTO); /* compressed, or the second of a unary call */
	else if (n > GRPC_MESSAGE_MAX)
		grpc_slot_fail(s, -EMSGSIZE);
	s->total = n;
}

static void end_message(struct grpc_client *c, struct grpc_slot *s)
{
	static const uint8_t nothing[1];

	if (!s->on_message) {
		s->whole = true;
		s->prefix_len = 0;
		return;
	}
	s->on_message(s->ctx, s->message ? s->message : nothing, s->len);
	drop_message(c, s);
}

/* Some of DATA belongs to the prefix, some to the message. Returns how much. */
static size_t take(struct grpc_client *c, struct grpc_slot *s, const uint8_t *data, size_t len)
{
	size_t n;
	int r;

	if (s->prefix_len < GRPC_PREFIX) {
		n = GRPC_PREFIX - s->prefix_len < len ? GRPC_PREFIX - s->prefix_len : len;
		memcpy(s->prefix + s->prefix_len, data, n);
		s->prefix_len += n;
		if (s->prefix_len == GRPC_PREFIX)
			begin_message(s);
		return n;
	}
	n = s->total - s->len < len ? s->total - s->len : len;
	r = make_room(c, s, n);
	if (r < 0) {
		grpc_slot_fail(s, r);
		return len;
	}
	memcpy(s->message + s->len, data, n);
	s->len += n;
	return n;
}

void grpc_slot_data(struct grpc_client *c, struct grpc_slot *s, const uint8_t *data, size_t len)
{
	while (len > 0 && !s->over) {
		size_t n = take(c, s, data, len);

		data += n;
		len -= n;
		if (!s->over && s->prefix_len == GRPC_PREFIX && s->len == s->total)
			end_message(c, s);
	}
}

void grpc_slot_finish(struct grpc_slot *s)
{
	bool failed = s->result.status != 0;
	bool lacking = !s->on_message && !s->whole && !failed;

	if (s->over)
		return;
	if (!s->headed || !s->has_status || s->prefix_len > 0 || lacking) {
		grpc_slot_fail(s, -EPROTO);
	} else if (failed) {
		grpc_slot_fail(s, -EREMOTEIO);
	} else {
		s->result.message = s->message;
		s->result.len = s->len;
		grpc_slot_fail(s, 0);
	}
}

void grpc_slot_free(struct grpc_client *c, struct grpc_slot *s)
{
	drop_message(c, s);
	free(s->request);
	memset(s, 0, sizeof(*s));
}
