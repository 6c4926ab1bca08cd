/* SPDX-License-Identifier: Apache-2.0 */
#include "report_private.h"
#include <inttypes.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "metrics.h"
#include "sluice/array.h"

static const char *const field_names[] = {
	[FIELD_NONE] = "nothing", [FIELD_METHOD] = "method",   [FIELD_PATH] = "path",
	[FIELD_HOST] = "host",	  [FIELD_HEADERS] = "headers",
};

uint64_t report_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void add_end(struct text *t, const char *name, const struct address *a,
		    const struct workload_info *who)
{
	text_add(t, ",\"");
	text_add(t, name);
	text_add(t, "\":{\"ip\":\"");
	if (a->family)
		text_add_ip(t, a);
	text_add(t, "\",\"port\":");
	text_add_number(t, a->port);
	if (who)
		text_add(t, who->record);
	text_add(t, "}");
}

static const struct workload_info *name_of(const struct reporter *r, const struct address *a)
{
	return r->names && a->family ? endpoint_names_find(*r->names, a) : NULL;
}

/* Everything up to the part that differs between kinds of records. What is known of the
 * workload stands at its own end, and what its address tells of the other at that. */
void report_begin_ends(struct reporter *r, struct text *t, const char *verdict, bool ingress,
		       const struct address *source, const struct address *destination)
{
	char time[ACCESS_LOG_TIME_MAX];

	text_add(t, "{\"time\":\"");
	text_add_span(t, (struct span){ time, access_log_time(time) });
	text_add(t, "\",\"verdict\":\"");
	text_add(t, verdict);
	text_add(t, ingress ? "\",\"direction\":\"ingress\"" : "\",\"direction\":\"egress\"");
	add_end(t, "source", source, ingress ? name_of(r, source) : r->who);
	add_end(t, "destination", destination, ingress ? r->who : name_of(r, destination));
}

void report_begin(struct reporter *r, struct text *t, const char *verdict, const struct flow *flow)
{
	report_begin_ends(r, t, verdict, flow->ingress, &flow->client, &flow->destination);
}

/* Of ingress the client is the news, without its port: each of its connections has another. */
void report_add_ends(struct text *t, const char *what, const struct address *source,
		     const struct address *destination)
{
	text_add(t, what);
	if (source) {
		text_add(t, " from ");
		text_add_ip(t, source);
	}
	if (destination->family) {
		text_add(t, " to ");
		text_add_address(t, destination);
	}
}

void report_push(struct reporter *r, struct text *t)
{
	text_add(t, "}\n");
	if (t->cut)
		log_lose(r->log); /* half a record would not be JSON */
	else
		log_push(r->log, t->buf, t->len);
}

/* The verdict on what the policy denies, and the line about it in the summary. */
const char *report_denied_verdict(const struct reporter *r)
{
	return r->audit ? "AUDIT" : "DROPPED";
}

void report_sum_up(struct reporter *r, bool audited, const struct text *t)
{
	if (audited)
		denials_add_audited(&r->denials, t->buf, t->len, 1);
	else
		denials_add(&r->denials, t->buf, t->len, 1);
}

/* "http://host/path", or "host:port" for CONNECT, escaped by ADD. Returns whether it is whole. */
bool report_add_url(struct text *t, const struct report_ask *ask,
		    void (*add)(struct text *, struct span))
{
	char buf[REPORT_URL_MAX];
	struct text url = TEXT_INIT(buf);

	if (!ask->connect)
		text_add(&url, "http://");
	add(&url, ask->req->authority);
	add(&url, ask->req->path);
	if (url.len > t->size - t->len) {
		t->cut = true;
		return false;
	}
	memcpy(t->buf + t->len, url.buf, url.len);
	t->len += url.len;
	return !url.cut;
}

void report_add_l7(struct text *t, const struct report_ask *ask)
{
	text_add(t, "\"protocol\":\"");
	text_add(t, ask->protocol);
	text_add(t, "\"");
	if (ask->stream) {
		text_add(t, ",\"stream\":");
		text_add_number(t, ask->stream);
	}
	text_add(t, ",\"method\":\"");
	text_add_json(t, ask->req->method);
	text_add(t, "\",\"url\":\"");
	if (report_add_url(t, ask, text_add_json))
		text_add(t, "\"");
	else
		text_add(t, "\",\"url_truncated\":true");
}

static const char *const action_names[] = {
	[HEADER_LOG] = "LOG",
	[HEADER_ADD] = "ADD",
	[HEADER_REPLACE] = "REPLACE",
	[HEADER_DELETE] = "DELETE",
};

/* As much of it as REPORT_HEADER_MAX allows, so that no policy makes a record too long. */
static void add_part(struct text *t, struct span s)
{
	char buf[REPORT_HEADER_MAX + 1];
	struct text part = { .buf = buf, .size = REPORT_HEADER_MAX };

	text_add_json(&part, s);
	buf[part.len] = '\0';
	text_add(t, buf);
	if (part.cut)
		text_add(t, "...");
}

static void add_mismatch(struct text *t, const struct header_action *a)
{
	text_add(t, "{\"name\":\"");
	add_part(t, a->name);
	text_addf(t, "\",\"action\":\"%s\"", action_names[a->kind]);
	if (a->value.len > 0 || a->secret) {
		text_add(t, ",\"value\":\"");
		add_part(t, a->secret ? SPAN_LITERAL("[redacted]") : a->value);
		text_add(t, "\"");
	}
	text_add(t, "}");
}

/* The headers that were not as a rule wants them, what it wants, and what was done. */
static void add_mismatches(struct text *t, const struct verdict *v)
{
	for (unsigned i = 0; i < v->n_actions; i++) {
		text_add(t, i ? "," : ",\"header_mismatches\":[");
		add_mismatch(t, v->actions[i]);
	}
	if (v->n_actions)
		text_add(t, "]");
}

void report_add_rule(struct text *t, const struct rule_ref *rule)
{
	text_add(t, "{\"name\":\"");
	text_add_json(t, span_of(rule->policy));
	text_add(t, "\",\"namespace\":\"");
	text_add_json(t, span_of(rule->namespace_));
	text_add(t, "\",\"rule\":\"");
	text_add_json(t, span_of(rule->path));
	text_add(t, "\"}");
}

/* "rules.http[1]": the rule within its port, as a person would point to it. */
static const char *short_path(const struct rule_ref *rule)
{
	const char *rules = strstr(rule->path, "rules.");

	return rules ? rules : rule->path;
}

void report_add_reason(struct text *t, const struct verdict *v)
{
	text_add(t, "no rule allows it");
	if (!v->rule)
		return;
	text_add(t, "; nearest: ");
	text_add(t, short_path(v->rule));
	text_add(t, " of policy \"");
	text_add_escaped(t, span_of(v->rule->policy));
	text_add(t, "\" differs in ");
	text_add(t, field_names[v->failed]);
}

static void sum_up_denial(struct reporter *r, const struct report_ask *ask, const struct verdict *v)
{
	char buf[REPORT_LINE_MAX + REPORT_URL_MAX];
	struct text t = TEXT_INIT(buf);

	text_add_escaped(&t, ask->req->method);
	text_add(&t, " ");
	if (!report_add_url(&t, ask, text_add_escaped))
		text_add(&t, "...");
	text_add(&t, ": ");
	report_add_reason(&t, v);
	report_sum_up(r, r->audit, &t);
}

/* The value of "policy", and why that rule or any other does not allow it. */
static void add_nearest(struct text *t, const struct verdict *v)
{
	char reason_buf[REPORT_LINE_MAX];
	struct text reason = TEXT_INIT(reason_buf);

	if (v->rule)
		report_add_rule(t, v->rule);
	else
		text_add(t, "null");
	report_add_reason(&reason, v);
	text_add(t, ",\"reason\":\"");
	text_add_json(t, (struct span){ reason.buf, reason.len });
	text_add(t, "\"");
}

static void log_denial(struct reporter *r, const struct flow *flow, const struct report_ask *ask,
		       const struct verdict *v)
{
	char buf[REPORT_RECORD_MAX];
	struct text t = TEXT_INIT(buf);

	report_begin(r, &t, "DROPPED", flow);
	text_add(&t, ",\"l7\":{\"type\":\"REQUEST\",");
	report_add_l7(&t, ask);
	text_add(&t, ask->grpc ? ",\"code\":200,\"grpc_status\":7}" : ",\"code\":403}");
	text_add(&t, ",\"policy\":");
	add_nearest(&t, v);
	text_add(&t, ",\"lane\":\"user\"");
	report_push(r, &t);
}

/* X keeps two strings behind each other: what stands in "l7", and the value of "policy", in audit
 * with the reason behind it. */
static void keep(struct reporter *r, struct exchange *x, const struct text *l7,
		 const struct text *rule)
{
	x->record = kept_malloc(r->kept, l7->len + rule->len + 2);
	if (!x->record)
		return;
	memcpy(x->record, l7->buf, l7->len);
	x->record[l7->len] = '\0';
	memcpy(x->record + l7->len + 1, rule->buf, rule->len);
	x->record[l7->len + 1 + rule->len] = '\0';
}

static void log_kept(struct reporter *r, const struct flow *flow, const struct exchange *x,
		     const char *type, const char *more)
{
	char buf[REPORT_RECORD_MAX];
	struct text t = TEXT_INIT(buf);

	report_begin(r, &t, x->audited ? "AUDIT" : "FORWARDED", flow);
	text_add(&t, ",\"l7\":{\"type\":\"");
	text_add(&t, type);
	text_add(&t, "\",");
	text_add(&t, x->record);
	text_add(&t, more);
	text_add(&t, "},\"policy\":");
	text_add(&t, x->record + strlen(x->record) + 1);
	text_add(&t, ",\"lane\":\"user\"");
	report_push(r, &t);
}

void report_request(struct reporter *r, const struct flow *flow, const struct report_ask *ask,
		    const struct verdict *verdict, struct exchange *x)
{
	char l7_buf[REPORT_URL_MAX + REPORT_HEADERS_MAX + 1024], rule_buf[2 * REPORT_LINE_MAX];
	struct text l7 = TEXT_INIT(l7_buf), rule = TEXT_INIT(rule_buf);

	if (verdict->action == VERDICT_DENY) {
		sum_up_denial(r, ask, verdict);
		if (r->log && !r->audit)
			log_denial(r, flow, ask, verdict);
		if (!r->audit)
			return;
		x->audited = true;
	}
	if (!r->log)
		return;
	report_add_l7(&l7, ask);
	add_mismatches(&l7, verdict);
	if (x->audited)
		add_nearest(&rule, verdict);
	else if (verdict->rule)
		report_add_rule(&rule, verdict->rule);
	else
		text_add(&rule, "null");
	if (!l7.cut && !rule.cut)
		keep(r, x, &l7, &rule);
	x->started_ns = report_now();
	if (x->record)
		log_kept(r, flow, x, "REQUEST", "");
	else
		log_lose(r->log);
}

void report_response(struct reporter *r, const struct flow *flow, const struct exchange *x,
		     unsigned status)
{
	char buf[128];
	struct text more = { .buf = buf, .size = sizeof(buf) - 1 };

	if (!r->log || !x->started_ns)
		return;
	if (!x->record) {
		log_lose(r->log);
		return;
	}
	text_add(&more, ",\"code\":");
	text_add_number(&more, status);
	text_add(&more, ",\"latency_ns\":");
	text_add_number(&more, report_now() - x->started_ns);
	buf[more.len] = '\0';
	log_kept(r, flow, x, "RESPONSE", buf);
}

void report_stream_end(struct reporter *r, const struct flow *flow, const struct exchange *x,
		       int grpc_status, uint32_t reset)
{
	char buf[192 + 1];
	struct text more = { .buf = buf, .size = sizeof(buf) - 1 };

	if (!r->log || !x->started_ns)
		return;
	if (!x->record) {
		log_lose(r->log);
		return;
	}
	if (grpc_status >= 0)
		text_addf(&more, ",\"grpc_status\":%d", grpc_status);
	if (reset)
		text_addf(&more, ",\"reset\":\"%s\"", nghttp2_http2_strerror(reset));
	text_addf(&more, ",\"duration_ns\":%" PRIu64, report_now() - x->started_ns);
	buf[more.len] = '\0';
	log_kept(r, flow, x, "END", buf);
}

void report_refused(struct reporter *r, const struct flow *flow, unsigned status, const char *why)
{
	char buf[REPORT_RECORD_MAX], line[REPORT_LINE_MAX];
	struct text t = TEXT_INIT(buf), summary = TEXT_INIT(line);

	report_add_ends(&summary, "a request", flow->ingress ? &flow->client : NULL,
			&flow->destination);
	if (status)
		text_addf(&summary, ": answered %u: %s", status, why);
	else
		text_addf(&summary, ": reset: %s", why);
	report_sum_up(r, r->audit, &summary);
	if (!r->log)
		return;
	report_begin(r, &t, report_denied_verdict(r), flow);
	text_add(&t, ",\"l7\":{\"type\":\"REQUEST\"");
	if (!r->audit) /* there it is the server who answers */
		text_addf(&t, ",\"code\":%u", status);
	text_add(&t, "},\"reason\":\"");
	text_add_json(&t, span_of(why));
	text_add(&t, "\",\"lane\":\"user\"");
	report_push(r, &t);
}

void report_broken(struct reporter *r, const struct flow *flow, enum close_reason close,
		   const char *why)
{
	char buf[REPORT_RECORD_MAX], line[REPORT_LINE_MAX];
	struct text t = TEXT_INIT(buf), summary = TEXT_INIT(line);
	const char *who = close == CLOSE_HTTP2_SERVER ? "the server" : "the client";

	report_add_ends(&summary, "a connection", flow->ingress ? &flow->client : NULL,
			&flow->destination);
	text_addf(&summary, ": %s broke HTTP/2: %s", who, why);
	report_sum_up(r, r->audit, &summary);
	if (!r->log)
		return;
	report_begin(r, &t, report_denied_verdict(r), flow);
	text_addf(&t, ",\"l7\":{\"protocol\":\"HTTP/2\"},\"reason\":\"%s broke HTTP/2: ", who);
	text_add_json(&t, span_of(why));
	text_addf(&t, "\",\"close\":\"%s\",\"lane\":\"user\"", close_reason_name(close));
	report_push(r, &t);
}

/* The verdict under which a close is reported; NULL: it is nobody's business. */
static const char *verdict_for(enum close_reason why)
{
	switch (why) {
	case CLOSE_NOT_ALLOWED:
	case CLOSE_NO_WORKLOAD:
	case CLOSE_NOT_HTTP:
	case CLOSE_TLS:
	case CLOSE_UNSOLICITED:
	case CLOSE_UNREAD_RESPONSE:
	case CLOSE_STALE_BODY:
	case CLOSE_BAD_UPGRADE:
		return "DROPPED";
	case CLOSE_UPSTREAM_REFUSED:
	case CLOSE_LIMIT:
	case CLOSE_STALLED:
	case CLOSE_OOM:
	case CLOSE_INTERNAL:
		return "ERROR";
	default:
		return NULL;
	}
}

static void report_connection(struct reporter *r, const struct flow *flow, enum close_reason why,
			      const char *verdict, bool audited)
{
	char buf[REPORT_RECORD_MAX], line[REPORT_LINE_MAX];
	struct text t = TEXT_INIT(buf), summary = TEXT_INIT(line);

	if (why != CLOSE_UPSTREAM_REFUSED) {
		/* The command saw that one itself, as it would have without us. */
		report_add_ends(&summary, "a connection", flow->ingress ? &flow->client : NULL,
				&flow->destination);
		text_addf(&summary, ": %s", close_reason_text(why));
		report_sum_up(r, audited, &summary);
	}
	if (!r->log)
		return;
	report_begin(r, &t, verdict, flow);
	text_addf(&t, ",\"reason\":\"%s\",\"close\":\"%s\",\"lane\":\"user\"",
		  close_reason_text(why), close_reason_name(why));
	report_push(r, &t);
}

void report_close(struct reporter *r, const struct flow *flow, enum close_reason why)
{
	const char *verdict = verdict_for(why);

	if (verdict)
		report_connection(r, flow, why, verdict, false);
}

void report_audited(struct reporter *r, const struct flow *flow, enum close_reason why)
{
	report_connection(r, flow, why, "AUDIT", true);
}
