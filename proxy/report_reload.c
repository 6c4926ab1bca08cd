/* SPDX-License-Identifier: Apache-2.0 */
/* What is said when a policy changes: of the change itself, and of what it ends. */
#include <errno.h>
#include <string.h>
#include "metrics.h"
#include "report_private.h"

static const char *protocol_of(const struct kept_request *k)
{
	if (k->version == 20)
		return k->grpc ? "gRPC" : "HTTP/2";
	return k->version == 10 ? "HTTP/1.0" : "HTTP/1.1";
}

static struct report_ask ask_of(const struct kept_request *k)
{
	return (struct report_ask){
		.req = &k->req,
		.protocol = protocol_of(k),
		.stream = k->stream,
		.connect = k->connect,
		.grpc = k->grpc,
	};
}

static void sum_up(struct reporter *r, const struct flow *flow, const struct report_ask *ask,
		   struct span reason)
{
	char buf[REPORT_LINE_MAX + REPORT_URL_MAX];
	struct text t = TEXT_INIT(buf);

	if (ask) {
		text_add_escaped(&t, ask->req->method);
		text_add(&t, " ");
		if (!report_add_url(&t, ask, text_add_escaped))
			text_add(&t, "...");
	} else {
		report_add_ends(&t, "a request", flow->ingress ? &flow->client : NULL,
				&flow->destination);
	}
	text_addf(&t, ": ended by a new policy: %.*s", (int)reason.len, reason.ptr);
	report_sum_up(r, r->audit, &t);
}

static void log_revoked(struct reporter *r, const struct flow *flow, const struct report_ask *ask,
			const struct verdict *v, struct span reason)
{
	char buf[REPORT_RECORD_MAX];
	struct text t = TEXT_INIT(buf);

	report_begin(r, &t, report_denied_verdict(r), flow);
	text_add(&t, ",\"l7\":{\"type\":\"REQUEST\"");
	if (ask) {
		text_add(&t, ",");
		report_add_l7(&t, ask);
	}
	text_add(&t, "},\"policy\":");
	if (v->rule)
		report_add_rule(&t, v->rule);
	else
		text_add(&t, "null");
	text_add(&t, ",\"reason\":\"");
	text_add_json(&t, reason);
	text_addf(&t, "\",\"close\":\"%s\",\"lane\":\"user\"", close_reason_name(CLOSE_REVOKED));
	report_push(r, &t);
}

void report_revoked(struct reporter *r, const struct flow *flow, const struct kept_request *k,
		    const struct verdict *v)
{
	char buf[REPORT_LINE_MAX];
	struct text reason = TEXT_INIT(buf);
	struct report_ask ask;

	if (k) {
		ask = ask_of(k);
		report_add_reason(&reason, v);
	} else {
		text_add(&reason, "there was no room to keep the request");
	}
	sum_up(r, flow, k ? &ask : NULL, (struct span){ reason.buf, reason.len });
	if (r->log)
		log_revoked(r, flow, k ? &ask : NULL, v, (struct span){ reason.buf, reason.len });
}

static const char *why_not_ended(int result)
{
	switch (result) {
	case 0:
		return "";
	case -ENOENT:
		return "; nothing passes on it, but its network namespace cannot be reached to end "
		       "it";
	case -EOPNOTSUPP:
		return "; nothing passes on it, but this kernel cannot end it";
	default:
		return "; nothing passes on it, but it could not be ended";
	}
}

void report_swept(struct reporter *r, const struct swept *e)
{
	static const char why[] = "the new policy does not leave it alone";
	char buf[REPORT_RECORD_MAX], line[REPORT_LINE_MAX];
	struct text t = TEXT_INIT(buf), summary = TEXT_INIT(line);

	report_add_ends(&summary, "a connection", e->ingress ? &e->source : NULL, &e->destination);
	text_addf(&summary, ": %s%s", why, why_not_ended(e->result));
	denials_add(&r->denials, summary.buf, summary.len, 1);
	if (!r->log)
		return;
	report_begin_ends(r, &t, "DROPPED", e->ingress, &e->source, &e->destination);
	text_addf(&t, ",\"l4\":{\"protocol\":\"TCP\"},\"reason\":\"%s%s\"", why,
		  why_not_ended(e->result));
	if (e->result == 0)
		text_addf(&t, ",\"close\":\"%s\"", close_reason_name(CLOSE_REVOKED));
	text_add(&t, ",\"lane\":\"kernel\"");
	report_push(r, &t);
}

void report_reload(struct reporter *r, const struct report_change *change)
{
	char buf[REPORT_RECORD_MAX], time[ACCESS_LOG_TIME_MAX];
	struct text t = TEXT_INIT(buf);

	if (!r->log)
		return;
	access_log_time(time);
	text_addf(&t, "{\"time\":\"%s\",\"policy_change\":{", time);
	if (change->error) {
		/* Each byte may need six; of very many errors the first ones will do. */
		text_add(&t, "\"error\":\"");
		text_add_json(&t, (struct span){ change->error,
						 strnlen(change->error, REPORT_LINE_MAX / 2) });
		text_add(&t, "\"}");
	} else {
		text_addf(&t, "\"policies\":%u,\"rules\":%zu,\"ended\":%u}", change->policies,
			  change->rules, change->ended);
	}
	report_push(r, &t);
}
