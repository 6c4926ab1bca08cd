/* SPDX-License-Identifier: Apache-2.0 */
/* hold.c - a connection meets a policy that is newer than it: may its destination still be talked
 * to, and would what is in flight still be allowed? */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "conn.h"
#include "worker.h"

/* Judge a request again, by the newest policy. */
static struct verdict judge_again(struct conn *c, const struct kept_request *k)
{
	struct worker *w = c->worker;
	struct verdict denied = { .action = VERDICT_DENY };
	struct request req = k->req;
	ssize_t n = path_readings(req.path, &w->paths);

	if (n < 0)
		return denied;
	req.readings = w->paths.readings;
	req.n_readings = (size_t)n;
	return conn_verdict(c, &req);
}

/* Returns false if the connection has to end. */
static bool hold_request(void *ctx, const struct kept_request *k)
{
	struct conn *c = ctx;
	struct verdict v = { .action = VERDICT_DENY };
	bool audit = c->worker->relay_env.audit;

	if (!c->rules)
		return true;
	if (!k && audit)
		return true; /* it was denied before */
	if (k)
		v = judge_again(c, k);
	if (v.action == VERDICT_ALLOW)
		return true;
	report_revoked(&c->workload->reporter, &c->flow, k, &v);
	return audit;
}

static bool end(struct conn *c, enum close_reason why)
{
	atomic_fetch_add_explicit(&c->worker->ended, 1, memory_order_relaxed);
	conn_close(c, why);
	return false;
}

/* Has the workload closed its socket, whether or not all it sent was read? */
static bool has_ended(const struct conn *c)
{
	const struct side *own = c->flow.ingress ? &c->up : &c->down;
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (own->eof)
		return true;
	if (own->fd < 0 || getsockopt(own->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return false;
	return info.tcpi_state == TCP_CLOSE_WAIT || info.tcpi_state == TCP_LAST_ACK ||
	       info.tcpi_state == TCP_CLOSING;
}

/* It goes on under the policy that it has met. Returns false when it is closed. */
static bool leave_behind(struct conn *c)
{
	if (!has_ended(c))
		return end(c, CLOSE_NO_WORKLOAD);
	c->policy_generation = c->workload->policy_generation;
	c->left_behind = true;
	return true;
}

void conn_leave_behind(struct conn *c)
{
	if (c->left_behind)
		return;
	if (c->state >= CONN_DRAIN)
		conn_cast_off(c);
	else if (leave_behind(c))
		conn_step(c);
}

void conn_cast_off(struct conn *c)
{
	if (c->state != CONN_CLOSING)
		end(c, CLOSE_NO_WORKLOAD);
}

bool conn_hold(struct conn *c)
{
	if (c->policy_generation == c->workload->policy_generation || c->state >= CONN_DRAIN)
		return c->state != CONN_CLOSING;
	if (c->workload->gone)
		return leave_behind(c);
	if (!conn_refresh_rules(c)) /* in audit its next request says so */
		return c->worker->relay_env.audit || end(c, CLOSE_NOT_ALLOWED);
	if (!h1_relay_in_flight(&c->relay, hold_request, c))
		return end(c, CLOSE_REVOKED);
	conn_h2_hold(c);
	return c->state != CONN_CLOSING;
}

bool conn_h2_still_allowed(void *ctx, struct h2_stream *s)
{
	struct conn *c = ctx;

	if (c->state == CONN_CLOSING)
		return true;	    /* it ends anyway */
	if (!conn_refresh_rules(c)) /* in audit its next request says so */
		return c->worker->relay_env.audit;
	if (s->x.kept)
		s->x.kept->stream = s->id; /* it may be shared */
	return hold_request(c, s->x.kept);
}
