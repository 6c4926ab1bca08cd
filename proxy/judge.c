/* SPDX-License-Identifier: Apache-2.0 */
/* judge.c - the one place where a request meets the policy. */
#include <errno.h>
#include <netinet/in.h>
#include "conn.h"
#include "h1_edit.h"
#include "worker.h"

/* Look up the rules of the connection's destination in the newest policy. Returns false if it is no
 * longer allowed at all. */
static bool refresh_rules(struct conn *c)
{
	struct worker *w = c->worker;

	if (c->policy_generation == w->policy_generation)
		return true;
	c->rules = NULL;
	switch (policy_l4(w->policy, &c->flow.destination, c->flow.local, IPPROTO_TCP, &c->rules)) {
	case L4_STEER:
		if (!c->rules)
			return false;
		break;
	case L4_ALLOW:
		c->rules = NULL;
		break;
	case L4_REFUSE:
		return false;
	}
	c->policy_generation = w->policy_generation;
	return true;
}

static struct verdict judge(struct conn *c, const struct request *req)
{
	struct worker *w = c->worker;
	struct verdict v;

	if (!c->rules)
		return (struct verdict){ .action = VERDICT_ALLOW };
	v = ruleset_judge(c->rules, req, w->judge);
	if (v.action == VERDICT_DENY)
		ruleset_explain(c->rules, req, w->judge, &v);
	return v;
}

/* The head that is passed on, where that is not the one that came. */
static bool edit(struct conn *c, const struct h1_head *head, const struct verdict *v,
		 struct span *edited)
{
	struct worker *w = c->worker;
	ssize_t n;

	if (v->action != VERDICT_ALLOW || !h1_edit_needed(v->actions, v->n_actions))
		return true;
	n = h1_edit(head, v->actions, v->n_actions, w->edited);
	if (n < 0) {
		conn_relay_host.refused(c, 431, "a head that is too large with what a rule adds");
		return false;
	}
	*edited = (struct span){ w->edited, (size_t)n };
	return true;
}

enum judged conn_judge(void *ctx, struct h1_head *head, struct exchange *x, struct span *edited)
{
	struct conn *c = ctx;
	struct worker *w = c->worker;
	struct verdict v;
	ssize_t n;

	if (c->state == CONN_CLOSING)
		return JUDGED_CLOSE;
	if (!refresh_rules(c)) {
		conn_close(c, CLOSE_NOT_ALLOWED);
		return JUDGED_CLOSE;
	}
	n = path_readings(head->req.path, &w->paths);
	if (n == -ENOMEM) {
		conn_close(c, CLOSE_OOM);
		return JUDGED_CLOSE;
	}
	if (n < 0) {
		conn_relay_host.refused(c, 400, "a path that servers read in too many ways");
		return JUDGED_MALFORMED;
	}
	head->req.readings = w->paths.readings;
	head->req.n_readings = (size_t)n;
	v = judge(c, &head->req);
	if (!edit(c, head, &v, edited))
		return JUDGED_TOO_LARGE;
	report_request(&w->reporter, &c->flow, head, &v, x);
	if (v.action != VERDICT_ALLOW) {
		w->metrics.requests_denied++;
		return JUDGED_DENY;
	}
	w->metrics.requests_allowed++;
	return JUDGED_ALLOW;
}
