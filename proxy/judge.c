/* SPDX-License-Identifier: Apache-2.0 */
/* judge.c - the one place where a request meets the policy. */
#include <errno.h>
#include <netinet/in.h>
#include "conn.h"
#include "h1_edit.h"
#include "h2_edit.h"
#include "policy.h"
#include "worker.h"

static enum l4_action find_action(const struct policy *p, const struct flow *flow,
				  const struct ruleset **ret)
{
	if (flow->ingress)
		return policy_l4_ingress(p, &flow->client, flow->destination.port, flow->local,
					 IPPROTO_TCP, ret);
	return policy_l4(p, &flow->destination, flow->local, IPPROTO_TCP, ret);
}

bool conn_refresh_rules(struct conn *c)
{
	const struct workload *wl = c->workload;

	if (c->policy_generation == wl->policy_generation)
		return true;
	c->rules = NULL;
	if (wl->gone)
		return false;
	switch (find_action(wl->policy, &c->flow, &c->rules)) {
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
	c->policy_generation = wl->policy_generation;
	return true;
}

/* False when out of memory: by what there is then everything is denied. */
static bool fit_scratch(struct worker *w, struct workload *wl)
{
	if (wl->judge_round == w->judge_round)
		return true;
	if (judge_scratch_fit(&w->judge, wl->policy) < 0) {
		w->judge_round++;
		return false;
	}
	wl->judge_round = w->judge_round;
	return true;
}

struct verdict conn_verdict(struct conn *c, const struct request *req)
{
	struct worker *w = c->worker;
	struct verdict v;

	if (!c->rules)
		return (struct verdict){ .action = VERDICT_ALLOW };
	fit_scratch(w, c->workload);
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
	if (n < 0)
		return false;
	*edited = (struct span){ w->edited, (size_t)n };
	return true;
}

/* Nothing of this connection may be passed on; in audit that is recorded, and it is. */
static enum judged give_up(struct conn *c, enum close_reason why)
{
	if (c->worker->relay_env.audit) {
		conn_relay_host.audited(c, why);
		return JUDGED_DENY;
	}
	conn_close(c, why);
	return JUDGED_CLOSE;
}

/* Find the readings of REQ's path. JUDGED_ALLOW: it can be judged. */
static enum judged read_path(struct conn *c, struct request *req)
{
	struct worker *w = c->worker;
	ssize_t n;

	if (c->state == CONN_CLOSING)
		return JUDGED_CLOSE;
	if (!conn_refresh_rules(c))
		return give_up(c, CLOSE_NOT_ALLOWED);
	if (c->rules && !fit_scratch(w, c->workload))
		return give_up(c, CLOSE_OOM);
	n = path_readings(req->path, &w->paths);
	if (n == -ENOMEM)
		return give_up(c, CLOSE_OOM);
	if (n < 0) {
		conn_relay_host.refused(c, 400, "a path that servers read in too many ways");
		return JUDGED_MALFORMED;
	}
	req->readings = w->paths.readings;
	req->n_readings = (size_t)n;
	return JUDGED_ALLOW;
}

static enum judged count(struct conn *c, const struct verdict *v)
{
	if (v->action != VERDICT_ALLOW) {
		CONN_COUNT(c, requests_denied);
		rule_counts_add(&c->workload->denied_by, v->rule, 1);
		return JUDGED_DENY;
	}
	CONN_COUNT(c, requests_allowed);
	return JUDGED_ALLOW;
}

/* For a new policy to be asked about. */
static void keep(struct conn *c, struct exchange *x, const struct report_ask *ask)
{
	x->kept = kept_request_new(&c->worker->exchanges.kept, ask->req);
	if (!x->kept)
		return;
	x->kept->version = x->version;
	x->kept->connect = ask->connect;
	x->kept->grpc = ask->grpc;
	x->kept->stream = ask->stream;
}

/* The verdict is final: it is recorded, counted, and kept as long as it may change. */
static enum judged conclude(struct conn *c, struct exchange *x, const struct report_ask *ask,
			    const struct verdict *v)
{
	enum judged r;

	report_request(&c->workload->reporter, &c->flow, ask, v, x);
	r = count(c, v);
	if (r == JUDGED_ALLOW)
		keep(c, x, ask);
	return r;
}

static enum judged too_large(struct conn *c)
{
	conn_relay_host.refused(c, 431, "a head that is too large with what a rule adds");
	return JUDGED_TOO_LARGE;
}

enum judged conn_judge(void *ctx, struct h1_head *head, struct exchange *x, struct span *edited)
{
	struct conn *c = ctx;
	struct verdict v;
	enum judged r = read_path(c, &head->req);
	struct report_ask ask = {
		.req = &head->req,
		.protocol = head->version == 10 ? "HTTP/1.0" : "HTTP/1.1",
		.connect = head->connect,
	};

	if (r != JUDGED_ALLOW)
		return r;
	v = conn_verdict(c, &head->req);
	if (!edit(c, head, &v, edited))
		return too_large(c);
	return conclude(c, x, &ask, &v);
}

static struct report_ask ask_of(const struct request *req, uint32_t stream, bool grpc)
{
	return (struct report_ask){
		.req = req,
		.protocol = grpc ? "gRPC" : "HTTP/2",
		.connect = req->path.len == 0,
		.grpc = grpc,
		.stream = stream,
	};
}

/* May the same request pass without being read? The verdict depends on nothing but its fields and
 * the policy, so that is a matter of what has to be recorded of each, and of the copies: those that
 * connections hold to share them are not to leave others without. */
static bool same_again(const struct conn *c, const struct verdict *v, const struct exchange *x)
{
	const struct worker *w = c->worker;
	const struct kept *kept = &w->exchanges.kept;

	if (v->action != VERDICT_ALLOW || v->n_actions > 0 || w->reporter.log || w->reporter.audit)
		return false;
	return kept->max == 0 || (x->kept && kept->bytes <= kept->max / 2);
}

enum judged conn_h2_judge(void *ctx, struct h2_head *head, uint32_t stream, struct exchange *x,
			  bool *again)
{
	struct conn *c = ctx;
	enum judged r = read_path(c, &head->req);
	struct report_ask ask = ask_of(&head->req, stream, head->grpc == GRPC_CALL);
	struct verdict v;

	if (r != JUDGED_ALLOW)
		return r;
	v = conn_verdict(c, &head->req);
	if (v.action == VERDICT_ALLOW && h1_edit_needed(v.actions, v.n_actions) &&
	    h2_edit(head, v.actions, v.n_actions) < 0)
		return too_large(c);
	r = conclude(c, x, &ask, &v);
	*again = same_again(c, &v, x);
	return r;
}
