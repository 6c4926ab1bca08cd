/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - what is said about requests, connections and refusals: the JSON record, if there is a
 * log, and the line of the summary for everything that was denied.
 *
 * One reporter per thread and workload. Nothing here fails or waits: a record that does not fit or
 * has no memory is lost and counted. The fields are those of docs/record.md. */
#ifndef SLUICE_REPORT_H
#define SLUICE_REPORT_H

#include "access_log.h"
#include "denials.h"
#include "endpoint_names.h"
#include "exchange.h"
#include "h1.h"
#include "sluice/close_reason.h"
#include "sluice/flow.h"
#include "sluice/verdict.h"
#include "steer.h"
#include "sweep.h"
#include "workload_info.h"

#define REPORT_URL_MAX	  4096 /* bytes of a URL in a record, escapes included */
#define REPORT_HEADER_MAX 128  /* of a header's name, and of its value, escapes included */
#define REPORT_HEADERS_MAX \
	(VERDICT_ACTIONS_MAX * (2 * REPORT_HEADER_MAX + 64)) /* of all that a rule changed */
#define REPORT_LINE_MAX 2048				     /* of the summary */
/* With room for all of these at their most, so that nobody makes a record too long to be kept. */
#define REPORT_RECORD_MAX \
	(2 * WORKLOAD_RECORD_MAX + REPORT_URL_MAX + REPORT_HEADERS_MAX + 2 * REPORT_LINE_MAX + 2048)

struct reporter {
	struct log_writer *log; /* NULL: no records */
	struct kept *kept;	/* of whom the parts of records are that wait for an answer */
	struct denials denials;
	const struct workload_info *who;     /* whom it is about; NULL: nobody that is known */
	struct endpoint_names *const *names; /* of others, by their addresses; may be NULL */
	bool audit; /* what is denied passes all the same, and is recorded as AUDIT */
};

/* A request, as it is reported. */
struct report_ask {
	const struct request *req;
	const char *protocol; /* "HTTP/1.1" */
	uint32_t stream;      /* of HTTP/2; 0: none */
	bool connect;	      /* CONNECT, which has no path */
	bool grpc;	      /* what is denied is answered in gRPC's way */
};

/* It was judged. If there is a log and the request is passed on, X keeps what its response will
 * need. */
void report_request(struct reporter *r, const struct flow *flow, const struct report_ask *ask,
		    const struct verdict *verdict, struct exchange *x);
/* The final response to X began; STATUS 0: it could not be read. */
void report_response(struct reporter *r, const struct flow *flow, const struct exchange *x,
		     unsigned status);
/* A stream of HTTP/2 is over: GRPC_STATUS or -1, and the code of RST_STREAM or 0. */
void report_stream_end(struct reporter *r, const struct flow *flow, const struct exchange *x,
		       int grpc_status, uint32_t reset);
/* A request of which something was in flight would be denied by a new policy: its connection ends.
 * K is NULL if the request is not known any more. */
void report_revoked(struct reporter *r, const struct flow *flow, const struct kept_request *k,
		    const struct verdict *verdict);
/* A request was answered STATUS before it could be judged; 0: its stream was
 * reset; in audit: it would have been. */
void report_refused(struct reporter *r, const struct flow *flow, unsigned status, const char *why);
/* An HTTP/2 connection ended because of what a side has sent; in audit: it would have, and goes on
 * unread. CLOSE is one of CLOSE_HTTP2... */
void report_broken(struct reporter *r, const struct flow *flow, enum close_reason close,
		   const char *why);
/* A connection ended for a reason that its user should know; ordinary ends are not reported. */
void report_close(struct reporter *r, const struct flow *flow, enum close_reason why);
/* Audit: a connection goes on unread that would have ended for this reason. */
void report_audited(struct reporter *r, const struct flow *flow, enum close_reason why);
/* The kernel refused something, or would have. */
void report_event(struct reporter *r, const struct steer_event *e);

/* A workload listens by a socket that is not its own, and not held. Only the log is told. */
void report_foreign(struct reporter *r, const struct steer_foreign *f);

/* The kernel ended, or holds, a connection that sluice does not carry. */
void report_swept(struct reporter *r, const struct swept *e);

struct report_change {
	const char *error; /* not NULL: the policy is the same as before, since there was this */
	unsigned policies; /* that select the command */
	size_t rules;	   /* HTTP rules */
	unsigned ended;	   /* connections */
};
/* The policy has changed, or could not be. Only the log is told. */
void report_reload(struct reporter *r, const struct report_change *change);

/* Nanoseconds of the monotonic clock. */
uint64_t report_now(void);

#endif
