/* SPDX-License-Identifier: Apache-2.0 */
/* Audit: every byte passes at once, and the relay reads along behind it.
 *
 * What is read is what a host keeps of a frame that is not whole; AHEAD says how much of it is gone
 * already. Nothing else is sent, neither frames of the peers once more nor any of ours, so there is
 * nothing to give back and no decoder to keep in step. Denied and malformed requests are streams
 * like others. */
#include <assert.h>
#include "h2_relay_impl.h"

void h2_go_blind(struct h2_relay *r)
{
	r->state = H2_RELAY_BLIND;
	r->head_incomplete = false;
	/* Nobody will see how they end. */
	h2_streams_done(&r->streams);
}

size_t h2_feed_audit(struct h2_relay *r, enum relay_side from, const char *buf, size_t len)
{
	size_t ahead = r->ahead[from], used;

	assert(ahead <= len);
	if (len > ahead)
		r->env->host->send(r->ctx, h2_other(from), buf + ahead, len - ahead);
	used = h2_read(r, from, buf, len);
	r->ahead[from] = (uint32_t)(len - used);
	return used;
}
