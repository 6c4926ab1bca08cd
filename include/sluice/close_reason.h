/* SPDX-License-Identifier: Apache-2.0 */
/* close_reason.h - every reason for which sluice ends a connection, once.
 *
 * One table gives the enum, the name in the log, and the counter "close.<name>". */
#ifndef SLUICE_CLOSE_REASON_H
#define SLUICE_CLOSE_REASON_H

#define CLOSE_REASONS(X)                                                                          \
	X(DONE, done, "both sides ended")                                                         \
	X(CLIENT_RESET, client_reset, "the client reset the connection")                          \
	X(UPSTREAM_RESET, upstream_reset, "the server reset the connection")                      \
	X(UPSTREAM_REFUSED, upstream_refused, "the server could not be reached")                  \
	X(NOT_STEERED, not_steered, "a connection to the listener that the kernel did not steer") \
	X(NOT_ALLOWED, not_allowed, "the policy no longer allows this destination")               \
	X(NO_WORKLOAD, no_workload, "its workload is not known any more")                         \
	X(REVOKED, revoked, "the policy no longer allows what was in flight")                     \
	X(NOT_HTTP, not_http, "not HTTP on a port with HTTP rules")                               \
	X(TLS, tls, "TLS on a port with HTTP rules: it cannot be read")                           \
	X(HTTP2, http2, "the client broke the rules of HTTP/2")                                   \
	X(HTTP2_LIMIT, http2_limit, "the client went over a limit of HTTP/2")                     \
	X(HTTP2_SERVER, http2_server, "the server broke the rules of HTTP/2")                     \
	X(MALFORMED, malformed, "a malformed or ambiguous request")                               \
	X(HEAD_TOO_LARGE, head_too_large, "a request head over the limit")                        \
	X(HEAD_TOO_SLOW, head_too_slow, "a request head that was not complete in time")           \
	X(DENIED, denied, "a denied request whose body was not worth reading")                    \
	X(UNREAD_RESPONSE, unread_response, "a request after a response that could not be read")  \
	X(STALE_BODY, stale_body, "a body that was announced, after its final answer")            \
	X(UNSOLICITED, unsolicited, "the server spoke without being asked")                       \
	X(BAD_UPGRADE, bad_upgrade, "the server switched to a protocol that cannot be read")      \
	X(UNFOLLOWED, unfollowed, "more requests, or bytes behind an Upgrade, than can wait")     \
	X(LIMIT, limit, "too many connections, or open files")                                    \
	X(STALLED, stalled, "its bytes lay still while the buffers were used up")                 \
	X(OOM, oom, "out of memory")                                                              \
	X(SHUTDOWN, shutdown, "sluice is ending")                                                 \
	X(INTERNAL, internal, "an error inside sluice")

enum close_reason {
#define X(upper, lower, text) CLOSE_##upper,
	CLOSE_REASONS(X)
#undef X
		CLOSE_REASON_MAX
};

#endif
