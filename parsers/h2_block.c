/* SPDX-License-Identifier: Apache-2.0 */
/* One header block: decoded by nghttp2, and looked at for what it does to the decoder's table. */
#include <errno.h>
#include <string.h>
#include "h2.h"

static int fail(struct h2 *p, uint32_t error, const char *why)
{
	p->reason = why;
	p->error = error;
	return error == NGHTTP2_ENHANCE_YOUR_CALM ? -EMSGSIZE : -EPROTO;
}

static struct span keep(struct h2_head *head, const uint8_t *bytes, size_t len)
{
	struct span s = { head->text + head->text_len, len };

	if (len > 0)
		memcpy(head->text + head->text_len, bytes, len);
	head->text_len += len;
	return s;
}

/* What nghttp2 emits is valid until its next call only. */
static int add_field(struct h2 *p, struct h2_head *head, const nghttp2_nv *nv)
{
	struct header *h = &head->fields[head->n_fields];

	if (head->n_fields == H2_FIELDS_MAX)
		return fail(p, NGHTTP2_ENHANCE_YOUR_CALM, "too many header fields");
	if (nv->namelen > H2_LIST_MAX || nv->valuelen > H2_LIST_MAX ||
	    head->text_len + nv->namelen + nv->valuelen > H2_LIST_MAX)
		return fail(p, NGHTTP2_ENHANCE_YOUR_CALM, "header fields over the limit");
	h->name = keep(head, nv->name, nv->namelen);
	h->value = keep(head, nv->value, nv->valuelen);
	head->never[head->n_fields++] = nv->flags & NGHTTP2_NV_FLAG_NO_INDEX;
	return 0;
}

int h2_inflate(struct h2 *p, struct h2_head *head)
{
	const uint8_t *at = (const uint8_t *)head->block.ptr;
	size_t left = head->block.len;
	int flags = 0;

	head->n_fields = head->text_len = 0;
	head->edited = false;
	head->known = NULL;
	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, at, left, 1);

		if (n == NGHTTP2_ERR_NOMEM)
			return -ENOMEM;
		if (n < 0)
			return fail(p, NGHTTP2_COMPRESSION_ERROR,
				    "a header block that cannot be decoded");
		at += n;
		left -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			int r = add_field(p, head, &nv);

			if (r < 0)
				return r;
		} else if (left == 0 && !(flags & NGHTTP2_HD_INFLATE_FINAL)) {
			return fail(p, NGHTTP2_COMPRESSION_ERROR, "a truncated header block");
		}
	}
	nghttp2_hd_inflate_end_headers(p->inflater);
	return 0;
}

/* Skip an integer with a prefix of BITS (RFC 7541, section 5.1) at *AT and store it in *RET. False:
 * it is cut short or too large. */
static bool skip_integer(const uint8_t **at, const uint8_t *end, unsigned bits, uint32_t *ret)
{
	uint64_t n, mask = (1u << bits) - 1;
	unsigned shift = 0;

	if (*at == end)
		return false;
	n = *(*at)++ & mask;
	if (n < mask) {
		*ret = (uint32_t)n;
		return true;
	}
	while (*at < end && shift <= 28) {
		uint8_t byte = *(*at)++;

		n += (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		*ret = (uint32_t)n;
		return n <= UINT32_MAX;
	}
	return false;
}

static bool skip_string(const uint8_t **at, const uint8_t *end)
{
	uint32_t len;

	if (!skip_integer(at, end, 7, &len) || len > (size_t)(end - *at))
		return false;
	*at += len;
	return true;
}

/* A literal, whose index of a name has BITS. */
static bool skip_literal(const uint8_t **at, const uint8_t *end, unsigned bits)
{
	uint32_t name;

	if (!skip_integer(at, end, bits, &name))
		return false;
	return (name > 0 || skip_string(at, end)) && skip_string(at, end);
}

bool h2_block_mutates(struct span block)
{
	const uint8_t *at = (const uint8_t *)block.ptr, *end = at + block.len;
	uint32_t index;

	while (at < end) {
		bool skipped;

		if (*at & 0x80)
			skipped = skip_integer(&at, end, 7, &index);
		else if (*at & 0x60) /* an insertion, or a size update */
			return true;
		else
			skipped = skip_literal(&at, end, 4);
		if (!skipped)
			return true; /* nghttp2 read it otherwise: be careful */
	}
	return false;
}

bool h2_block_resizes(struct span block, uint32_t *ret)
{
	const uint8_t *at = (const uint8_t *)block.ptr, *end = at + block.len;
	bool found = false;

	while (at < end && (*at & 0xe0) == 0x20 && skip_integer(&at, end, 5, ret))
		found = true;
	return found;
}

int h2_read_block(struct h2 *p, struct h2_head *head)
{
	int r;

	head->known = h2_known_find(&p->known, head->block);
	if (head->known) {
		head->n_fields = head->text_len = 0;
		head->edited = false;
		return 0;
	}
	r = h2_inflate(p, head);
	if (r == 0 && p->known.set && h2_block_mutates(head->block))
		h2_known_forget(&p->known);
	return r;
}

bool h2_remember(struct h2 *p, const struct h2_head *head, const struct h2_facts *facts)
{
	return !head->known && !h2_block_mutates(head->block) &&
	       h2_known_add(&p->known, head->block, facts);
}
