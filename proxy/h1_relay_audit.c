/* SPDX-License-Identifier: Apache-2.0 */
/* Audit: every byte passes at once, and the relay reads along behind it.
 *
 * Reading can fall behind what has passed: a head is not whole yet, or requests wait for answers.
 * The host keeps those bytes as it always does, and offers them again; AHEAD says how many of them
 * are gone already. So nobody waits for anything, and what is sent by relay_send(), which would be
 * the same bytes once more, or an answer or a head of ours, is not sent. */
#include "h1_relay_impl.h"

bool relay_go_blind(struct h1_relay *r)
{
	if (!r->env->audit)
		return false;
	if (r->state != H1_RELAY_BLIND)
		relay_move(r, H1_RELAY_BLIND);
	r->head_incomplete = r->blocked = false;
	return true;
}

bool relay_audited(struct h1_relay *r, enum close_reason why)
{
	if (r->env->audit && r->state != H1_RELAY_BLIND)
		r->env->host->audited(r->ctx, why);
	return relay_go_blind(r);
}

void h1_relay_lost(struct h1_relay *r)
{
	if (r->blocked)
		relay_audited(r, CLOSE_UNFOLLOWED);
}

size_t relay_feed_audit(struct h1_relay *r, enum relay_side from, const char *buf, size_t len)
{
	enum relay_side to = from == RELAY_DOWN ? RELAY_UP : RELAY_DOWN;
	size_t ahead = r->ahead[from], used;

	assert(ahead <= len);
	if (len > ahead)
		r->env->host->send(r->ctx, to, buf + ahead, len - ahead);
	used = relay_read(r, from, buf, len);
	/* Whoever reads has room for no more. Without requests that wait it is the server that
	 * speaks to a client which has said nothing. */
	if (len - used >= H1_AUDIT_AHEAD_MAX)
		relay_audited(r, relay_is_behind(r) ? CLOSE_UNFOLLOWED : CLOSE_UNSOLICITED);
	if (r->state == H1_RELAY_BLIND)
		used = len;
	r->ahead[from] = (uint32_t)(len - used);
	return used;
}
