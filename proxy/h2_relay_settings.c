/* SPDX-License-Identifier: Apache-2.0 */
/* SETTINGS pass between client and server, and so do their acknowledgements. Three things change: a
 * server may not push, no table is larger than ours, and peers of gRPC do not agree on metadata
 * with arbitrary bytes in it: they encode it then, as with any peer that does not know of this, and
 * no field needs to be let pass that another server would take for several. */
#include <errno.h>
#include <string.h>
#include "h2_relay_impl.h"

/* GRPC_ALLOW_TRUE_BINARY_METADATA */
#define H2_SETTINGS_GRPC_TRUE_BINARY 0xfe03

/* What one setting means to the relay. Returns the value that passes. */
static uint32_t read_setting(struct h2_relay *r, enum relay_side from, uint16_t id, uint32_t value)
{
	switch (id) {
	case NGHTTP2_SETTINGS_HEADER_TABLE_SIZE:
		return value < H2_TABLE_MAX ? value : H2_TABLE_MAX;
	case NGHTTP2_SETTINGS_ENABLE_PUSH:
		return from == RELAY_DOWN && value == 1 ? 0 : value;
	case NGHTTP2_SETTINGS_MAX_FRAME_SIZE:
		h2_allow_frame_size(&r->ends[h2_other(from)].in, value);
		return value;
	case NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL:
		if (from == RELAY_UP && value == 1)
			r->extended_connect = true;
		return value;
	case H2_SETTINGS_GRPC_TRUE_BINARY:
		/* In audit they do agree. */
		r->binary |= r->env->audit && from == RELAY_UP && value == 1;
		return 0;
	default:
		return value;
	}
}

static void write_setting(char *out, uint16_t id, uint32_t value)
{
	const uint8_t bytes[H2_SETTING_LEN] = { (uint8_t)(id >> 8),	(uint8_t)id,
						(uint8_t)(value >> 24), (uint8_t)(value >> 16),
						(uint8_t)(value >> 8),	(uint8_t)value };

	memcpy(out, bytes, sizeof(bytes));
}

/* The first SETTINGS of SIDE that are not acknowledged yet now are. */
static int acknowledge(struct h2_relay *r, enum relay_side side, const char **why)
{
	struct h2_end *end = &r->ends[side];
	uint32_t table;

	if (end->n_unacked == 0) {
		*why = "an acknowledgement of nothing";
		return -EPROTO;
	}
	table = end->unacked[0];
	end->n_unacked--;
	memmove(end->unacked, end->unacked + 1, end->n_unacked * sizeof(end->unacked[0]));
	if (side == RELAY_DOWN && table < r->table_min)
		r->table_min = table;
	return 0;
}

/* Copy the settings at FROM to TO as they pass. Returns the smallest table that they name. */
static uint32_t edit(struct h2_relay *r, enum relay_side from, const char *in, char *out,
		     size_t len, bool *has_push)
{
	uint32_t table = UINT32_MAX;

	for (size_t at = 0; at < len; at += H2_SETTING_LEN) {
		uint16_t id = h2_setting_id(in + at);
		uint32_t value = read_setting(r, from, id, h2_setting_value(in + at));

		if (id == NGHTTP2_SETTINGS_HEADER_TABLE_SIZE && value < table)
			table = value;
		if (id == NGHTTP2_SETTINGS_ENABLE_PUSH)
			*has_push = true;
		write_setting(out + at, id, value);
	}
	return table;
}

int h2_pass_settings(struct h2_relay *r, struct h2_run *run, const char *bytes, size_t len,
		     const char **why)
{
	char out[H2_FRAME_HEADER_LEN + (H2_SETTINGS_MAX + 1) * H2_SETTING_LEN];
	enum relay_side from = h2_other(run->to);
	struct h2_end *end = &r->ends[from];
	bool has_push = false;

	if (end->in.frame.flags & NGHTTP2_FLAG_ACK) {
		int e = acknowledge(r, run->to, why);

		if (e == 0)
			h2_run_add(r, run, bytes, len);
		return e;
	}
	if (end->n_unacked == H2_UNACKED_MAX) {
		*why = "too many SETTINGS without an acknowledgement";
		return -EMSGSIZE;
	}
	memcpy(out, bytes, H2_FRAME_HEADER_LEN);
	end->unacked[end->n_unacked++] = edit(r, from, bytes + H2_FRAME_HEADER_LEN,
					      out + H2_FRAME_HEADER_LEN, len - H2_FRAME_HEADER_LEN,
					      &has_push);
	if (from == RELAY_DOWN && !end->greeted && !has_push) {
		/* Who says nothing of it allows it. */
		write_setting(out + len, NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
		len += H2_SETTING_LEN;
		h2_write_frame_header(out, (uint32_t)(len - H2_FRAME_HEADER_LEN), NGHTTP2_SETTINGS,
				      0, 0);
	}
	end->greeted = true;
	h2_run_flush(r, run);
	run->from = out;
	run->len = len;
	h2_run_flush(r, run);
	return 0;
}
