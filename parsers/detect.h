/* SPDX-License-Identifier: Apache-2.0 */
/* detect.h - which protocol the first bytes of a connection belong to. */
#ifndef SLUICE_DETECT_H
#define SLUICE_DETECT_H

#include <stdbool.h>
#include <stddef.h>

enum detected {
	DETECT_MORE,	/* too few bytes to tell */
	DETECT_HTTP1,	/* begins like an HTTP/1 request line: a token character */
	DETECT_HTTP2,	/* the connection preface of RFC 9113, section 3.4 */
	DETECT_TLS,	/* a TLS record with a handshake message */
	DETECT_UNKNOWN, /* none of these */
};

/* Total, stateless: called again with all bytes from the first while it says DETECT_MORE. "PRI " is
 * held back until the preface is told from a method of that name. */
enum detected detect_protocol(const char *buf, size_t len);

/* Can these first bytes of a server be SETTINGS? A server of HTTP/2 sends them without waiting for
 * its client; one of HTTP/1 says nothing of its own accord. Few bytes can be anything. */
bool detect_http2_greeting(const char *buf, size_t len);

#endif
