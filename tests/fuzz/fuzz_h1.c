/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of a connection: the first byte chooses it, the second how it is cut.
 *
 * Invariants: what h1_trace.c requires of each event; the same events and bytes however the stream
 * is cut; and where llhttp, running over the stream by itself, accepts it too, the same ends of
 * messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "h1_trace.h"

#define MESSAGES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* The events up to an error. Which error it is may depend on the cut: a head with both too many
 * fields and a control character is refused for whichever is seen first. */
static size_t events_len(const struct h1_trace *t)
{
	const char *error = strchr(t->text, '!');

	return error ? (size_t)(error - t->text) : t->len;
}

static void check_cut(const struct h1_trace *whole, enum h1_kind kind, unsigned expect,
		      const char *buf, size_t len, unsigned char cut)
{
	static struct h1_trace pieces;
	size_t n = events_len(whole);

	if (cut & 0x80)
		h1_trace_all(&pieces, kind, expect, buf, len, 0, (cut & 0x7fu) + 1);
	else
		h1_trace_all(&pieces, kind, expect, buf, len, 1 + cut * len / 128, 0);
	require(events_len(&pieces) == n && !memcmp(pieces.text, whole->text, n),
		"the events depend on the cut");
	require(pieces.released == whole->released, "the released bytes depend on the cut");
	require(!pieces.parser.error == !whole->parser.error, "the error depends on the cut");
}

/* Where messages end, by h1_feed() over the whole stream. */
static size_t ends_of_h1(enum h1_kind kind, const char *buf, size_t len, size_t *ends)
{
	static struct h1_head head;
	enum h1_event event = H1_HEAD;
	size_t used = 0, n = 0;
	struct h1 p;

	h1_init(&p, kind);
	while (event != H1_MORE && n < MESSAGES_MAX) {
		ssize_t r = h1_feed(&p, buf + used, len - used, &head, &event);

		if (r < 0)
			break;
		used += (size_t)r;
		if (event == H1_END)
			ends[n++] = used;
	}
	return n;
}

static int on_headers(llhttp_t *l)
{
	/* llhttp itself reads a body there if one is announced. */
	return l->type == HTTP_RESPONSE &&
	       (l->status_code < 200 || l->status_code == 204 || l->status_code == 304);
}

static int on_complete(llhttp_t *l)
{
	return HPE_PAUSED;
}

/* The same by llhttp alone. */
static size_t ends_of_llhttp(enum h1_kind kind, const char *buf, size_t len, size_t *ends)
{
	static const llhttp_settings_t settings = {
		.on_headers_complete = on_headers,
		.on_message_complete = on_complete,
	};
	const char *at = buf, *end = buf + len;
	size_t n = 0;
	llhttp_t l;

	llhttp_init(&l, kind == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	llhttp_set_lenient_keep_alive(&l, 1);
	while (n < MESSAGES_MAX) {
		llhttp_errno_t r = llhttp_execute(&l, at, (size_t)(end - at));

		if (r != HPE_PAUSED && r != HPE_PAUSED_UPGRADE)
			break;
		at = llhttp_get_error_pos(&l);
		if (r == HPE_PAUSED)
			ends[n++] = (size_t)(at - buf);
		llhttp_resume(&l);
		llhttp_resume_after_upgrade(&l);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct h1_trace whole;
	size_t ours[MESSAGES_MAX], theirs[MESSAGES_MAX], n_ours, n_theirs;
	enum h1_kind kind;
	unsigned expect;
	const char *buf;

	if (size < 2)
		return 0;
	kind = data[0] & 1 ? H1_RESPONSE : H1_REQUEST;
	expect = data[0] >> 1 & 3;
	buf = (const char *)data + 2;
	size -= 2;
	h1_trace_all(&whole, kind, expect, buf, size, 0, 0);
	require(whole.released <= size, "more released than fed");
	check_cut(&whole, kind, expect, buf, size, data[1]);

	n_ours = ends_of_h1(kind, buf, size, ours);
	n_theirs = ends_of_llhttp(kind, buf, size, theirs);
	for (size_t i = 0; i < n_ours && i < n_theirs; i++)
		require(ours[i] == theirs[i], "llhttp alone ends the message elsewhere");
	return 0;
}
